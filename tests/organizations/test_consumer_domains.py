"""Domains where anyone can have a mailbox: refused when they are new, unless the setting says otherwise."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from support import Server, client, grant, open_migrated
from tenantry.core.db import Database

SENTENCE = "must not be a consumer mail domain such as gmail.com, where anyone can have an address"


@pytest.fixture
def key(database_url: str) -> Iterator[str]:
    opened: Database = open_migrated(database_url)
    yield grant(opened).key
    opened.close()


@contextmanager
def served(database_url: str, folder: Path, key: str) -> Iterator[httpx.Client]:
    server = Server(database_url, folder)
    with client(server.base_url, key) as opened:
        yield opened
    assert server.stop() == 0


def test_all_new_ones_are_named(api: httpx.Client) -> None:
    answer = api.post(
        "/organizations",
        json={
            "name": "Jo",
            "domains": ["acme.com", "GMX.de."],
            "domain_data": [{"domain": "qq.com", "state": "verified"}, {"domain": "yahoo.co.jp"}],
        },
    )
    assert answer.status_code == 422
    assert answer.json() == {
        "message": "Validation failed",
        "errors": [
            {"field": "domains.1", "code": f"each value in domains {SENTENCE}"},
            {"field": "domain_data.0.domain", "code": f"domain_data.0.domain {SENTENCE}"},
            {"field": "domain_data.1.domain", "code": f"domain_data.1.domain {SENTENCE}"},
        ],
    }
    assert api.get("/organizations").json()["data"] == []


def test_an_update_that_adds_one_changes_nothing(api: httpx.Client) -> None:
    made = api.post("/organizations", json={"name": "Jo", "domains": ["acme.com"]}).json()
    answer = api.put(
        f"/organizations/{made['id']}", json={"name": "Jo & Co", "domains": ["acme.com", "gmail.com"]}
    )
    assert answer.json()["errors"] == [{"field": "domains.1", "code": f"each value in domains {SENTENCE}"}]
    assert api.get(f"/organizations/{made['id']}").json() == made


def test_a_filter_may_name_one(api: httpx.Client) -> None:
    assert api.get("/organizations?domains=gmail.com").json()["data"] == []


def test_one_that_an_organization_got_while_the_setting_allowed_it_stays_and_may_be_named_again(
    database_url: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENANTRY_REFUSE_CONSUMER_DOMAINS", "false")
    with served(database_url, tmp_path, key) as lenient:
        answer = lenient.post("/organizations", json={"name": "Jo", "domains": ["gmail.com"]})
        assert answer.status_code == 201
        made = answer.json()
    monkeypatch.delenv("TENANTRY_REFUSE_CONSUMER_DOMAINS")
    with served(database_url, tmp_path, key) as strict:
        path = f"/organizations/{made['id']}"
        verified = {"domains": ["gmail.com"], "domain_data": [{"domain": "gmail.com", "state": "verified"}]}
        answer = strict.put(path, json=verified)
        assert answer.status_code == 200
        assert [domain["state"] for domain in answer.json()["domains"]] == ["verified"]
        assert strict.put(path, json={"domains": ["gmail.com", "gmx.de"]}).status_code == 422
        assert strict.post("/organizations", json={"name": "Al", "domains": ["gmail.com"]}).status_code == 422
