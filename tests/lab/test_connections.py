"""Connections that a fault ends, seen from raw sockets: the right one, at the right byte, and no other."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from support import Server
from tenantry.lab import connections

FAULTS = "/tenantry/lab/faults"
_SECONDS = 20.0
_ENOUGH = 24


class Wire:
    """One connection to the server, kept alive, with the key of a universe."""

    def __init__(self, server: Server, universe: httpx.Client) -> None:
        self._key = universe.headers["authorization"]
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=_SECONDS)

    def send(self, path: str, method: str = "GET") -> None:
        lines = (f"{method} {path} HTTP/1.1", "host: tests", f"authorization: {self._key}", "", "")
        self.socket.sendall("\r\n".join(lines).encode())

    def status(self) -> int:
        """Return the status of the next answer, after reading all of it."""
        head, length = self._head()
        self._exactly(length)
        return int(head.split()[1])

    def rest(self) -> bytes:
        """Return all that comes until the connection ends."""
        received = b""
        while chunk := self.socket.recv(1 << 16):
            received += chunk
        return received

    def _head(self) -> tuple[bytes, int]:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self._exactly(1)
        fields = dict(line.split(b": ", 1) for line in head.strip().split(b"\r\n")[1:])
        return head, int(fields[b"content-length"])

    def _exactly(self, length: int) -> bytes:
        received = b""
        while len(received) < length:
            chunk = self.socket.recv(length - len(received))
            assert chunk, "the connection ended too early"
            received += chunk
        return received


Connect = Callable[[], Wire]


@pytest.fixture
def connect(dev: Server, universe: httpx.Client) -> Iterator[Connect]:
    """Opens connections, which are closed after the test."""
    with ExitStack() as stack:

        def open_one() -> Wire:
            wire = Wire(dev, universe)
            stack.enter_context(closing(wire.socket))
            return wire

        yield open_one


def let(universe: httpx.Client, **rule: Any) -> None:
    assert universe.post(FAULTS, json=rule).status_code == 201


@pytest.mark.parametrize("fault", ["drop", "lose"])
def test_a_connection_that_was_used_before_ends_without_a_byte(
    universe: httpx.Client, connect: Connect, fault: str
) -> None:
    let(universe, fault=fault, path="/organizations")
    wire = connect()
    wire.send("/events?events=organization.created")
    assert wire.status() == 200
    wire.send("/organizations")
    assert wire.rest() == b""


def test_what_was_asked_behind_it_on_the_same_connection_is_not_answered(
    universe: httpx.Client, connect: Connect
) -> None:
    let(universe, fault="drop", path="/organizations", times=1)
    wire = connect()
    wire.send("/organizations")
    wire.send("/organizations")
    assert wire.rest() == b""


def test_other_connections_of_the_same_client_go_on(universe: httpx.Client, connect: Connect) -> None:
    let(universe, fault="drop", path="/organizations")
    let(universe, fault="lose", path="/webhook_endpoints")
    wires = [connect() for _ in range(_ENOUGH)]
    for round_ in range(3):
        for wire in wires:
            wire.send("/events?events=organization.created")
        assert {wire.status() for wire in wires} == {200}
        dropped, lost = wires.pop(), wires.pop(0)
        dropped.send("/organizations")
        lost.send("/webhook_endpoints")
        assert (dropped.rest(), lost.rest()) == (b"", b""), round_
    for wire in wires:
        wire.send("/events?events=organization.created")
    assert {wire.status() for wire in wires} == {200}


def test_many_connections_end_at_once_and_none_is_left_open(
    universe: httpx.Client, connect: Connect, dev: Server
) -> None:
    descriptors = Path(f"/proc/{dev.process.pid}/fd")
    if not descriptors.is_dir():
        pytest.skip("NO /proc: what a process has open is counted there")
    let(universe, fault="drop", path="/organizations")
    universe.get("/events", params={"events": "organization.created"})
    before = len(list(descriptors.iterdir()))
    wires = [connect() for _ in range(_ENOUGH)]
    for wire in wires:
        wire.send("/organizations")
    assert {wire.rest() for wire in wires} == {b""}
    deadline = time.monotonic() + _SECONDS
    while len(list(descriptors.iterdir())) > before + 4:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("wanted", [0, 1, 20])
def test_of_a_truncated_body_exactly_so_much_arrives_and_more_was_announced(
    universe: httpx.Client, connect: Connect, wanted: int
) -> None:
    whole = universe.get("/organizations").content
    let(universe, fault="truncate", path="/organizations", bytes=wanted)
    wire = connect()
    wire.send("/organizations")
    head, _, body = wire.rest().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert f"content-length: {len(whole)}".encode() in head.lower()
    assert body == whole[:wanted]


def test_an_answer_without_a_body_cannot_be_cut_and_says_so_by_its_length(
    universe: httpx.Client, connect: Connect
) -> None:
    made = universe.post("/organizations", json={"name": "Acme"}).json()
    let(universe, fault="truncate", method="DELETE")
    wire = connect()
    wire.send(f"/organizations/{made['id']}", "DELETE")
    head, _, body = wire.rest().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 202")
    assert (b"content-length: 1" in head.lower(), body) == (True, b"")


@pytest.mark.parametrize(
    ("family", "listening", "connecting", "told"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1", "127.0.0.1:{}"),
        (socket.AF_INET, "0.0.0.0", "127.0.0.1", "127.0.0.1:{}"),
        (socket.AF_INET6, "::1", "::1", "[::1]:{}"),
        (socket.AF_INET6, "::", "127.0.0.1", "[::ffff:127.0.0.1]:{}"),
    ],
)
async def test_the_connection_is_found_by_its_client_whatever_the_family(
    family: socket.AddressFamily, listening: str, connecting: str, told: str
) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(family))
        if family == socket.AF_INET6:
            try:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                listener.bind((listening, 0))
            except OSError:
                pytest.skip("NO IPv6: this machine has none")
        else:
            listener.bind((listening, 0))
        listener.listen()
        port = listener.getsockname()[1]
        clients, accepted = list[socket.socket](), list[socket.socket]()
        for _ in range(5):
            clients.append(stack.enter_context(socket.create_connection((connecting, port), timeout=_SECONDS)))
            accepted.append(stack.enter_context(listener.accept()[0]))
        scope = SimpleNamespace(
            server=f"[{listening}]:{port}" if ":" in listening else f"{listening}:{port}",
            client=told.format(clients[2].getsockname()[1]),
        )
        await connections.break_off(connections.Dropped(), scope)
        assert clients[2].recv(1) == b""
        for client, server in zip(clients, accepted, strict=True):
            if client is not clients[2]:
                server.sendall(b"x")
                assert client.recv(1) == b"x"
