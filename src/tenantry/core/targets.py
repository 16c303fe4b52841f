"""Where webhooks and streams may be sent, as pure functions of values.

A URL is checked when it is registered, and each address once more when it is connected
to: a name may have pointed elsewhere by then. Nothing here asks a name server.
"""

import ipaddress
import re
import socket
import unicodedata
from urllib.parse import urlsplit

import idna
import msgspec

from tenantry.core.addresses import Address, Network, is_allowed

LONGEST_URL = 2048

_LOOPBACK = ipaddress.IPv4Address("127.0.0.1")
_LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")
# A host that ends in a number is an IPv4 address in some spelling, or nothing (WHATWG URL, «ends in a number»).
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:\d+|0x[0-9a-f]*)", re.ASCII | re.DOTALL)
_HOST = re.compile(r"[a-z0-9_.-]+", re.ASCII)


class TargetPolicy(msgspec.Struct, frozen=True):
    """What may be sent to besides https at public addresses: plain http, and networks that are not public."""

    http: bool = False
    networks: tuple[Network, ...] = ()


class RefusedTarget(ValueError):
    """Nothing may be sent there; the message says why."""


def check_url(url: str, policy: TargetPolicy) -> None:
    """Raise RefusedTarget unless `url` may be registered as far as its text tells."""
    if len(url.encode()) > LONGEST_URL:
        raise RefusedTarget(f"it is longer than {LONGEST_URL} bytes")
    if any(character <= " " or character in {"\x7f", "\\"} for character in url):
        raise RefusedTarget("it holds a space, a backslash or a control character")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise RefusedTarget("it is not a URL") from error
    schemes = ("https", "http") if policy.http else ("https",)
    if parts.scheme not in schemes:
        raise RefusedTarget(f"it must begin with {' or '.join(f'{each}://' for each in schemes)}")
    if not host:
        raise RefusedTarget("it names no host")
    _check_host(_folded(host), policy)


def _folded(host: str) -> str:
    """Return a host as a resolver would come to read it: one width, one case, plain dots, none at the end."""
    return unicodedata.normalize("NFKC", host).replace("。", ".").lower().rstrip(".")


def _check_host(host: str, policy: TargetPolicy) -> None:
    address = literal(host)
    if address is not None:
        check_address(address, policy)
    elif _is_local(host):
        check_address(_LOOPBACK, policy)
    elif not _is_name(host):
        raise RefusedTarget("its host is not a name or an address")


def _is_name(host: str) -> bool:
    if host.isascii():
        return _HOST.fullmatch(host) is not None
    try:
        idna.encode(host, uts46=True)
    except idna.IDNAError:
        return False
    return True


def _is_local(host: str) -> bool:
    return host in _LOCAL_NAMES or host.endswith(".localhost")


def literal(host: str) -> Address | None:
    """Return the address that `host` spells, in any form that an operating system takes: None for a name.

    `2130706433`, `0x7f.1` and `0177.0.0.1` are 127.0.0.1. Raises RefusedTarget for a number
    that is no address, and for one with a zone.
    """
    if ":" in host:
        if "%" in host:
            raise RefusedTarget("its address has a zone")
        try:
            return ipaddress.IPv6Address(host)
        except ValueError as error:
            raise RefusedTarget("its host is not an address") from error
    if not _ENDS_IN_NUMBER.fullmatch(host):
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError as error:
        raise RefusedTarget("its host is not an address") from error


def check_address(address: Address, policy: TargetPolicy) -> None:
    """Raise RefusedTarget unless `address` may be connected to."""
    if not is_allowed(address, policy.networks):
        raise RefusedTarget(f"{address} is not a public address")
