"""What a TXT value says about the record that is expected."""

import itertools
import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tenantry.domains.records import Expected, Reading, read, text_of

TOKEN = st.text(string.ascii_letters + string.digits, min_size=25, max_size=25)
SLUG = st.from_regex(r"[a-z][a-z0-9-]{0,20}[a-z0-9]", fullmatch=True)
TAIL = st.text(string.ascii_lowercase + string.digits, min_size=6, max_size=6)
SPACE = st.text(" \t\n\xa0", max_size=3)
QUOTE = st.sampled_from(["", '"', "'", "“", "”", "«", '\\"', '""', "„"])

EXPECTED = Expected(
    domain="acme.com", prefix="app-domain-verification-z3kjny", token="5h3fn5uPEBcd7G3kL9mN2xQzR", slug="app"
)


@st.composite
def expectations(draw: st.DrawFn) -> Expected:
    slug = draw(SLUG)
    return Expected("acme.com", f"{slug}-domain-verification-{draw(TAIL)}", draw(TOKEN), slug)


@given(expectations(), st.booleans())
def test_the_value_as_it_is_shown_matches_in_both_forms(expected: Expected, plain: bool) -> None:  # noqa: FBT001
    value = f"verification_token={expected.token}" if plain else expected.value
    assert read(expected, value) == Reading("match", expected.token)


@given(expectations(), st.lists(QUOTE, min_size=6, max_size=6), st.lists(SPACE, min_size=6, max_size=6))
def test_quotes_and_spaces_that_came_with_pasting_are_passed_over(
    expected: Expected, quotes: list[str], spaces: list[str]
) -> None:
    q, s = quotes, spaces
    name, token = f"{q[1]}{s[1]}{expected.prefix}{s[2]}{q[2]}", f"{q[3]}{s[3]}{expected.token}{s[4]}{q[4]}"
    reading = read(expected, f"{s[0]}{q[0]}{name}={token}{q[5]}{s[5]}")
    assert reading == Reading("match_with_quotes" if any(quotes) else "match", expected.token)


@given(expectations(), st.data())
def test_the_prefix_counts_in_any_case(expected: Expected, data: st.DataObject) -> None:
    upper = data.draw(st.lists(st.booleans(), min_size=len(expected.prefix), max_size=len(expected.prefix)))
    prefix = "".join(c.upper() if up else c for c, up in zip(expected.prefix, upper, strict=True))
    assert read(expected, f"{prefix}={expected.token}").kind == "match"


@given(expectations(), st.integers(0, 24), st.sampled_from(string.ascii_letters + string.digits + "=_é ”"))
def test_a_token_that_differs_in_one_character_does_not_verify(expected: Expected, at: int, other: str) -> None:
    token = expected.token[:at] + other + expected.token[at + 1 :]
    assume(token != expected.token)
    assert not read(expected, f"{expected.prefix}={token}").verifies


@given(expectations(), TOKEN)
def test_another_token_does_not_verify_and_is_told(expected: Expected, other: str) -> None:
    assume(other.lower() != expected.token.lower())
    for name in (expected.prefix, "verification_token", f"{expected.slug}-domain-verification-000000"):
        assert read(expected, f"{name}='{other}'") == Reading("other_token", other)


@given(expectations(), st.integers(0, 24))
def test_a_token_whose_end_is_missing_is_truncated(expected: Expected, length: int) -> None:
    token = expected.token[:length]
    assert read(expected, f"{expected.prefix}={token}") == Reading("truncated", token)


@given(expectations())
def test_a_token_in_another_case_is_told_as_such(expected: Expected) -> None:
    token = expected.token.swapcase()
    assume(token != expected.token)
    assert read(expected, f"{expected.prefix}={token}") == Reading("wrong_case", token)


@pytest.mark.parametrize(
    "value",
    [
        EXPECTED.token,
        f'"{EXPECTED.token}"',
        f"token={EXPECTED.token}",
        f"{EXPECTED.prefix}:{EXPECTED.token}",
        f"{EXPECTED.prefix}={EXPECTED.value}",
        f"{EXPECTED.value} TXT",
        f"app-domain-verification-000000={EXPECTED.token}",
        f"acme.com={EXPECTED.token}",
    ],
)
def test_the_token_without_its_form_does_not_verify(value: str) -> None:
    assert read(EXPECTED, value) == Reading("raw_token", EXPECTED.token)


@pytest.mark.parametrize(
    "value",
    [
        *("", "=", "v=spf1 include:_spf.example.com -all", "google-site-verification=abc", EXPECTED.prefix),
        *(
            "other-domain-verification-z3kjny=abc",
            "app-domain-verification-z3kjny",
            "app-domain-verification-1=abc",
        ),
        *("app-domain-verification-000000=", "appxdomain-verification-000000=abc", "\N{KELVIN SIGN}=abc"),
    ],
)
def test_what_belongs_to_others_is_unrelated(value: str) -> None:
    assert read(EXPECTED, value) == Reading("unrelated")


@given(expectations(), st.text())
def test_nothing_verifies_that_does_not_hold_the_token(expected: Expected, value: str) -> None:
    assume(expected.token not in value)
    assert not read(expected, value).verifies


@given(expectations(), st.binary())
def test_any_bytes_can_be_read(expected: Expected, data: bytes) -> None:
    read(expected, text_of([data]))


@given(expectations(), st.lists(st.integers(0, 60), max_size=4))
def test_a_value_that_is_cut_into_strings_is_joined(expected: Expected, cuts: list[int]) -> None:
    data = expected.value.encode()
    edges = [0, *sorted(cuts), len(data)]
    strings = [data[start:end] for start, end in itertools.pairwise(edges)]
    assert read(expected, text_of(strings)).kind == "match"


def test_typographic_quotes_of_windows_are_known() -> None:
    assert read(EXPECTED, text_of([b"\x93" + EXPECTED.value.encode() + b"\x94"])).kind == "match_with_quotes"


def test_the_challenge_stands_below_the_domain() -> None:
    assert EXPECTED.challenge == "_app-challenge.acme.com"
