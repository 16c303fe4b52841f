"""Every verdict of the doctor, on that very fault in real name servers."""

import msgspec
import pytest
import uvloop

from dns_server import BOGUS, SECURE, SIGNED_VALUE, NameServers, Zone
from tenantry.core.addresses import networks, servers
from tenantry.domains.doctor import wrong_names
from tenantry.domains.examine import Examination, ResolverOptions, examine
from tenantry.domains.records import Expected
from tenantry.domains.resolver import Resolver

NOW = 1_800_000_000_000
LOOPBACK = networks("127.0.0.0/8")
PREFIX, TOKEN = SIGNED_VALUE.split("=")
OTHER = f"{PREFIX[:-6]}aaaaaa=1111111111111111111111111"


def expected_at(name: str) -> Expected:
    return Expected(name, PREFIX, TOKEN, "app")


def options(name_servers: NameServers) -> ResolverOptions:
    return ResolverOptions(
        servers=servers(name_servers.resolver, 53),
        rate=10_000.0,
        networks=LOOPBACK,
        authority_port=name_servers.authority_port,
    )


def seen(options: ResolverOptions, expected: Expected) -> Examination:
    """Examine on the event loop that the server runs on."""
    return uvloop.run(_examined(options, expected))


async def _examined(options: ResolverOptions, expected: Expected) -> Examination:
    examination = await examine(Resolver(options), expected, lambda: NOW)
    assert len(examination.questions) <= 16
    assert msgspec.json.decode(msgspec.json.encode(examination), type=Examination) == examination
    return examination


@pytest.fixture
def zone(name_servers: NameServers) -> Zone:
    return name_servers.zone()


@pytest.fixture
def how(name_servers: NameServers) -> ResolverOptions:
    return options(name_servers)


def test_a_right_record_verifies_with_two_questions(zone: Zone, how: ResolverOptions) -> None:
    expected = expected_at(zone.name)
    zone.set_txt(zone.name, ["v=spf1 -all", expected.value])
    examination = seen(how, expected)
    assert (examination.found, examination.verdict.code) == (True, "verified")
    assert [question.name for question in examination.questions] == [zone.name, expected.challenge]


def test_a_right_record_below_the_domain_verifies(zone: Zone, how: ResolverOptions) -> None:
    expected = expected_at(zone.name)
    zone.set_txt(expected.challenge, [f"verification_token={TOKEN}"])
    examination = seen(how, expected)
    assert (examination.found, examination.verdict.name) == (True, expected.challenge)


def test_a_record_that_is_delegated_with_an_alias_verifies(
    name_servers: NameServers, zone: Zone, how: ResolverOptions
) -> None:
    expected, provider = expected_at(zone.name), name_servers.zone()
    zone.set(expected.challenge, "CNAME", [f"abc.{provider.name}."])
    provider.set_txt(f"abc.{provider.name}", [expected.value])
    assert seen(how, expected).verdict.code == "verified"


def test_quotes_that_are_part_of_the_value_are_remarked_on(zone: Zone, how: ResolverOptions) -> None:
    expected = expected_at(zone.name)
    zone.set_txt(zone.name, [f"“{expected.value}”"])
    examination = seen(how, expected)
    assert (examination.found, examination.verdict.code) == (True, "verified_with_quotes")


def test_a_record_among_many_is_found_over_tcp(zone: Zone, how: ResolverOptions) -> None:
    expected = expected_at(zone.name)
    zone.set_txt(zone.name, [*(f"{number} {'x' * 300}" for number in range(90)), f"{expected.value}"])
    examination = seen(how, expected)
    assert examination.verdict.code == "verified"
    question = examination.questions[0]
    assert question.transport == "tcp"
    assert len(question.answers) == 20
    assert question.left_out == 71
    assert len(msgspec.json.encode(examination)) < 32_768


