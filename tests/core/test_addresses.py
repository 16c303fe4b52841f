"""Which addresses are public, and which may be reached all the same."""

import ipaddress
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.core.addresses import Server, is_allowed, is_public, networks, servers


def test_a_list_of_networks_that_is_none_names_the_wrong_one() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.1/8"):
        networks("fd00::/8, 10.0.0.1/8")


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_inside_an_ipv6_address_counts_as_itself(address: ipaddress.IPv4Address) -> None:
    for around in (
        ipaddress.IPv6Address(f"::ffff:{address}"),
        ipaddress.IPv6Address(f"64:ff9b::{address}"),
        ipaddress.IPv6Address((0x2002 << 112) | (int(address) << 80)),
    ):
        assert is_public(around) == is_public(address)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_what_is_not_public_needs_a_network_that_holds_it(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    assert is_allowed(address, networks(f"{address}"))
    assert is_allowed(address, ()) == is_public(address)


def test_servers_have_an_address_and_may_have_a_port() -> None:
    text = "192.0.2.1, 192.0.2.2:5353,2001:db8::1 ,[2001:db8::2], [2001:DB8::3]:5353,"
    assert servers(text, 53) == (
        Server("192.0.2.1", 53),
        Server("192.0.2.2", 5353),
        Server("2001:db8::1", 53),
        Server("2001:db8::2", 53),
        Server("2001:db8::3", 5353),
    )


@pytest.mark.parametrize(
    "text", ["dns.example.com", "1.2.3", "1.2.3.4:", "1.2.3.4:0", "1.2.3.4:65536", "[::1", "1::]:1"]
)
def test_a_list_of_servers_that_is_none_names_the_wrong_one(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text[:2])):
        servers(f"192.0.2.1,{text}", 53)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), st.integers(1, 65535))
def test_a_server_is_read_as_it_is_written(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int
) -> None:
    server = Server(str(address), port)
    assert servers(str(server), 53) == (server,)
