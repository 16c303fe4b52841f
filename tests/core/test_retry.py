"""The policy of trying again."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.core.retry import backoff, retry_after_seconds

NOW = 1_800_000_000_000
CHANCE = st.floats(0, 1, exclude_max=True)


@given(st.integers(1, 100), CHANCE)
def test_the_wait_is_never_zero_and_never_over_the_ceiling(attempt: int, chance: float) -> None:
    assert 0 < backoff(attempt, chance) <= 0.5


@given(st.integers(1, 6), CHANCE)
def test_the_wait_grows(attempt: int, chance: float) -> None:
    assert backoff(attempt + 1, chance) > backoff(attempt, chance)


@given(st.integers(0, 10**9))
def test_retry_after_is_seconds_or_a_date(seconds: int) -> None:
    assert retry_after_seconds(str(seconds), NOW) == seconds
    date = formatdate(NOW // 1000 + seconds, usegmt=True)
    assert retry_after_seconds(date, NOW) == seconds


@pytest.mark.parametrize("header", [None, "", "soon", "-1", "1.5", "\u0661", "Wed, 99 Foo 2026 00:00:00 GMT"])
def test_any_other_retry_after_counts_as_none(header: str | None) -> None:
    assert retry_after_seconds(header, NOW) is None


@given(st.text(max_size=40))
def test_no_header_makes_the_policy_fail(header: str) -> None:
    seconds = retry_after_seconds(header, NOW)
    assert seconds is None or seconds >= 0
