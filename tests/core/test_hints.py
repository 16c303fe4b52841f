"""What was seen lately is remembered for a while, and never without bound."""

from hypothesis import given
from hypothesis import strategies as st

from tenantry.core.hints import Hints


def test_nothing_is_known_of_what_was_never_seen() -> None:
    assert Hints().get("acme") is None


def test_a_hint_is_used_so_often_and_then_looked_at_anew() -> None:
    hints = Hints(uses=3)
    hints.put("acme", "common")
    assert [hints.get("acme") for _ in range(5)] == ["common"] * 3 + [None] * 2
    hints.put("acme", "rare")
    assert hints.get("acme") == "rare"


@given(put=st.lists(st.integers(0, 9), max_size=40), most=st.integers(1, 4))
def test_the_last_subjects_are_kept_and_no_more(put: list[int], most: int) -> None:
    hints = Hints(most=most)
    for number, subject in enumerate(put):
        hints.put(subject, number)
    last = list(dict.fromkeys(reversed(put)))[:most]
    expected = {subject: max(index for index, each in enumerate(put) if each == subject) for subject in last}
    assert {subject: hints.get(subject) for subject in range(10) if hints.get(subject) is not None} == expected
