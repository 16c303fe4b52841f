"""Time and its text."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tenantry.core.clock import later, milliseconds_of, system_clock, timestamp

YEAR_1 = -62_135_596_800_000
YEAR_3000 = 32_503_680_000_000


@given(st.integers(YEAR_1, YEAR_3000))
def test_a_timestamp_reads_back_as_the_same_millisecond(milliseconds: int) -> None:
    text = timestamp(milliseconds)
    assert len(text) == 24
    assert datetime.fromisoformat(text) == datetime.fromtimestamp(milliseconds // 1000, UTC).replace(
        microsecond=milliseconds % 1000 * 1000
    )


@given(st.integers(YEAR_1, YEAR_3000), st.integers(YEAR_1, YEAR_3000))
def test_timestamps_sort_as_time_does(one: int, other: int) -> None:
    assert (timestamp(one) < timestamp(other)) == (one < other)


def test_the_system_clock_never_runs_backwards() -> None:
    clock = system_clock()
    times = [clock() for _ in range(10_000)]
    assert times == sorted(times)


@given(st.integers(YEAR_1, 4_000_000_000_000))
def test_a_timestamp_stands_for_its_milliseconds(milliseconds: int) -> None:
    assert milliseconds_of(timestamp(milliseconds)) == milliseconds


def test_nothing_is_later_than_the_last_time_that_has_four_digits_for_its_year() -> None:
    last = "9999-12-31T23:59:59.999Z"
    assert later("2026-01-01T00:00:00.000Z", last) == last


@given(st.integers(0, 4_000_000_000_000), st.integers(0, 4_000_000_000_000))
def test_what_is_later_is_later_and_now_if_it_can_be(now: int, earlier: int) -> None:
    assert later(timestamp(now), timestamp(earlier)) == timestamp(max(now, earlier + 1))
