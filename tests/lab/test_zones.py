"""What is set for a name is what a question gets, whether it is asked in the process or over the network."""

import dns.rdata
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.domains.examine import Asker
from tenantry.domains.questions import Question
from tenantry.domains.records import text_of
from tenantry.lab.zone_asker import ZoneAsker, once
from tenantry.lab.zones import Datum, Others, Reply, Rule, TooManyNames, ZoneName, Zones, zone_file_form


def zones_of(others: Others = "nxdomain", **rules: Rule) -> Zones:
    """Return zones in which `_` of an argument's name stands for a dot."""
    made = Zones(others)
    for name, rule in rules.items():
        made.put(name.replace("_", "."), rule)
    return made


def test_a_name_has_the_texts_that_are_set() -> None:
    zones = zones_of(acme_com=Rule(txt=["one", "two"], ttl=60))
    assert zones.answer("ACME.com.", "TXT") == Reply(
        "NOERROR", (Datum("acme.com", "TXT", 60, "one"), Datum("acme.com", "TXT", 60, "two"))
    )
    assert zones.answer("acme.com", "A") == Reply("NOERROR")


def test_names_that_are_not_set_are_nxdomain_unless_others_are_below_them() -> None:
    zones = zones_of(a_b_acme_com=Rule(txt=["x"]))
    assert zones.answer("acme.net", "TXT") == Reply("NXDOMAIN")
    assert zones.answer("c.b.acme.com", "TXT") == Reply("NXDOMAIN")
    assert zones.answer("cme.com", "TXT") == Reply("NXDOMAIN")
    for name in ("b.acme.com", "acme.com", "com"):
        assert zones.answer(name, "TXT") == Reply("NOERROR")


@pytest.mark.parametrize(
    ("others", "reply"),
    [
        ("servfail", Reply("SERVFAIL")),
        ("refused", Reply("REFUSED")),
        ("timeout", Reply(None)),
        ("empty", Reply("NOERROR")),
        ("resolver", None),
    ],
)
def test_names_that_are_not_set_get_what_is_said_of_them(others: Others, reply: Reply | None) -> None:
    assert zones_of(others).answer("acme.com", "TXT") == reply


def test_an_alias_leads_to_the_records_of_its_target() -> None:
    zones = zones_of(acme_com=Rule(cname=ZoneName("b.net"), delay_ms=5), b_net=Rule(txt=["x"], delay_ms=7))
    alias = Datum("acme.com", "CNAME", 300, "b.net")
    assert zones.answer("acme.com", "TXT") == Reply("NOERROR", (alias, Datum("b.net", "TXT", 300, "x")), 12)
    assert zones.answer("acme.com", "CNAME") == Reply("NOERROR", (alias,), 5)


def test_an_alias_to_nowhere_is_nxdomain_and_one_to_itself_a_failure() -> None:
    zones = zones_of(a_com=Rule(cname=ZoneName("gone.net")), b_com=Rule(cname=ZoneName("b.com")))
    assert zones.answer("a.com", "TXT") == Reply("NXDOMAIN", (Datum("a.com", "CNAME", 300, "gone.net"),))
    assert zones.answer("b.com", "TXT") == Reply("SERVFAIL")


def test_answers_that_flap_fail_every_second_time() -> None:
    zones = zones_of(acme_com=Rule(txt=["x"], every_second_fails="servfail"))
    asked = [zones.answer("acme.com", "TXT") for _ in range(4)]
    assert [each.rcode for each in asked if each] == ["NOERROR", "SERVFAIL", "NOERROR", "SERVFAIL"]


def test_what_is_set_anew_or_forgotten_no_longer_counts() -> None:
    zones = zones_of(acme_com=Rule(txt=["x"], every_second_fails="nxdomain"))
    zones.answer("acme.com", "TXT")
    zones.put("acme.com", Rule(fails="timeout"))
    assert zones.answer("acme.com", "TXT") == Reply(None)
    assert zones.remove("acme.com")
    assert not zones.remove("acme.com")
    assert zones.answer("acme.com", "TXT") == Reply("NXDOMAIN")


def test_there_are_only_so_many_names() -> None:
    zones = Zones("nxdomain")
    for number in range(10_000):
        zones.put(f"n{number}.com", Rule())
    zones.put("n1.com", Rule(txt=["x"]))
    with pytest.raises(TooManyNames):
        zones.put("more.com", Rule())


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=600))
def test_a_text_in_the_form_of_a_zone_file_is_that_text(text: str) -> None:
    record = dns.rdata.from_text("IN", "TXT", zone_file_form(Datum("a.com", "TXT", 1, text)))
    assert text_of(record.strings) == text  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["", "a b.com", "acme..com", "x" * 64 + ".com", "ä.com", "a/b.com", "-a.com"])
def test_a_name_that_the_dns_does_not_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must be a name of the DNS"):
        ZoneName.parse(name)


def test_names_are_kept_in_one_spelling() -> None:
    assert ZoneName.parse(" _Challenge.ACME.com. ") == "_challenge.acme.com"


class Real:
    """The real DNS of a test, where every name is."""

    async def ask(self, name: str, type_: str, **_: object) -> Question:
        return Question(name=name, type=type_, server="real", rcode="NOERROR")


async def connected() -> Asker:
    return Real()


async def test_what_comes_too_late_is_a_timeout_after_the_patience() -> None:
    zones = zones_of(acme_com=Rule(txt=["x"], delay_ms=3001), b_com=Rule(txt=["x"], delay_ms=3000))
    late = await ZoneAsker(zones, connected, 3000).ask("acme.com", "TXT")
    assert (late.rcode, late.error, late.answers, late.milliseconds) == (None, "timed out", (), 3000)
    in_time = await ZoneAsker(zones, connected, 3000).ask("b.com", "TXT")
    assert (in_time.rcode, in_time.milliseconds) == ("NOERROR", 3000)


async def test_only_what_is_left_to_it_asks_the_real_dns() -> None:
    asker = ZoneAsker(zones_of("resolver", acme_com=Rule(txt=["x"])), connected, 3000)
    assert (await asker.ask("acme.com", "TXT")).server == "the lab"
    assert (await asker.ask("acme.net", "TXT")).server == "real"


async def test_it_is_connected_to_once() -> None:
    connect = once(connected)
    assert await connect() is await connect()
