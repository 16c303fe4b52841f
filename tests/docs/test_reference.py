"""The page /docs of a running server."""

import html
import os
import re
import subprocess
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from support import Access, Server
from tenantry.app import endpoints

ENDLESS = {"tenantry.events.stream"}
CURL_TIMED_OUT = 28
_MOST_SECONDS = 5
_SECONDS = 30


@pytest.fixture
def page(server: Server) -> str:
    answer = httpx.get(f"{server.base_url}/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


class Elements(HTMLParser):
    """Collects what a page is made of, and that every element that opens closes."""

    empty = frozenset({"meta", "link", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.empty:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def examples(page: str) -> Iterator[tuple[str, str]]:
    """Yield each operation's name and its command."""
    for name, command in re.findall(r'<section id="([^"]+)">.*?<pre>(curl .*?)</pre>', page, re.DOTALL):
        yield name, html.unescape(command)


def test_it_loads_nothing_and_runs_nothing(page: str) -> None:
    for tag, attributes in Elements(page).found:
        assert tag not in {"script", "img", "iframe", "object", "embed"}
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith(("#", "/", "data:")), attributes
    assert "url(" not in page
    assert "@import" not in page


def test_its_elements_are_closed_and_its_links_lead_somewhere(page: str) -> None:
    elements = Elements(page)
    assert elements.open == []
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in elements.found:
        href = attributes.get("href") or ""
        assert not href.startswith("#") or href[1:] in ids, href


def test_every_operation_is_on_it(page: str) -> None:
    assert {name for name, _ in examples(page)} == {endpoint.name for endpoint in endpoints()}


def test_every_example_works_as_it_stands(page: str, server: Server, access: Access, api: httpx.Client) -> None:
    export = made_export(api)
    link = dict(parse_qsl(urlsplit(export["url"]).query))
    for name, command in examples(page):
        external_id = f"of-{name}"
        created = api.post("/organizations", json={"name": "Acme", "external_id": external_id}).json()
        hook = {"endpoint_url": f"https://{name}.invalid", "events": ["organization.created"]}
        endpoint = api.post("/webhook_endpoints", json=hook).json()
        delivery = api.post(f"/tenantry/webhook_endpoints/{endpoint['id']}/test").json()
        domain = f"{name.replace('_', '-')}.com"
        body = {"organization_id": created["id"], "domain": domain}
        organization_domain = api.post("/organization_domains", json=body).json()
        api.put("/tenantry/metadata_keys/tier", json={})
        api.post("/audit_logs/actions/user.signed_in/schemas", json={"targets": [{"type": "user"}]})
        splunk = {"type": "Splunk", "splunk": {"url": "https://splunk.invalid", "token": "secret"}}
        streams = f"/tenantry/organizations/{created['id']}/audit_log_streams"
        stream = api.post(streams, json=splunk).json()
        variables = {
            "BASE_URL": server.base_url,
            "API_KEY": access.key,
            "ORGANIZATION_ID": created["id"],
            "EXTERNAL_ID": external_id,
            "DOMAIN": domain,
            "ORGANIZATION_DOMAIN_ID": organization_domain["id"],
            "EXPORT_ID": export["id"],
            "EXPIRES": link["expires"],
            "SIGNATURE": link["signature"],
            "AUDIT_LOG_STREAM_ID": stream["id"],
            "KEY": "tier",
            "ACTION": "user.signed_in",
            "OCCURRED_AT": created["created_at"],
            "WEBHOOK_ENDPOINT_ID": endpoint["id"],
            "WEBHOOK_DELIVERY_ID": delivery["id"],
        }
        done = subprocess.run(
            ["bash", "-uc", f"{command} --silent --show-error --fail-with-body --max-time {_MOST_SECONDS}"],
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        endless = name in ENDLESS and done.returncode == CURL_TIMED_OUT
        assert endless or done.returncode == 0, (command, done.stdout, done.stderr)


def made_export(api: httpx.Client) -> dict[str, str]:
    """Return an export that is ready."""
    organization_id = api.post("/organizations", json={"name": "Acme"}).json()["id"]
    range_ = {"range_start": "2026-01-01T00:00:00Z", "range_end": "2026-01-02T00:00:00Z"}
    export: dict[str, str] = api.post(
        "/audit_logs/exports", json={"organization_id": organization_id} | range_
    ).json()
    deadline = time.monotonic() + _SECONDS
    while export["state"] == "pending" and time.monotonic() < deadline:
        time.sleep(0.05)
        export = api.get(f"/audit_logs/exports/{export['id']}").json()
    return export


def test_a_get_names_no_method(page: str) -> None:
    assert "-X GET" not in page
