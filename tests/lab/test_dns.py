"""Domain checks of a universe ask its own DNS; `dig` and others see the same at its name server."""

import socket
import subprocess
from typing import Any

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import httpx
import pytest

from support import IN_CI, Server, free_port

DNS = "/tenantry/lab/dns"
ADVANCE = "/tenantry/lab/clock/advance"
_DIG_SECONDS = 30


@pytest.fixture
def acme(fork: Any) -> tuple[httpx.Client, dict[str, Any]]:
    """A universe whose clock stands still, and an organization's pending domain in it."""
    universe = fork(frozen=True)
    body = {"name": "Acme", "domain_data": [{"domain": "acme.com", "state": "pending"}]}
    made = universe.post("/organizations", json=body).raise_for_status().json()
    return universe, made["domains"][0]


def value_of(domain: dict[str, Any]) -> str:
    return f"{domain['verification_prefix']}={domain['verification_token']}"


def state_of(universe: httpx.Client, domain: dict[str, Any]) -> str:
    state: str = universe.get(f"/organization_domains/{domain['id']}").json()["state"]
    return state


def advance(universe: httpx.Client, by: str) -> None:
    universe.post(ADVANCE, json={"by": by}).raise_for_status()


def events_of(universe: httpx.Client) -> list[str]:
    page = universe.get("/tenantry/events", params={"limit": 100}).raise_for_status().json()
    return [each["event"] for each in page["data"]]


def put(universe: httpx.Client, name: str, **rule: Any) -> None:
    universe.put(f"{DNS}/{name}", json=rule).raise_for_status()


def test_thirty_days_without_the_record_fail_a_domain_with_its_event(
    acme: tuple[httpx.Client, dict[str, Any]],
) -> None:
    universe, domain = acme
    advance(universe, "29d")
    assert state_of(universe, domain) == "pending"
    advance(universe, "2d")
    assert state_of(universe, domain) == "failed"
    assert events_of(universe)[-1] == "organization_domain.verification_failed"


def test_a_domain_is_verified_once_its_record_is_set(acme: tuple[httpx.Client, dict[str, Any]]) -> None:
    universe, domain = acme
    advance(universe, "1d")
    put(universe, "acme.com", txt=["v=spf1 -all", value_of(domain)])
    advance(universe, "1d")
    assert state_of(universe, domain) == "verified"
    assert events_of(universe)[-1] == "organization_domain.verified"


def test_a_domain_is_verified_through_an_alias(acme: tuple[httpx.Client, dict[str, Any]]) -> None:
    universe, domain = acme
    diagnosis = universe.get(f"/tenantry/organization_domains/{domain['id']}/diagnosis").raise_for_status().json()
    challenge = next(each["name"] for each in diagnosis["publish"] if each["name"] != "acme.com")
    put(universe, challenge, cname="records.acme.net")
    put(universe, "records.acme.net", txt=[value_of(domain)])
    advance(universe, "1d")
    assert state_of(universe, domain) == "verified"


@pytest.mark.parametrize(
    ("rule", "rcode"),
    [
        ({"fails": "servfail"}, "SERVFAIL"),
        ({"fails": "timeout"}, None),
        ({"fails": "nxdomain"}, "NXDOMAIN"),
        ({"delay_ms": 60_000, "txt": ["late"]}, None),
    ],
)
def test_a_check_keeps_what_the_dns_of_the_universe_said(
    acme: tuple[httpx.Client, dict[str, Any]], rule: dict[str, Any], rcode: str | None
) -> None:
    universe, domain = acme
    put(universe, "acme.com", **rule)
    advance(universe, "2d")
    attempts = universe.get(f"/tenantry/organization_domains/{domain['id']}/attempts").raise_for_status().json()
    asked = next(each for each in attempts["data"][0]["questions"] if each["name"] == "acme.com")
    assert (asked["server"], asked["rcode"]) == ("the lab", rcode)
    assert state_of(universe, domain) == "pending"


def test_a_record_that_flaps_is_found_at_last(acme: tuple[httpx.Client, dict[str, Any]]) -> None:
    universe, domain = acme
    put(universe, "acme.com", txt=[value_of(domain)], every_second_fails="servfail")
    advance(universe, "3d")
    assert state_of(universe, domain) == "verified"


