"""The doctor: which verdict follows from which answers."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.domains.doctor import Code, found, judge, wrong_names
from tenantry.domains.questions import Answer, Question
from tenantry.domains.records import Expected

NOW = 1_800_000_000_000
IN_FIVE_MINUTES = "2027-01-15T08:05:00.000Z"

EXPECTED = Expected("acme.com", "app-domain-verification-z3kjny", "5h3fn5uPEBcd7G3kL9mN2xQzR", "app")
APEX, CHALLENGE = EXPECTED.domain, EXPECTED.challenge
RIGHT = EXPECTED.value
OTHER = "app-domain-verification-aaaaaa=1111111111111111111111111"


def txt(name: str, *values: str, **more: object) -> Question:
    """An answer of our resolver with these TXT records, or with none."""
    answers = tuple(Answer(name, "TXT", 300, value, f'"{value}"') for value in values)
    return replaced(Question(name=name, type="TXT", server="127.0.0.1:53", rcode="NOERROR", answers=answers), more)


def replaced(question: Question, more: dict[str, object]) -> Question:
    return msgspec.structs.replace(question, **more)


def none(name: str, **more: object) -> Question:
    return txt(name, **{"zone": "acme.com", "negative_ttl": 300, **more})


def nonexistent(name: str, **more: object) -> Question:
    return none(name, **{"rcode": "NXDOMAIN", **more})


def failed(name: str, **more: object) -> Question:
    return txt(name, **{"rcode": "SERVFAIL", **more})


def silent(name: str, **more: object) -> Question:
    return txt(name, **{"rcode": None, "error": "timed out", **more})


def alias(name: str, target: str, *values: str) -> Question:
    answers = (Answer(name, "CNAME", 300, target, f"{target}."),)
    return replaced(txt(target, *values), {"name": name, "answers": answers + txt(target, *values).answers})


def at(server: str, question: Question) -> Question:
    """The same answer, given by an authoritative server."""
    return replaced(question, {"authority": server, "server": "192.0.2.1:53"})


def name_servers(*servers: str) -> Question:
    answers = tuple(Answer(APEX, "NS", 300, server, f"{server}.") for server in servers)
    return Question(name=APEX, type="NS", server="127.0.0.1:53", rcode="NOERROR", answers=answers)


NOTHING = (none(APEX), nonexistent(CHALLENGE))

CASES: list[tuple[Code, bool | None, tuple[Question, ...]]] = [
    ("verified", True, (txt(APEX, "v=spf1 -all", RIGHT), nonexistent(CHALLENGE))),
    ("verified", True, (none(APEX), txt(CHALLENGE, f"verification_token={EXPECTED.token}"))),
    ("verified", True, (none(APEX), alias(CHALLENGE, "abc.dcv.example", RIGHT))),
    ("verified", True, (failed(APEX), txt(CHALLENGE, RIGHT))),
    ("verified", True, (txt(APEX, f'"{RIGHT}"', RIGHT), silent(CHALLENGE))),
    ("verified_with_quotes", True, (txt(APEX, f"“{RIGHT}”"), nonexistent(CHALLENGE))),
    ("unreachable", None, (silent(APEX), silent(CHALLENGE), silent(""))),
    ("unreachable", None, (silent(APEX, server=None), silent(CHALLENGE, server=None))),
    ("unreachable", None, (txt(APEX, rcode="REFUSED"), txt(CHALLENGE, rcode="REFUSED"))),
    ("dnssec_bogus", None, (failed(APEX), failed(CHALLENGE), txt(APEX, checking_disabled=True))),
    ("not_propagated", False, (*NOTHING, at("ns1.acme.com", txt(APEX, RIGHT)))),
    ("not_propagated", False, (*NOTHING, at("ns1.acme.com", txt(CHALLENGE, RIGHT)))),
    (
        "not_propagated",
        False,
        (txt(APEX, OTHER), NOTHING[1], at("ns1.acme.com", txt(APEX, RIGHT)), at("ns2.acme.com", none(APEX))),
    ),
    ("wrong_case", False, (txt(APEX, RIGHT.lower()), nonexistent(CHALLENGE))),
    ("truncated", False, (txt(APEX, RIGHT[:-3]), nonexistent(CHALLENGE))),
    ("raw_token", False, (txt(APEX, EXPECTED.token), nonexistent(CHALLENGE))),
    ("raw_token", False, (none(APEX), txt(CHALLENGE, EXPECTED.token))),
    ("raw_token", None, (txt(APEX, EXPECTED.token), failed(CHALLENGE))),
    *(("wrong_name", False, (*NOTHING, txt(name, RIGHT))) for name in wrong_names(EXPECTED)),
    ("wrong_name", False, (*NOTHING, txt(f"{EXPECTED.prefix}.{APEX}", EXPECTED.token))),
    ("verified", True, (alias(APEX, "acme.hosting.example", RIGHT), nonexistent(CHALLENGE))),
    ("cname_in_the_way", False, (alias(APEX, "gone.example"), nonexistent(CHALLENGE))),
    ("cname_in_the_way", False, (none(APEX), alias(CHALLENGE, "abc.dcv.example", "something else"))),
    ("other_token", False, (txt(APEX, OTHER), nonexistent(CHALLENGE))),
    ("other_token", None, (txt(APEX, OTHER), silent(CHALLENGE))),
    ("servfail", None, (failed(APEX), failed(CHALLENGE))),
    ("servfail", None, (failed(APEX), failed(CHALLENGE), failed(APEX, checking_disabled=True))),
    ("servfail", None, (silent(APEX), silent(CHALLENGE), txt(""))),
    ("servfail", None, (none(APEX), failed(CHALLENGE))),
    ("nxdomain", False, (nonexistent(APEX, zone="com"), nonexistent(CHALLENGE, zone="com"))),
    ("no_record", False, NOTHING),
    ("no_record", False, (txt(APEX, "v=spf1 -all"), nonexistent(CHALLENGE))),
    (
        "no_record",
        False,
        (none(APEX), alias(CHALLENGE, "any.example"), alias(f"{EXPECTED.prefix}.{APEX}", "any.example")),
    ),
]


@pytest.mark.parametrize(
    ("code", "is_found", "questions"), CASES, ids=[f"{number}-{case[0]}" for number, case in enumerate(CASES)]
)
def test_the_verdict_follows_from_the_answers(
    code: Code,
    is_found: bool | None,  # noqa: FBT001
    questions: tuple[Question, ...],
) -> None:
    verdict = judge(EXPECTED, questions, NOW)
    assert (verdict.code, found(EXPECTED, questions)) == (code, is_found)
    for text in (verdict.sentence, verdict.mend):
        assert text[0].isupper() or text.startswith((APEX, CHALLENGE))
        assert text.endswith(".")
        assert "None" not in text
        assert "  " not in text


def test_a_right_record_at_a_wrong_name_counts_for_more_than_the_record_of_another() -> None:
    questions = (txt(APEX, OTHER), nonexistent(CHALLENGE), txt(f"www.{APEX}", RIGHT))
    assert judge(EXPECTED, questions, NOW).code == "wrong_name"


def test_what_is_right_at_the_servers_is_waited_for_whatever_else_is_wrong() -> None:
    questions = (txt(APEX, EXPECTED.token), nonexistent(CHALLENGE), at("ns1.acme.com", txt(APEX, RIGHT)))
    verdict = judge(EXPECTED, questions, NOW)
    assert verdict.code == "not_propagated"
    assert verdict.until == IN_FIVE_MINUTES
    assert "2027-01-15 08:05:00 UTC" in verdict.mend


def test_servers_that_are_not_in_step_are_named() -> None:
    ahead, behind = at("ns1.acme.com", txt(APEX, RIGHT)), at("ns2.acme.com", none(APEX))
    sentence = judge(EXPECTED, (*NOTHING, ahead, behind), NOW).sentence
    assert "right at ns1.acme.com, but ns2.acme.com does not have it" in sentence


def test_the_token_that_was_seen_is_told() -> None:
    verdict = judge(EXPECTED, (txt(APEX, OTHER), nonexistent(CHALLENGE)), NOW)
    assert (verdict.name, verdict.token) == (APEX, "1111111111111111111111111")


def test_a_missing_answer_is_remembered_for_its_negative_ttl() -> None:
    verdict = judge(EXPECTED, NOTHING, NOW)
    assert verdict.until == IN_FIVE_MINUTES
    assert "2027-01-15 08:05:00 UTC" in verdict.mend


def test_the_host_to_type_follows_from_the_zone() -> None:
    assert f"(host @ in the zone {APEX})" in judge(EXPECTED, (*NOTHING, name_servers("ns1.acme.com")), NOW).mend
    below = msgspec.structs.replace(EXPECTED, domain="eu.acme.com")
    questions = (none("eu.acme.com"), none(below.challenge), replaced(none("eu.acme.com"), {"type": "NS"}))
    assert "(host eu in the zone acme.com)" in judge(below, questions, NOW).mend


def test_an_alias_sends_to_the_name_of_ours_below_it() -> None:
    mend = judge(EXPECTED, (alias(APEX, "acme.hosting.example"), nonexistent(CHALLENGE)), NOW).mend
    assert mend == f"Add a TXT record at {CHALLENGE} with the value «{RIGHT}»."


def test_a_name_that_could_be_part_of_its_parents_zone_gets_both_ways_to_mend() -> None:
    below = msgspec.structs.replace(EXPECTED, domain="eu.acme.com")
    questions = (nonexistent("eu.acme.com"), nonexistent(below.challenge))
    verdict = judge(below, questions, NOW)
    assert verdict.code == "nxdomain"
    assert "(host eu in the zone acme.com)" in verdict.mend


def test_a_doubled_name_is_explained() -> None:
    for name in (f"{APEX}.{APEX}", f"{CHALLENGE}.{APEX}"):
        assert "appends the domain" in judge(EXPECTED, (*NOTHING, txt(name, RIGHT)), NOW).sentence


def test_what_servers_did_instead_of_answering_is_told() -> None:
    questions = (failed(APEX, remarks=("no reachable authority",)), silent(CHALLENGE))
    sentence = judge(EXPECTED, questions, NOW).sentence
    assert "127.0.0.1:53 answered SERVFAIL (no reachable authority)" in sentence
    assert "127.0.0.1:53 timed out" in sentence


def test_what_was_seen_is_shown_on_one_line_and_not_too_long() -> None:
    value = f"\n\x1b[2J{EXPECTED.token}" + "a" * 1000
    sentence = judge(EXPECTED, (txt(APEX, value), nonexistent(CHALLENGE)), NOW).sentence
    assert len(sentence) < 300
    assert sentence.isprintable()


NAMES = st.sampled_from([APEX, CHALLENGE, *wrong_names(EXPECTED), ""])
VALUES = st.sampled_from([RIGHT, OTHER, EXPECTED.token, RIGHT.lower(), RIGHT[:-1], f'"{RIGHT}"', "v=spf1 -all"])
ANSWERS = st.builds(
    Answer, NAMES, st.sampled_from(["TXT", "CNAME", "NS"]), st.integers(0, 86400), VALUES | NAMES, st.just("")
)
QUESTIONS = st.builds(
    Question,
    name=NAMES,
    type=st.sampled_from(["TXT", "NS"]),
    server=st.none() | st.just("127.0.0.1:53"),
    authority=st.none() | st.just("ns1.acme.com"),
    checking_disabled=st.booleans(),
    rcode=st.sampled_from(["NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", None]),
    error=st.none() | st.just("timed out"),
    answers=st.lists(ANSWERS, max_size=3).map(tuple),
    zone=st.none() | st.sampled_from(["com", "acme.com", ""]),
    negative_ttl=st.none() | st.integers(0, 86400),
)


@given(st.lists(QUESTIONS, max_size=8))
def test_there_is_a_verdict_on_any_answers_and_it_agrees_with_what_was_found(questions: list[Question]) -> None:
    verdict = judge(EXPECTED, questions, NOW)
    assert verdict.code.startswith("verified") == (found(EXPECTED, questions) is True)
    assert verdict.sentence
    assert verdict.mend