def test_a_domain_without_the_record_has_none(zone: Zone, how: ResolverOptions) -> None:
    zone.set_txt(zone.name, ["v=spf1 -all", "google-site-verification=abc"])
    examination = seen(how, expected_at(zone.name))
    verdict = examination.verdict
    assert (examination.found, verdict.code) == (False, "no_record")
    assert f"{zone.name} has 2 other TXT records." in verdict.sentence
    assert f"(host @ in the zone {zone.name})" in verdict.mend
    assert verdict.until == "2027-01-15T08:05:00.000Z"


@pytest.mark.parametrize("number", range(5))
def test_a_record_at_a_wrong_name_is_found_there(zone: Zone, how: ResolverOptions, number: int) -> None:
    expected = expected_at(zone.name)
    wrong = wrong_names(expected)[number]
    zone.set_txt(wrong, [expected.value])
    examination = seen(how, expected)
    assert (examination.found, examination.verdict.code) == (False, "wrong_name")
    assert f"Remove the one at {wrong}." in examination.verdict.mend


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("raw_token", TOKEN),
        ("wrong_case", SIGNED_VALUE.upper()),
        ("truncated", SIGNED_VALUE[:-5]),
        ("other_token", OTHER),
    ],
)
def test_a_value_that_is_nearly_right_is_told(zone: Zone, how: ResolverOptions, code: str, value: str) -> None:
    zone.set_txt(zone.name, [value], ttl=600)
    examination = seen(how, expected_at(zone.name))
    assert (examination.found, examination.verdict.code) == (False, code)
    assert f"«{value}»" in examination.verdict.sentence
    assert examination.verdict.until == "2027-01-15T08:10:00.000Z"


def test_an_alias_of_the_domain_is_followed(zone: Zone, how: ResolverOptions) -> None:
    domain, target = f"app.{zone.name}", f"acme.hosting.{zone.name}"
    zone.set(domain, "CNAME", [f"{target}."])
    zone.set_txt(target, [expected_at(domain).value])
    examination = seen(how, expected_at(domain))
    assert (examination.found, examination.verdict.code) == (True, "verified")


def test_a_domain_that_is_an_alias_is_sent_to_the_name_below_it(zone: Zone, how: ResolverOptions) -> None:
    domain = f"app.{zone.name}"
    zone.set(domain, "CNAME", [f"acme.hosting.{zone.name}."])
    examination = seen(how, expected_at(domain))
    assert (examination.found, examination.verdict.code) == (False, "cname_in_the_way")
    assert f"at _app-challenge.{domain}" in examination.verdict.mend


def test_the_zone_of_an_alias_is_asked_and_not_that_of_its_target(
    name_servers: NameServers, zone: Zone, how: ResolverOptions
) -> None:
    expected = expected_at(f"app.{zone.name}")
    zone.set(expected.domain, "CNAME", [f"acme.{name_servers.zone().name}."])
    assert seen(how, expected).verdict.code == "cname_in_the_way"
    zone.set_txt(expected.challenge, [expected.value])
    examination = seen(how, expected)
    assert examination.verdict.code == "not_propagated"
    asked = {question.authority for question in examination.questions}
    assert asked == {None, f"ns.{zone.name}"}


def test_a_wildcard_alias_is_not_in_the_way(zone: Zone, how: ResolverOptions) -> None:
    zone.set(f"hosting.{zone.name}", "A", ["192.0.2.1"])
    zone.set(f"*.{zone.name}", "CNAME", [f"hosting.{zone.name}."])
    assert seen(how, expected_at(zone.name)).verdict.code == "no_record"


def test_a_domain_that_does_not_exist_is_told_from_one_without_a_record(how: ResolverOptions) -> None:
    examination = seen(how, expected_at("gone.test"))
    assert (examination.found, examination.verdict.code) == (False, "nxdomain")
    assert "is registered" in examination.verdict.mend
    assert examination.verdict.until == "2027-01-15T08:05:00.000Z"


def test_a_server_that_does_not_know_the_zone_is_a_failure_and_no_miss(
    name_servers: NameServers, how: ResolverOptions
) -> None:
    examination = seen(how, expected_at(name_servers.lame_zone()))
    assert (examination.found, examination.verdict.code) == (None, "servfail")


