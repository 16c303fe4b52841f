"""A real server checks domains by itself, with real name servers."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from dns_server import NameServers, Zone
from support import Access, Server, client, events_of, grant, open_migrated
from tenantry.core.db import Database

Serve = Callable[[], tuple[Server, httpx.Client]]

_SECONDS = 20.0


@pytest.fixture
def watched_database(database_url: str) -> Iterator[Database]:
    """The database of the servers here, seen from the test."""
    opened = open_migrated(database_url)
    yield opened
    opened.close()


@pytest.fixture
def watched_access(watched_database: Database) -> Access:
    return grant(watched_database)


@pytest.fixture
def serve(
    database_url: str,
    watched_access: Access,
    name_servers: NameServers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Serve]:
    """Starts a server that asks the tests' resolver, and returns it with an HTTP client of it."""
    monkeypatch.setenv("TENANTRY_DNS_SERVERS", name_servers.resolver)
    with ExitStack() as stack:

        def start() -> tuple[Server, httpx.Client]:
            server = Server(database_url, tmp_path)
            stack.callback(server.kill)
            return server, stack.enter_context(client(server.base_url, watched_access.key))

        yield start


@pytest.fixture
def api(serve: Serve) -> httpx.Client:
    return serve()[1]


@pytest.fixture
def zone(name_servers: NameServers) -> Zone:
    return name_servers.zone()


def create(api: httpx.Client, domain: str) -> dict[str, Any]:
    organization = api.post("/organizations", json={"name": "Acme"}).json()
    body = {"organization_id": organization["id"], "domain": domain}
    made: dict[str, Any] = api.post("/organization_domains", json=body).json()
    return made


def wait_for(api: httpx.Client, path: str, wanted: Callable[[Any], bool]) -> Any:
    """Return what is at `path` once it is as wanted."""
    deadline = time.monotonic() + _SECONDS
    while not wanted(body := api.get(path).json()):
        assert time.monotonic() < deadline, body
        time.sleep(0.02)
    return body


def last_attempt(api: httpx.Client, domain_id: str, number: int = 1) -> Any:
    """Return the last attempt once so many were made."""
    wait_for(api, f"/tenantry/organization_domains/{domain_id}/attempts", lambda page: len(page["data"]) >= number)
    return api.get(f"/tenantry/organization_domains/{domain_id}/diagnosis").json()["last_attempt"]


def value_of(domain: dict[str, Any]) -> str:
    return f"{domain['verification_prefix']}={domain['verification_token']}"


def test_a_domain_is_verified_once_its_record_is_there(
    api: httpx.Client, name_servers: NameServers, watched_database: Database, watched_access: Access
) -> None:
    zone = name_servers.zone(negative_ttl=1)
    made = create(api, zone.name)
    first = last_attempt(api, made["id"])
    assert first["found"] is False
    assert first["verdict"]["code"] == "no_record"
    assert first["questions"][0]["name"] == zone.name
    zone.set_txt(made["domain"], [value_of(made)])
    # Whoever has just published the record does not wait for the hour, but for the resolver to forget.
    path = f"/organization_domains/{made['id']}"
    deadline = time.monotonic() + _SECONDS
    while api.get(path).json()["state"] == "pending":
        assert time.monotonic() < deadline
        api.post(f"{path}/verify")
        time.sleep(0.1)
    verified = api.get(path).json()
    assert verified["state"] == "verified"
    assert api.get(f"/organizations/{made['organization_id']}").json()["domains"] == [verified]
    names = [event["event"] for event in events_of(watched_database, watched_access.environment_id)]
    assert names == ["organization.created", "organization_domain.created", "organization_domain.verified"]
    [owner] = api.get(f"/tenantry/domains/{zone.name}").json()["owners"]
    assert (owner["organization_id"], owner["proof"]) == (made["organization_id"], "dns")


def test_a_record_below_the_domain_verifies_it_too(api: httpx.Client, zone: Zone) -> None:
    made = create(api, f"sub.{zone.name}")
    zone.set_txt(f"_acme-challenge.sub.{zone.name}", [value_of(made)])
    api.post(f"/organization_domains/{made['id']}/verify")
    wait_for(api, f"/organization_domains/{made['id']}", lambda domain: domain["state"] == "verified")


def test_many_domains_are_all_checked(api: httpx.Client, zone: Zone) -> None:
    names = [f"d{number}.{zone.name}" for number in range(40)]
    body = {"name": "Acme", "domain_data": [{"domain": name, "state": "pending"} for name in names]}
    domains = api.post("/organizations", json=body).json()["domains"]
    for domain in domains:
        assert last_attempt(api, domain["id"])["verdict"]["code"] in {"no_record", "nxdomain"}


def test_what_a_killed_server_was_about_to_check_is_checked_by_the_next(
    serve: Serve, zone: Zone, watched_database: Database
) -> None:
    server, api = serve()
    made = create(api, zone.name)
    zone.set_txt(zone.name, [value_of(made)])
    server.kill()
    # As if the lease of what it had claimed were over.
    watched_database.write(lambda tx: tx.run("UPDATE organization_domains SET due_at = 0 WHERE state = 'pending'"))
    _, again = serve()
    wait_for(again, f"/organization_domains/{made['id']}", lambda domain: domain["state"] == "verified")


def test_a_resolver_that_does_not_answer_is_told_as_such(
    database_url: str, watched_access: Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENANTRY_DNS_SERVERS", "127.0.0.1:1")
    server = Server(database_url, tmp_path)
    with client(server.base_url, watched_access.key) as api:
        made = create(api, "acme.com")
        attempt = last_attempt(api, made["id"])
    assert (attempt["found"], attempt["verdict"]["code"]) == (None, "unreachable")
    assert server.stop() == 0
