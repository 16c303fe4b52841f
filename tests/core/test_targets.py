"""Where webhooks may be sent: by the text of the URL, and by the address that is connected to."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.core.addresses import is_public, networks
from tenantry.core.targets import (
    RefusedTarget,
    TargetPolicy,
    check_address,
    check_url,
    literal,
)

PRODUCTION = TargetPolicy()
DEVELOPMENT = TargetPolicy(http=True, networks=networks("127.0.0.0/8, ::1/128"))

LOOPBACK = [
    *("127.0.0.1", "127.1", "127.255.255.254", "127.0.0.1.", "2130706433", "0x7f000001", "0x7F.0.0.1", "0x7f.1"),
    *("0177.0.0.1", "017700000001", "0177.0x1", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]"),
    *("[::ffff:7f00:1]", "localhost", "LOCALHOST", "localhost.", "app.localhost", "app.localhost."),
    *("localhost.localdomain", "\uff11\uff12\uff17.0.0.1", "127。0。0。1", "ⓛocalhost", "ip6-localhost"),
]
ELSEWHERE = [
    *("0.0.0.0", "0", "[::]", "10.0.0.1", "10.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "3232235521"),
    *("169.254.169.254", "0xa9fea9fe", "2852039166", "[fe80::1]", "[fd00:ec2::254]", "[fc00::1]", "100.64.0.1"),
    *("100.100.100.200", "168.63.129.16", "192.0.0.192", "224.0.0.1", "239.255.255.255", "[ff02::1]"),
    *("255.255.255.255", "240.0.0.1", "198.18.0.1", "192.0.2.1", "[2001:db8::1]", "[fec0::1]"),
    *("[::ffff:10.0.0.1]", "[::10.0.0.1]", "[2002:7f00:1::]", "[2002:a00:1::1]", "[64:ff9b::7f00:1]"),
    *("[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::1]", "[2001:0:4136:e378:8000:63bf:3fff:fdd2]"),
    *("[2600::5efe:127.0.0.1]", "[2600::200:5efe:10.0.0.1]"),
]
NONSENSE = [
    *("", "ftp://example.com", "//example.com", "example.com", "https://", "https:///path", "https://?q"),
    *("https://exa mple.com", "https://example.com\\@127.0.0.1", "https://example.com\n", "https://[::1"),
    *("https://[fe80::1%25eth0]", "https://256.256.256.256", "https://1.2.3.4.5", "https://0x", "https://[1:2]"),
    *("https://example.com:99999", "https://example.com:x", "https://ex%61mple.com", "https://xn--\u2028.com"),
    "https://example.com/" + "a" * 2048,
]


@pytest.mark.parametrize("host", [*LOOPBACK, *ELSEWHERE])
def test_an_address_that_is_not_public_is_refused_in_every_spelling(host: str) -> None:
    for url in (f"https://{host}", f"https://{host}:8443/hook", f"https://user:password@{host}/hook"):
        with pytest.raises(RefusedTarget):
            check_url(url, PRODUCTION)


@pytest.mark.parametrize("host", LOOPBACK)
def test_development_reaches_its_own_machine(host: str) -> None:
    check_url(f"http://{host}:3000/hook", DEVELOPMENT)


@pytest.mark.parametrize("host", ELSEWHERE)
def test_development_reaches_nothing_else_that_is_not_public(host: str) -> None:
    with pytest.raises(RefusedTarget):
        check_url(f"http://{host}/hook", DEVELOPMENT)


@pytest.mark.parametrize("url", NONSENSE)
def test_what_is_no_url_is_refused(url: str) -> None:
    for policy in (PRODUCTION, DEVELOPMENT):
        with pytest.raises(RefusedTarget):
            check_url(url, policy)


@pytest.mark.parametrize(
    "url",
    [
        *("https://example.com", "HTTPS://EXAMPLE.COM:8443/a?b=c#d", "https://8.8.8.8/", "https://134744072/"),
        *(
            "https://[2600::1]/",
            "https://user:password@example.com/",
            "https://a_b.example.com",
            "https://exämple.de",
        ),
        *(
            "https://[2002:808:808::1]",
            "https://[64:ff9b::808:808]",
            "https://localhost.example.com",
            "https://intranet",
        ),
    ],
)
def test_a_public_target_is_taken(url: str) -> None:
    check_url(url, PRODUCTION)


def test_plain_http_is_for_development() -> None:
    with pytest.raises(RefusedTarget, match="must begin with https://"):
        check_url("http://example.com", PRODUCTION)
    check_url("http://example.com", DEVELOPMENT)
    with pytest.raises(RefusedTarget, match="must begin with https:// or http://"):
        check_url("ftp://example.com", DEVELOPMENT)


def test_a_network_can_be_allowed() -> None:
    policy = TargetPolicy(networks=networks(" 10.1.0.0/16 ,fd00::/8,"))
    for host in ("10.1.2.3", "[::ffff:10.1.2.3]", "[fd00::1]"):
        check_url(f"https://{host}", policy)
    for host in ("10.2.0.1", "[fc00::1]", "[2002:a01:203::]", "localhost"):
        with pytest.raises(RefusedTarget):
            check_url(f"https://{host}", policy)


@given(st.ip_addresses(v=4))
def test_every_spelling_of_an_ipv4_address_is_that_address(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    parts = str(address).split(".")
    octal, hexadecimal = ".".join(f"0{int(part):o}" for part in parts), ".".join(hex(int(part)) for part in parts)
    for spelling in (str(address), str(number), hex(number), f"0{number:o}", octal, hexadecimal):
        assert literal(spelling) == address


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_what_is_not_public_needs_a_network_that_holds_it(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    check_address(address, TargetPolicy(networks=networks(f"{address}")))
    if is_public(address):
        check_address(address, PRODUCTION)
        assert address.is_global
    else:
        with pytest.raises(RefusedTarget):
            check_address(address, PRODUCTION)


@given(st.text(max_size=30))
def test_no_text_makes_the_check_fail_otherwise(text: str) -> None:
    for url in (text, f"https://{text}", f"https://example.com:{text}", f"https://{text}.com/x"):
        try:
            check_url(url, PRODUCTION)
        except RefusedTarget:
            continue