def test_a_server_that_does_not_answer_is_a_failure_of_the_domain_and_not_of_our_resolver(
    name_servers: NameServers, how: ResolverOptions
) -> None:
    impatient = msgspec.structs.replace(how, timeout=0.5, tries=1)
    with name_servers.silent_zone() as name:
        examination = seen(impatient, expected_at(name))
    assert (examination.found, examination.verdict.code) == (None, "servfail")
    assert "timed out" in examination.verdict.sentence


def test_broken_signatures_are_told_from_broken_servers(how: ResolverOptions) -> None:
    examination = seen(how, expected_at(BOGUS))
    assert (examination.found, examination.verdict.code) == (None, "dnssec_bogus")
    assert "Add a TXT record" not in examination.verdict.sentence
    there = Expected(BOGUS, PREFIX.replace("signed", "forged"), TOKEN, "app")
    assert "the record itself is there" in seen(how, there).verdict.sentence


def test_signatures_that_check_out_are_noted(how: ResolverOptions) -> None:
    examination = seen(how, expected_at(SECURE))
    assert examination.verdict.code == "verified"
    assert examination.questions[0].authentic


def test_a_record_that_our_resolver_does_not_see_yet_is_seen_at_the_zones_servers(
    name_servers: NameServers, how: ResolverOptions
) -> None:
    zone = name_servers.zone(negative_ttl=3600)
    expected = expected_at(zone.name)
    assert seen(how, expected).verdict.code == "no_record"
    zone.set_txt(zone.name, [expected.value])
    examination = seen(how, expected)
    assert (examination.found, examination.verdict.code) == (False, "not_propagated")
    assert f"ns.{zone.name}" in examination.verdict.sentence
    assert examination.verdict.until is not None
    assert "2027-01-15T08:30:" < examination.verdict.until <= "2027-01-15T09:00:00.000Z"
    name_servers.forget()
    assert seen(how, expected).verdict.code == "verified"


def test_a_value_that_was_mended_is_seen_at_the_zones_servers(zone: Zone, how: ResolverOptions) -> None:
    expected = expected_at(zone.name)
    zone.set_txt(zone.name, [TOKEN], ttl=3600)
    assert seen(how, expected).verdict.code == "raw_token"
    zone.set_txt(zone.name, [expected.value])
    assert seen(how, expected).verdict.code == "not_propagated"


def test_name_servers_at_addresses_that_are_not_public_are_not_asked(zone: Zone, how: ResolverOptions) -> None:
    examination = seen(msgspec.structs.replace(how, networks=()), expected_at(zone.name))
    asked = [question for question in examination.questions if question.authority is not None]
    assert asked
    assert {question.error for question in asked} == {"was not asked, since its address is not public"}
    assert examination.verdict.code == "no_record"


def test_a_resolver_of_ours_that_is_not_there_says_nothing_about_the_domain(how: ResolverOptions) -> None:
    away = msgspec.structs.replace(how, servers=servers("127.0.0.1:1", 53))
    examination = seen(away, expected_at("acme.test"))
    assert (examination.found, examination.verdict.code) == (None, "unreachable")
    assert "127.0.0.1:1 refused the connection" in examination.verdict.sentence


def test_of_two_resolvers_the_one_that_answers_counts(zone: Zone, how: ResolverOptions) -> None:
    expected = expected_at(zone.name)
    zone.set_txt(zone.name, [expected.value])
    one_away = msgspec.structs.replace(how, servers=(*servers("127.0.0.1:1", 53), *how.servers))
    assert seen(one_away, expected).verdict.code == "verified"


def test_a_domain_whose_wrong_names_are_too_long_is_examined(zone: Zone, how: ResolverOptions) -> None:
    domain = ".".join([*["a" * 60] * 3, zone.name])
    examination = seen(how, expected_at(domain))
    assert examination.verdict.code == "nxdomain"
