"""GET /tenantry/snapshot: a consistent copy with the position that leads on from it."""

import json
import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from support import Access, Server, caller_in, client, fresh_database_url, grant, open_migrated
from tenantry.core.caller import Caller
from tenantry.core.db import Database, Transaction
from tenantry.events import service as events
from tenantry.events.positions import place_of
from tenantry.events.wire import EventQuery
from tenantry.node import Nodes
from tenantry.organizations import service, snapshot
from tenantry.organizations.wire import CreateOrganization, UpdateOrganization
from tenantry.settings import Settings

PATH = "/tenantry/snapshot"

Copy = dict[str, dict[str, Any]]


def take(api: httpx.Client) -> tuple[Copy, str]:
    """Return the organizations of a snapshot that is whole, and its position."""
    answer = api.get(PATH)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    start, *organizations, end = [json.loads(line) for line in answer.text.splitlines()]
    assert (start["object"], end) == ("snapshot", {"object": "snapshot_end", "count": len(organizations)})
    assert set(start) == {"object", "position", "created_at"}
    return {each["id"]: each for each in organizations}, start["position"]


def apply_events(api: httpx.Client, copy: Copy, after: str) -> str:
    """Apply what there is past `after`; return the position that leads on."""
    while True:
        page = api.get("/tenantry/events", params={"after": after, "limit": "100"}).json()
        for event in page["data"]:
            apply(copy, event)
        after = page["list_metadata"]["after"]
        if not page["data"]:
            return after


def apply(copy: Copy, event: dict[str, Any]) -> None:
    name, data = event["event"], event["data"]
    if name in {"organization.created", "organization.updated"}:
        copy[data["id"]] = data
    elif name == "organization.deleted":
        copy.pop(data["id"], None)


def truth(database: Database, environment_id: str) -> Copy:
    rows = database.read(
        lambda tx: tx.all("SELECT id, wire FROM organizations WHERE environment_id = :e", e=environment_id)
    )
    return {row[0]: json.loads(row[1]) for row in rows}


def until_equal(api: httpx.Client, copy: Copy, after: str, wanted: Copy) -> None:
    """Apply events until the copy is what it must be; on PostgreSQL the last ones may be held back a while."""
    deadline = time.monotonic() + 20
    while copy != wanted and time.monotonic() < deadline:
        after = apply_events(api, copy, after)
    assert copy == wanted


def test_nothing_makes_an_empty_snapshot(api: httpx.Client) -> None:
    assert take(api) == ({}, "0" * 32)


def test_a_snapshot_holds_every_organization_whole(api: httpx.Client) -> None:
    for number in range(3):
        api.post("/organizations", json={"name": f"Örg\n{number}", "domains": [f"a{number}.com"]})
    listed = api.get("/organizations").json()["data"]
    assert take(api)[0] == {each["id"]: each for each in listed}


def test_events_past_the_position_lead_on(api: httpx.Client) -> None:
    ids = [api.post("/organizations", json={"name": str(number)}).json()["id"] for number in range(4)]
    copy, position = take(api)
    api.delete(f"/organizations/{ids[0]}")
    api.put(f"/organizations/{ids[1]}", json={"name": "New"})
    made = api.post("/organizations", json={"name": "Made"}).json()
    until_equal(api, copy, position, {each["id"]: each for each in api.get("/organizations").json()["data"]})
    assert made["id"] in copy


def test_another_environment_is_not_in_it(server: Server, shared_database: Database, api: httpx.Client) -> None:
    api.post("/organizations", json={"name": "Acme"})
    with client(server.base_url, grant(shared_database, read_only=True).key) as stranger:
        assert take(stranger)[0] == {}


def test_its_head_is_without_lines(api: httpx.Client) -> None:
    answer = api.head(PATH)
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (
        200,
        "application/x-ndjson",
        b"",
    )


class Writer:
    """Changes organizations at random until told to stop, through transactions short and long."""

    def __init__(self, database: Database, caller: Caller, seed: int) -> None:
        self._database, self._caller = database, caller
        self._chance = random.Random(seed)
        self._ids: list[str] = []

    def run(self, done: threading.Event) -> None:
        while not done.is_set():
            self._step(self._chance.random(), self._chance.random() * 0.01)

    def _step(self, choice: float, seconds: float) -> None:
        identity = self._chance.choice(self._ids) if self._ids else ""

        def work(tx: Transaction) -> str | None:
            made = None
            if not identity or choice < 0.4:
                made = service._decode(service.create(tx, self._caller, CreateOrganization(name=str(choice)))).id
            elif choice < 0.8:
                service.update(tx, self._caller, identity, UpdateOrganization(name=str(choice)))
            else:
                service.delete(tx, self._caller, identity)
            time.sleep(seconds)
            return made

        made = self._database.write(work)
        if made:
            self._ids.append(made)
        elif choice >= 0.8:
            self._ids.remove(identity)


