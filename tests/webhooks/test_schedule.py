"""When a failed delivery is tried again, and when an endpoint is given up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.settings import Settings
from tenantry.webhooks.schedule import (
    FAILING_MILLISECONDS,
    LONGEST_RETRY_AFTER,
    is_given_up,
    parse,
    wait_before_retry,
)

DAY = 24 * 60 * 60.0
NOW = 1_800_000_000_000
DEFAULT = parse(Settings().webhook_retry_seconds)

waits_lists = st.lists(st.floats(0, 30 * DAY), max_size=10)
chances = st.floats(0, 1, exclude_max=True)


def test_there_are_six_retries_within_three_days() -> None:
    latest = [wait_before_retry(DEFAULT, attempt, 0.999999) for attempt in range(1, 8)]
    assert latest[6] is None
    assert sum(wait or 0 for wait in latest) < 3 * DAY
    earliest = [wait_before_retry(DEFAULT, attempt, 0.0) or 0 for attempt in range(1, 7)]
    assert sum(earliest) > 2 * DAY


@given(waits_lists, chances)
def test_there_is_one_attempt_more_than_there_are_waits(waits: list[float], chance: float) -> None:
    given_up = [wait_before_retry(waits, attempt, chance) is None for attempt in range(1, len(waits) + 3)]
    assert given_up == [False] * len(waits) + [True, True]


@given(waits_lists.filter(bool), chances, st.data())
def test_a_wait_is_within_a_tenth_of_the_schedule(waits: list[float], chance: float, data: st.DataObject) -> None:
    attempt = data.draw(st.integers(1, len(waits)))
    wait = wait_before_retry(waits, attempt, chance)
    assert wait is not None
    assert waits[attempt - 1] * 0.9 <= wait <= waits[attempt - 1] * 1.1


@given(st.lists(chances, min_size=2, max_size=2, unique=True))
def test_more_chance_is_more_wait(both: list[float]) -> None:
    lower, higher = (wait_before_retry(DEFAULT, 1, chance) or 0 for chance in sorted(both))
    assert lower <= higher


@given(st.integers(1, 6), chances, st.floats(0, 100 * DAY))
def test_a_receiver_can_ask_for_more_time_but_not_for_less(attempt: int, chance: float, asked: float) -> None:
    plain, wait = wait_before_retry(DEFAULT, attempt, chance), wait_before_retry(DEFAULT, attempt, chance, asked)
    assert plain is not None
    assert wait == max(plain, min(asked, LONGEST_RETRY_AFTER))


@pytest.mark.parametrize("text", ["soon", "1,-1", "1,nan", "inf", "1e9", "1;2"])
def test_a_schedule_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"number|convert"):
        parse(text)


@given(st.integers(0, NOW))
def test_an_endpoint_is_given_up_after_five_days_of_failures(since: int) -> None:
    assert is_given_up(since, NOW) == (NOW - since >= FAILING_MILLISECONDS)
    assert not is_given_up(None, NOW)
