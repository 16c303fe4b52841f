"""Breaking a connection as a network does, where granian serves: before the answer, or in the midst of it.

RSGI gives an application no way to close its connection. But the process has the
connection's descriptor, and a client's address has one connection to our port.
"""

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from http.client import responses
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, TypeAlias

_DESCRIPTORS = Path("/dev/fd")  # Linux and macOS have it
_SEND_SECONDS = 10.0  # for a client that reads nothing of what it asked for

_Address: TypeAlias = tuple[IPv4Address | IPv6Address, int]


class Broken(Exception):
    """A request is not answered: its connection ends."""


class Dropped(Broken):
    """The connection ends before anything is sent."""


class Truncated(Broken):
    """The connection ends after the beginning of an answer, whose header announces more than is sent."""

    def __init__(self, status: int, fields: list[tuple[str, str]], start: bytes) -> None:
        super().__init__()
        self.status = status
        self.fields = fields
        self.start = start

    def sent(self) -> bytes:
        """Return what goes out, as HTTP/1.1."""
        lines = [
            f"HTTP/1.1 {self.status} {responses.get(self.status, '')}",
            *(f"{name}: {value}" for name, value in self.fields),
            "",
            "",
        ]
        return "\r\n".join(lines).encode("latin-1") + self.start


async def break_off(broken: Broken, scope: Any) -> None:
    """End the connection of an RSGI request as `broken` says.

    What else the connection carries ends with it, as it does when a network fails. The beginning
    of an answer is written past the server, which may let go of what it was given when it finds that this
    is less than announced. It has nothing to send meanwhile: the request before is answered.
    """
    for held in _held(scope):
        with contextlib.suppress(OSError):
            if isinstance(broken, Truncated) and not scope.http_version.startswith("2"):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_SEND_SECONDS):
                        await asyncio.get_running_loop().sock_sendall(held, broken.sent())
            held.shutdown(socket.SHUT_RDWR)


def _held(scope: Any) -> Iterator[socket.socket]:
    """Yield the connection of a request, by a descriptor of its own: nothing else can come to have its number."""
    _, port = _parsed(scope.server)  # the host is that of the listening socket, which may be 0.0.0.0
    client = _parsed(scope.client)
    for descriptor in _sockets():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as held:
            if _port_of(held.getsockname()) == port and _parsed_name(held.getpeername()) == client:
                held.settimeout(0)
                yield held


def _sockets() -> list[int]:
    return [int(path.name) for path in list(_DESCRIPTORS.iterdir()) if _is_socket(int(path.name))]


def _is_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def _parsed(address: str) -> _Address:
    host, _, port = address.rpartition(":")
    return _without_zone(host.strip("[]")), int(port)


def _port_of(name: Any) -> int | None:
    """Return the port of an IPv4 or IPv6 socket's name, None of any other's."""
    return name[1] if isinstance(name, tuple) and len(name) > 1 else None


def _parsed_name(name: Any) -> _Address:
    return _without_zone(name[0]), name[1]


def _without_zone(host: str) -> IPv4Address | IPv6Address:
    return ip_address(host.partition("%")[0])