def test_no_universe_sees_the_dns_of_another(fork: Any) -> None:
    one, other = fork(), fork()
    put(one, "acme.com", txt=["one"])
    assert other.get(f"{DNS}/acme.com").status_code == 404
    assert [each["name"] for each in one.get(DNS).json()["data"]] == ["acme.com"]
    assert other.get(DNS).json()["data"] == []


def test_a_reset_forgets_what_was_set(universe: httpx.Client, main: httpx.Client) -> None:
    put(universe, "acme.com", txt=["one"])
    identity = universe.get(DNS).json()["universe"]
    universe.post(f"/tenantry/lab/universes/{identity}/reset").raise_for_status()
    assert universe.get(DNS).json()["data"] == []


def test_what_is_set_is_shown_changed_and_forgotten(universe: httpx.Client) -> None:
    put(universe, "_Challenge.ACME.com.", txt=["x"], ttl=60)
    shown = {"object": "dns_name", "name": "_challenge.acme.com", "txt": ["x"], "ttl": 60}
    assert universe.get(f"{DNS}/_challenge.acme.com").json() == shown
    assert universe.get(DNS).json()["data"] == [shown]
    assert universe.delete(f"{DNS}/_challenge.acme.com").status_code == 204
    assert universe.delete(f"{DNS}/_challenge.acme.com").status_code == 404
    put(universe, "a.com", txt=["x"])
    assert universe.delete(DNS).status_code == 204
    assert universe.get(DNS).json()["data"] == []


@pytest.mark.parametrize(
    ("name", "body", "field"),
    [
        ("acme..com", {}, "name"),
        ("acme.com", {"fails": "sometimes"}, "fails"),
        ("acme.com", {"txt": "x"}, "txt"),
        ("acme.com", {"cname": "a b"}, "cname"),
        ("acme.com", {"cname": "b.com", "txt": ["x"]}, "txt"),
        ("acme.com", {"delay_ms": -1}, "delay_ms"),
        ("acme.com", {"text": ["x"]}, "text"),
    ],
)
def test_what_cannot_be_set_is_a_422_that_names_the_field(
    universe: httpx.Client, name: str, body: dict[str, Any], field: str
) -> None:
    refused = universe.put(f"{DNS}/{name}", json=body)
    assert refused.status_code == 422
    assert [each["field"] for each in refused.json()["errors"]] == [field]


def place_of(universe: httpx.Client) -> tuple[str, int, str]:
    """Return host and port of the name server, and the ending of the universe's names."""
    shown = universe.get(DNS).raise_for_status().json()
    host, _, port = shown["server"].rpartition(":")
    return host, int(port), shown["ending"]


def ask(universe: httpx.Client, name: str, type_: str = "TXT", *, tcp: bool = False) -> dns.message.Message:
    host, port, ending = place_of(universe)
    query = dns.message.make_query(f"{name}{ending}", type_, use_edns=0, payload=1232)
    send = dns.query.tcp if tcp else dns.query.udp
    return send(query, host, 10, port)


def texts_of(message: dns.message.Message) -> list[str]:
    return [
        b"".join(record.strings).decode()
        for rrset in message.answer
        if rrset.rdtype == dns.rdatatype.TXT
        for record in rrset
    ]


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_the_name_server_says_what_is_set(universe: httpx.Client, *, tcp: bool) -> None:
    put(universe, "acme.com", txt=['a "quoted" tëxt', "x" * 700], ttl=42)
    answer = ask(universe, "acme.com", tcp=tcp)
    if tcp:
        assert sorted(texts_of(answer)) == ['a "quoted" tëxt', "x" * 700]
        assert answer.answer[0].ttl == 42
    else:
        assert not answer.flags & dns.flags.TC
        assert len(texts_of(answer)) == 2
    assert answer.rcode() == dns.rcode.NOERROR
    assert ask(universe, "other.com", tcp=tcp).rcode() == dns.rcode.NXDOMAIN


def test_what_does_not_fit_into_a_datagram_comes_over_tcp(universe: httpx.Client) -> None:
    put(universe, "acme.com", txt=["x" * 4000])
    assert ask(universe, "acme.com").flags & dns.flags.TC
    assert texts_of(ask(universe, "acme.com", tcp=True)) == ["x" * 4000]


