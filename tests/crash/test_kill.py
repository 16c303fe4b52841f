"""An acknowledged write survives kill -9, with exactly one event."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from support import Access, Server, client, events_of, grant, open_migrated

CLIENTS = 8
MOST_CREATES = 2000
ENOUGH = 150


class Writers:
    """Clients that create organizations until the server is gone; `acknowledged` are those answered 201."""

    def __init__(self, server: Server, access: Access) -> None:
        self._server, self._access = server, access
        self.acknowledged: list[dict[str, Any]] = []
        self.enough = threading.Event()

    def run(self, number: int) -> None:
        with client(self._server.base_url, self._access.key) as api:
            for count in range(MOST_CREATES):
                body = {
                    "name": f"Org {number}-{count}",
                    "external_id": f"{number}-{count}",
                    "domains": ["acme.com"],
                }
                try:
                    answer = api.post("/organizations", json=body)
                except httpx.TransportError:
                    return
                assert answer.status_code == 201, answer.text
                self.acknowledged.append(answer.json())
                if len(self.acknowledged) >= ENOUGH:
                    self.enough.set()


def test_every_acknowledged_create_is_there_after_kill_9_with_one_event(database_url: str, tmp_path: Path) -> None:
    acknowledged: list[dict[str, Any]] = []
    for _ in range(2):
        access = fresh_access(database_url)
        server = Server(database_url, tmp_path)
        writers = Writers(server, access)
        with ThreadPoolExecutor(CLIENTS) as threads:
            running = [threads.submit(writers.run, number) for number in range(CLIENTS)]
            assert writers.enough.wait(30)
            server.kill()
            for each in running:
                each.result()
        check(database_url, tmp_path, access, writers.acknowledged)
        acknowledged += writers.acknowledged
    assert len(acknowledged) >= 2 * ENOUGH


def fresh_access(database_url: str) -> Access:
    database = open_migrated(database_url)
    access = grant(database)
    database.close()
    return access


def check(database_url: str, folder: Path, access: Access, acknowledged: list[dict[str, Any]]) -> None:
    """Start anew; compare what is served and recorded with what was acknowledged."""
    server = Server(database_url, folder)
    with client(server.base_url, access.key) as api:
        for made in acknowledged:
            assert api.get(f"/organizations/{made['id']}").json() == made
        present = all_of(api)
    assert server.stop() == 0
    database = open_migrated(database_url)
    recorded = events_of(database, access.environment_id)
    database.close()
    for kind, ids in (
        ("organization.created", {each["id"] for each in present}),
        ("organization_domain.created", {domain["id"] for each in present for domain in each["domains"]}),
    ):
        counted = Counter(event["data"]["id"] for event in recorded if event["event"] == kind)  # type: ignore[index]
        assert counted == dict.fromkeys(ids, 1)


def all_of(api: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = None
    while True:
        query = {"order": "desc", "limit": "100"} | ({"after": after} if after else {})
        page = api.get("/organizations", params=query).json()
        found += page["data"]
        after = page["list_metadata"]["after"]
        if after is None:
            return found
