"""GET /tenantry/events/stream: Server-Sent Events."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest

from support import Access, Server, client, fresh_database_url, grant, open_migrated
from tenantry.core.db import Database
from tenantry.environments import service as environments
from tenantry.events import follow
from tenantry.node import Nodes
from tenantry.settings import Settings

STREAM = "/tenantry/events/stream"
START = "0" * 32
MOST_POOLED = 8  # connections that the server may have opened to PostgreSQL meanwhile

Message = dict[str, str]


def messages(lines: Iterator[str]) -> Iterator[Message]:
    """Yield the messages of a stream, as its specification reads them."""
    message: Message = {}
    for line in lines:
        if not line:
            if "data" in message:
                yield message
            message = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            message[name] = value


def read(api: httpx.Client, count: int, headers: dict[str, str] | None = None, **query: str) -> list[Message]:
    """Return the first `count` messages of a stream, and leave it."""
    with api.stream("GET", STREAM, params=query, headers=headers) as answer:
        assert answer.status_code == 200
        found = messages(answer.iter_lines())
        return [next(found) for _ in range(count)]


def create(api: httpx.Client, name: str = "Acme") -> str:
    identity: str = api.post("/organizations", json={"name": name}).json()["id"]
    return identity


def subjects(found: list[Message]) -> list[str]:
    return [json.loads(message["data"])["data"]["id"] for message in found]


def test_a_message_is_an_event_under_its_position(api: httpx.Client) -> None:
    create(api)
    (message,) = read(api, 1)
    event = json.loads(message["data"])
    assert (message["id"], message["event"]) == (event["position"], "organization.created")
    assert api.get("/tenantry/events").json()["data"] == [event]


def test_a_stream_is_not_kept_by_caches_or_proxies(api: httpx.Client) -> None:
    with api.stream("GET", STREAM) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-accel-buffering"] == "no"
        assert "x-request-id" in answer.headers


def test_events_to_come_are_streamed_as_they_happen(api: httpx.Client) -> None:
    with api.stream("GET", STREAM) as answer:
        found = messages(answer.iter_lines())
        for _ in range(3):
            made = create(api)
            assert subjects([next(found)]) == [made]


def test_a_stream_resumes_past_the_last_event_id_or_after(api: httpx.Client) -> None:
    ids = [create(api, str(number)) for number in range(4)]
    every = read(api, 4)
    assert subjects(every) == ids
    assert read(api, 2, after=every[1]["id"]) == every[2:]
    assert read(api, 2, {"Last-Event-ID": every[1]["id"]}) == every[2:]
    assert read(api, 2, after=json.loads(every[1]["data"])["id"]) == every[2:]
    assert read(api, 1, {"Last-Event-ID": every[2]["id"]}, after=every[0]["id"]) == every[3:]


def test_a_wrong_last_event_id_is_told(api: httpx.Client) -> None:
    for value in ("x", "é".encode("latin-1")):
        answer = api.get(STREAM, headers=[(b"last-event-id", value if isinstance(value, bytes) else b"x")])
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "after")


def test_only_what_is_asked_for_is_streamed(api: httpx.Client) -> None:
    made, other = create(api), create(api)
    api.delete(f"/organizations/{made}")
    api.delete(f"/organizations/{other}")
    assert subjects(read(api, 2, events="organization.deleted")) == [made, other]
    assert subjects(read(api, 2, organization_id=other)) == [other, other]


def test_the_head_of_a_stream_ends(api: httpx.Client) -> None:
    answer = api.head(STREAM)
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "text/event-stream", b"")


def test_a_revoked_key_ends_the_stream(api: httpx.Client, shared_database: Database, access: Access) -> None:
    with api.stream("GET", STREAM) as answer:
        chunks = answer.iter_bytes()
        assert next(chunks).startswith(b"retry:")
        keys = shared_database.read(
            lambda tx: tx.all("SELECT id FROM api_keys WHERE environment_id = :e", e=access.environment_id)
        )
        shared_database.write(lambda tx: environments.revoke_key(tx, keys[0][0]))
        assert list(chunks) == []  # not even the heartbeat that comes after 15 seconds


def test_a_heartbeat_shows_that_the_stream_is_alive(api: httpx.Client) -> None:
    with api.stream("GET", STREAM) as answer:
        chunks = answer.iter_bytes()
        next(chunks)
        began = time.monotonic()
        assert next(chunks) == b":\n\n"
        assert time.monotonic() - began > 14


def test_a_stream_ends_after_so_many_bytes_and_resumes_without_a_gap(api: httpx.Client) -> None:
    size = 600
    body = {"name": "Acme", "metadata": {f"k{number}": "x" * size for number in range(50)}}
    count = follow.MOST_BYTES // (50 * size) + 20
    ids = [api.post("/organizations", json=body).json()["id"] for _ in range(count)]
    seen: list[Message] = []
    streams = 0
    while len(seen) < count:
        headers = {"Last-Event-ID": seen[-1]["id"]} if seen else {}
        with api.stream("GET", STREAM, headers=headers) as answer:
            seen += islice(messages(answer.iter_lines()), count - len(seen))
        streams += 1
    assert subjects(seen) == ids
    assert streams > 1


def test_slow_clients_cost_no_more_however_much_is_written(
    engine: str, postgres: str | None, tmp_path: Path
) -> None:
    """Twenty clients that never read have their streams cut: what is written later is not kept for them."""
    with fresh_database_url(engine, tmp_path, postgres) as url, contextlib.ExitStack() as held:
        database = open_migrated(url)
        access = grant(database)
        server = Server(url, tmp_path)
        held.callback(server.kill)
        with client(server.base_url, access.key) as api:
            body = {"name": "Acme", "metadata": {f"k{number}": "x" * 600 for number in range(50)}}
            for _ in range(60):
                api.post("/organizations", json=body)
            head = f"GET {STREAM} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {access.key}\r\n\r\n".encode()
            for _ in range(20):
                connection = held.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                connection.sendall(head)
            before = server.settled_memory()
            for _ in range(60):
                api.post("/organizations", json=body)
            assert server.settled_memory() - before < 16 << 20, "60 events of 32 KiB for 20 clients are 38 MiB"
        database.close()


async def test_a_stream_works_through_asgi_and_ends_when_the_client_goes(database: Database) -> None:
    access = grant(database)
    world = database._world  # type: ignore[attr-defined]
    served = Nodes(Settings(), world.clock).open(database, world).app
    sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    gone = asyncio.Event()
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b""}
        await gone.wait()
        return {"type": "http.disconnect"}

    scope = {
        "type": "http",
        "method": "GET",
        "path": STREAM,
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {access.key}".encode()), (b"last-event-id", START.encode())],
    }
    serving = asyncio.create_task(served(scope, receive, sent.put))
    start = await sent.get()
    assert (start["status"], dict(start["headers"])[b"content-type"]) == (200, b"text/event-stream")
    assert (await sent.get())["body"].startswith(b"retry:")
    gone.set()
    await asyncio.wait_for(serving, 5)
    assert served._watch._subjects == {}


def sockets(server: Server) -> int:
    """Return how many connections a server has open."""
    count = 0
    for link in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            count += "socket" in str(link.readlink())
    return count


def test_a_client_that_goes_away_leaves_nothing_behind(server: Server, api: httpx.Client) -> None:
    """Of streams opened and dropped, and of waits, no connection stays open in the server."""
    create(api)
    read(api, 1)

    before = sockets(server)
    for _ in range(20):
        read(api, 1)
        with pytest.raises(httpx.ReadTimeout):
            api.get("/tenantry/events", params={"wait": "25", "events": "organization.deleted"}, timeout=0.05)
    deadline = time.monotonic() + 10
    while sockets(server) > before + MOST_POOLED and time.monotonic() < deadline:
        time.sleep(0.1)
    assert sockets(server) <= before + MOST_POOLED


def test_a_server_that_stops_ends_its_streams(engine: str, postgres: str | None, tmp_path: Path) -> None:
    with fresh_database_url(engine, tmp_path, postgres) as url:
        database = open_migrated(url)
        server = Server(url, tmp_path)
        with client(server.base_url, grant(database).key) as api, api.stream("GET", STREAM) as answer:
            chunks = answer.iter_bytes()
            next(chunks)
            assert server.stop() == 0
            assert list(chunks) == []
        database.close()
