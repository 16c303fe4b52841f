"""Which addresses on the internet may be reached at somebody else's word, as pure functions of values.

Whoever names a host for us to reach, as the receiver of webhooks or as a name server, must not
lead us into networks that are not theirs to show.
"""

import ipaddress
import re
from typing import NamedTuple

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Special by the registries of IANA, though `ipaddress` of some Python versions counts them as global;
# and one address that is a cloud's own, though public by its number: Azure's instance services.
_SPECIAL: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("192.0.0.0/24", "192.88.99.0/24", "100.64.0.0/10", "168.63.129.16/32"),
        *("2001::/23", "3fff::/20", "5f00::/16", "100::/64", "64:ff9b:1::/48", "fec0::/10"),
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_IPV4_COMPATIBLE = ipaddress.IPv6Network("::/96")
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})
_LOW = 0xFFFFFFFF
_SERVER = re.compile(r"(?:\[([^]]+)\]|([^:]+))(?::(\d{1,5}))?|[^]\[]*:[^]\[]*:[^]\[]*", re.ASCII)


def networks(text: str) -> tuple[Network, ...]:
    """Return the networks of a comma-separated list such as `10.0.0.0/8, fd00::/8`.

    Raises ValueError, which names the one that is none.
    """
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


class Server(NamedTuple):
    """A server by its address, and its port there."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def servers(text: str, port: int) -> tuple[Server, ...]:
    """Return the servers of a comma-separated list such as `192.0.2.1, 192.0.2.2:5353, [2001:db8::1]:53`.

    `port` is that of those without one. Raises ValueError, which names the one that is none.
    """
    return tuple(_server(part.strip(), port) for part in text.split(",") if part.strip())


def _server(text: str, port: int) -> Server:
    match = _SERVER.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no address, and none with a port")
    six, four, given = match.groups()
    address = ipaddress.ip_address(six or four or text)
    if given is not None and not 0 < int(given) < 1 << 16:
        raise ValueError(f"{text!r} has no port between 1 and 65535")
    return Server(str(address), port if given is None else int(given))


def is_allowed(address: Address, allowed: tuple[Network, ...]) -> bool:
    """Return whether `address` may be reached: it is public, or one of the networks that are allowed holds it."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return is_public(address) or any(_within(network, form) for network in allowed for form in (address, mapped))


def _within(network: Network, address: Address | None) -> bool:
    return address is not None and address.version == network.version and address in network


def is_public(address: Address) -> bool:
    """Return whether `address` belongs to the internet at large, and so does any IPv4 address within it.

    Loopback, private, shared, link-local, multicast, unspecified, reserved and documentation
    addresses do not (the registries of IANA that `ipaddress` follows), nor does a cloud's metadata.
    """
    inner = embedded(address) if isinstance(address, ipaddress.IPv6Address) else None
    if inner is not None:
        return is_public(inner)
    special = address.is_multicast or any(_within(network, address) for network in _SPECIAL)
    return address.is_global and not special


def embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that traffic to `address` may end at: mapped, compatible, 6to4, NAT64, ISATAP."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    number = int(address)
    within = address in _NAT64 or address in _IPV4_COMPATIBLE or number >> 32 & _LOW in _ISATAP
    return ipaddress.IPv4Address(number & _LOW) if within else None
