"""Breaking a connection as a network does, where granian serves: before the answer, or in the midst of it.

RSGI gives an application no way to close its connection. But the process has the
connection's descriptor, and a client's address has one connection to our port.
"""

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, TypeAlias

_DESCRIPTORS = Path("/dev/fd")  # Linux and macOS have it

_Address: TypeAlias = tuple[IPv4Address | IPv6Address, int]


class Broken(Exception):
    """A request is not answered: its connection ends."""


class Dropped(Broken):
    """The connection ends before anything is sent."""


class Truncated(Broken):
    """The connection ends after the beginning of an answer, which announces more than is sent."""

    def __init__(self, status: int, fields: list[tuple[str, str]], start: bytes) -> None:
        super().__init__()
        self.status = status
        self.fields = fields
        self.start = start


async def break_off(broken: Broken, scope: Any, protocol: Any) -> None:
    """End the connection of an RSGI request as `broken` says."""
    if isinstance(broken, Truncated):
        # The server ends a connection by itself on which less was sent than announced.
        transport = protocol.response_stream(broken.status, broken.fields)
        await transport.send_bytes(broken.start)
    else:
        drop(scope)


def drop(scope: Any) -> None:
    """End the connection that an RSGI request came on: the client sees it closed, without an answer.

    What else the connection carries ends with it, as it does when a network fails.
    """
    _, port = _parsed(scope.server)  # the host is that of the listening socket, which may be 0.0.0.0
    client = _parsed(scope.client)
    for descriptor in _sockets():
        # A number may name another file in a moment: what is looked at and what is shut must be the same.
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as held:
            if _port_of(held.getsockname()) == port and _parsed_name(held.getpeername()) == client:
                held.shutdown(socket.SHUT_RDWR)


def _sockets() -> Iterator[int]:
    for path in list(_DESCRIPTORS.iterdir()):
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.fstat(int(path.name)).st_mode):
                yield int(path.name)


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