def test_an_alias_stays_in_its_universe(universe: httpx.Client) -> None:
    put(universe, "acme.com", cname="records.acme.net")
    put(universe, "records.acme.net", txt=["x"])
    alias, target = ask(universe, "acme.com").answer
    _, _, ending = place_of(universe)
    assert alias[0].target.to_text() == f"records.acme.net{ending}."
    assert target.name == alias[0].target
    assert texts_of(ask(universe, "acme.com")) == ["x"]


def test_failures_are_seen_over_the_network_too(universe: httpx.Client) -> None:
    put(universe, "a.com", fails="servfail")
    put(universe, "b.com", fails="refused")
    put(universe, "c.com", txt=["x"], every_second_fails="nxdomain")
    assert ask(universe, "a.com").rcode() == dns.rcode.SERVFAIL
    assert ask(universe, "b.com").rcode() == dns.rcode.REFUSED
    assert [ask(universe, "c.com").rcode() for _ in range(2)] == [dns.rcode.NOERROR, dns.rcode.NXDOMAIN]


def test_an_answer_that_is_slow_comes_as_late_as_it_says(universe: httpx.Client) -> None:
    put(universe, "acme.com", txt=["x"], delay_ms=150)
    host, port, ending = place_of(universe)
    query = dns.message.make_query(f"acme.com{ending}", "TXT")
    with pytest.raises(dns.exception.Timeout):
        dns.query.udp(query, host, 0.05, port)
    assert texts_of(dns.query.udp(query, host, 10, port)) == ["x"]


def test_a_universe_that_is_not_there_is_refused(universe: httpx.Client) -> None:
    host, port, _ = place_of(universe)
    query = dns.message.make_query("acme.com.universe_nowhere.universe", "TXT")
    assert dns.query.udp(query, host, 10, port).rcode() == dns.rcode.REFUSED


def test_the_main_environment_has_the_names_themselves(main: httpx.Client) -> None:
    put(main, "main.example", txt=["main"])
    host, port, ending = place_of(main)
    assert ending == ""
    assert texts_of(dns.query.udp(dns.message.make_query("main.example", "TXT"), host, 10, port)) == ["main"]
    assert main.delete(f"{DNS}/main.example").status_code == 204


def test_bytes_that_are_no_question_get_no_answer_and_do_no_harm(universe: httpx.Client) -> None:
    host, port, _ = place_of(universe)
    put(universe, "acme.com", txt=["x"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as garbage:
        for data in (b"", b"\0", b"\xff" * 600, b"GET / HTTP/1.1\r\n\r\n"):
            garbage.sendto(data, (host, port))
    with socket.create_connection((host, port), 10) as connection:
        connection.sendall(b"\0\x05hello")
        assert connection.recv(1) == b""
    assert texts_of(ask(universe, "acme.com")) == ["x"]


def test_dig_sees_the_same(universe: httpx.Client) -> None:
    put(universe, "acme.com", txt=["tenantry=1"])
    host, port, ending = place_of(universe)
    line = ["dig", f"@{host}", "-p", str(port), "+short", "TXT", f"acme.com{ending}"]
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=_DIG_SECONDS, check=True)
    except FileNotFoundError:
        if IN_CI:
            pytest.fail("CI must have dig: install bind9-dnsutils")
        pytest.skip("NO DIG: install bind9-dnsutils")
    assert done.stdout == '"tenantry=1"\n'


def test_a_port_that_is_given_is_open_from_the_start_and_one_that_is_taken_stops_it(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    port = free_port()
    server = Server("sqlite://", tmp_path_factory.mktemp("dns"), "--dns-port", str(port), command="dev")
    query = dns.message.make_query("acme.com.universe_x.universe", "TXT")
    assert dns.query.udp(query, "127.0.0.1", 10, port).rcode() == dns.rcode.REFUSED
    with pytest.raises(AssertionError, match=f"Cannot listen on 127.0.0.1:{port}"):
        Server("sqlite://", tmp_path_factory.mktemp("dns"), "--dns-port", str(port), command="dev")
    assert server.stop() == 0
