"""Three servers on one PostgreSQL, one killed under load: nothing is lost, nothing is made twice."""

import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from support import (
    Access,
    Server,
    client,
    events_of,
    fresh_database_url,
    grant,
    open_migrated,
    wait_until_served,
)

SERVERS = 3
CLIENTS = 6
CREATES = 60
ENOUGH = CLIENTS * CREATES // 3
MOST_TRIES = 60


class Writer:
    """A client that creates organizations, each under a key, and asks the next server when one fails it."""

    def __init__(self, servers: list[Server], access: Access, number: int) -> None:
        self._apis = [client(server.base_url, access.key) for server in servers]
        self._number, self._turn = number, number

    def run(self, acknowledged: list[str], enough: threading.Event) -> None:
        """Create; add the ids to `acknowledged`, and tell when there are enough to kill a server."""
        for count in range(CREATES):
            acknowledged.append(self._create(f"{self._number}-{count}"))
            if len(acknowledged) >= ENOUGH:
                enough.set()
        for api in self._apis:
            api.close()

    def _create(self, name: str) -> str:
        headers = {"idempotency-key": secrets.token_hex(8)}
        for _ in range(MOST_TRIES):
            api = self._apis[self._turn % SERVERS]
            self._turn += 1
            try:
                answer = api.post("/organizations", json={"name": name}, headers=headers)
            except httpx.TransportError:
                continue
            if answer.status_code == 201:
                identity: str = answer.json()["id"]
                return identity
            assert answer.status_code == 503, answer.text
        raise AssertionError("no server took it")


@pytest.fixture
def url(postgres: str | None, tmp_path: Path) -> Iterator[str]:
    """A database on PostgreSQL."""
    with fresh_database_url("postgres", tmp_path, postgres) as made:
        yield made


@pytest.fixture
def servers(url: str, tmp_path: Path) -> Iterator[list[Server]]:
    """Three processes on one database."""
    open_migrated(url).close()
    started = [Server(url, tmp_path) for _ in range(SERVERS)]
    yield started
    for server in started:
        server.kill()


def test_three_servers_lose_nothing_when_one_is_killed(servers: list[Server], url: str) -> None:
    database = open_migrated(url)
    access, enough = grant(database), threading.Event()
    acknowledged: list[str] = []
    with ThreadPoolExecutor(CLIENTS) as threads:
        writers = [Writer(servers, access, number) for number in range(CLIENTS)]
        running = [threads.submit(writer.run, acknowledged, enough) for writer in writers]
        assert enough.wait(30)
        servers[1].kill()
        for each in running:
            each.result()
    wait_until_served(database)
    events = events_of(database, access.environment_id)
    database.close()
    assert len(acknowledged) == CLIENTS * CREATES
    assert sorted(event["data"]["id"] for event in events) == sorted(acknowledged)  # type: ignore[index]
    for server in (servers[0], servers[2]):
        with client(server.base_url, access.key) as api:
            assert sorted(feed(api)) == sorted(acknowledged)
            assert sorted(listed(api)) == sorted(acknowledged)


def feed(api: httpx.Client) -> list[str]:
    """Return the ids of the organizations in the feed, as one pages through it."""
    found: list[str] = []
    after = None
    while True:
        query = {"events": "organization.created", "limit": "100"} | ({"after": after} if after else {})
        page = api.get("/events", params=query).json()
        found += [event["data"]["id"] for event in page["data"]]
        after = page["list_metadata"]["after"]
        if after is None:
            return found


def listed(api: httpx.Client) -> list[str]:
    """Return the ids of all organizations, as one pages through them."""
    found: list[str] = []
    after = None
    while True:
        query = {"order": "asc", "limit": "100"} | ({"after": after} if after else {})
        page = api.get("/organizations", params=query).json()
        found += [each["id"] for each in page["data"]]
        after = page["list_metadata"]["after"]
        if after is None:
            return found