def test_a_snapshot_and_the_events_past_it_are_the_state_while_many_write(
    server: Server, shared_url: str, api: httpx.Client, access: Access
) -> None:
    writing = open_migrated(shared_url)
    caller = caller_in(access.environment_id)
    done = threading.Event()
    copies: list[tuple[Copy, str]] = []
    with ThreadPoolExecutor(8) as threads:
        running = [threads.submit(Writer(writing, caller, seed).run, done) for seed in range(8)]
        for _ in range(25):
            time.sleep(0.05)
            copies.append(take(api))
        done.set()
        for each in running:
            each.result()
    wanted = truth(writing, access.environment_id)
    assert len(wanted) > 10
    for copy, position in copies:
        until_equal(api, copy, position, wanted)
    writing.close()


@pytest.mark.parametrize("engine", ["postgres"], indirect=True, scope="session")
def test_what_is_under_way_at_the_snapshot_comes_past_it(database: Database) -> None:
    """What is committed beyond the horizon is in the copy, and its event comes all the same.

    SQLite has one writer: nothing commits there while another transaction is under way.
    """
    caller = caller_in(grant(database).environment_id)
    begun, release = threading.Event(), threading.Event()

    def long(tx: Transaction) -> None:
        service.create(tx, caller, CreateOrganization(name="under way"))
        begun.set()
        assert release.wait(10)

    def create(name: str) -> None:
        database.write(lambda tx: service.create(tx, caller, CreateOrganization(name=name)))

    create("before")
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(database.write, long)
        assert begun.wait(10)
        create("committed later")
        download = database._scan(lambda tx: snapshot.take(tx, caller))  # type: ignore[attr-defined]
        release.set()
        running.result(10)
    download.file.seek(0)
    start, *copied, _ = [json.loads(line) for line in download.file.read().splitlines()]
    download.file.close()
    assert [each["name"] for each in copied] == ["before", "committed later"]
    place = place_of(start["position"])
    chosen = events.chosen_by(EventQuery())
    names: list[str] = []
    deadline = time.monotonic() + 20
    while len(names) < 2 and time.monotonic() < deadline:
        found = database.read(lambda tx: events.follow(tx, caller, chosen, place, 10))
        names = [json.loads(row.wire)["data"]["name"] for row in found.events]
    assert names[-2:] == ["under way", "committed later"]


def test_a_large_snapshot_costs_little_memory_even_for_slow_clients(
    engine: str, postgres: str | None, tmp_path: Path
) -> None:
    """Ten clients that do not read, of a snapshot of 20 MiB."""
    with fresh_database_url(engine, tmp_path, postgres) as url:
        database = open_migrated(url)
        access = grant(database)
        caller = caller_in(access.environment_id)
        body = CreateOrganization(name="Acme", metadata={f"k{number}": "x" * 600 for number in range(35)})
        for _ in range(10):
            database.write(lambda tx: [service.create(tx, caller, body) for _ in range(100)])
        server = Server(url, tmp_path)
        with client(server.base_url, access.key) as api:
            copy, _ = take(api)
            assert len(copy) == 1000
            before = server.settled_memory()
            head = f"GET {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {access.key}\r\n\r\n".encode()
            held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(10)]
            for connection in held:
                connection.sendall(head)
            growth = server.settled_memory() - before
            assert api.get("/organizations").status_code == 200
            for connection in held:
                connection.close()
            assert growth < 40 << 20, growth
            held = [socket.create_connection(("127.0.0.1", server.port))]
            held[0].sendall(head)
            time.sleep(1)
        # One client is still in the middle of its answer, and does not read on.
        assert server.stop() == 0
        held[0].close()
        database.close()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_it_works_through_asgi(database: Database, method: str) -> None:
    access = grant(database)
    world = database._world  # type: ignore[attr-defined]
    served = Nodes(Settings(), world.clock).open(database, world).app
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {access.key}".encode())]
    scope = {"type": "http", "method": method, "path": PATH, "query_string": b"", "headers": headers}
    await served(scope, receive, send)
    text = b"".join(message.get("body", b"") for message in sent)
    assert sent[0]["status"] == 200
    assert text.count(b"\n") == (2 if method == "GET" else 0)
