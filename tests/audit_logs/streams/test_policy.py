"""How events become batches, and when a batch is sent again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.audit_logs.streams.policy import (
    MOST_BYTES,
    MOST_EVENTS,
    State,
    Verdict,
    batch_end,
    due_at,
    grade_after,
    retry_wait,
    state_after,
)

NOW = 1_800_000_000_000
chances = st.floats(0, 1, exclude_max=True)
failure_counts = st.integers(1, 10_000)
sizes_lists = st.lists(st.integers(0, 2 * MOST_BYTES), min_size=1, max_size=50)
states: st.SearchStrategy[State] = st.sampled_from(["active", "error", "invalid"])
failures: st.SearchStrategy[Verdict] = st.sampled_from(["failed", "too_large"])


@given(st.integers(0, 10**9), sizes_lists)
def test_a_batch_is_the_longest_that_is_within_its_bytes_and_never_empty(before: int, sizes: list[int]) -> None:
    numbered = [(before + number, size) for number, size in enumerate(sizes, 1)]
    count = batch_end(numbered) - before
    assert count >= 1
    assert count == 1 or sum(sizes[:count]) <= MOST_BYTES
    assert count == len(sizes) or sum(sizes[: count + 1]) > MOST_BYTES


@given(st.integers(1, 3 * MOST_EVENTS))
def test_a_batch_has_no_more_events_than_the_strictest_receiver_takes(count: int) -> None:
    assert batch_end([(number, 1) for number in range(1, count + 1)]) == min(count, 1000)


@given(st.integers(-5, 3 * MOST_EVENTS), st.integers(0, 3600))
def test_what_fills_a_batch_goes_at_once_and_less_waits_for_others(pending: int, seconds: int) -> None:
    due = due_at(pending, seconds, NOW)
    if pending <= 0:
        assert due is None
    else:
        assert due == (NOW if pending >= MOST_EVENTS else NOW + seconds * 1000)


@given(failure_counts, chances)
def test_the_wait_is_half_a_second_to_ten_minutes(count: int, chance: float) -> None:
    assert 0.5 <= retry_wait(count, chance) <= 600


@given(failure_counts, chances)
def test_the_wait_never_shrinks_with_more_failures(count: int, chance: float) -> None:
    assert retry_wait(count + 1, chance) >= retry_wait(count, chance)


@given(failure_counts)
def test_streams_that_failed_together_are_spread_over_half_of_the_wait(count: int) -> None:
    assert retry_wait(count, 0.0) == min(2.0 ** min(count - 1, 10), 600) / 2
    assert retry_wait(count, 0.999999) == pytest.approx(2 * retry_wait(count, 0.0), rel=1e-5)


@given(failure_counts, chances, st.floats(0, 10**9))
def test_a_receiver_can_ask_for_more_time_but_not_for_less(count: int, chance: float, asked: float) -> None:
    plain = retry_wait(count, chance)
    assert retry_wait(count, chance, asked) == max(plain, min(asked, 3600))


@given(st.sampled_from(["taken", "failed", "refused", "too_large"]), st.integers(0, 100))
def test_a_stream_that_was_switched_off_stays_so(verdict: Verdict, count: int) -> None:
    assert state_after("inactive", verdict, count) == "inactive"


@given(states)
def test_a_batch_that_is_taken_makes_all_well(state: State) -> None:
    assert state_after(state, "taken", 0) == "active"


@given(states, st.integers(1, 100))
def test_refused_credentials_show_at_once(state: State, count: int) -> None:
    assert state_after(state, "refused", count) == "invalid"


@given(states, failures, st.integers(1, 100))
def test_other_failures_show_from_the_third_in_a_row_on(state: State, verdict: Verdict, count: int) -> None:
    assert state_after(state, verdict, count) == ("error" if count >= 3 else state)


@given(failures, st.integers(0, 60_000), st.integers(1, 100))
def test_only_what_is_taken_within_a_second_is_quick(verdict: Verdict, latency: int, count: int) -> None:
    assert grade_after("taken", latency, 0) == ("quick" if latency < 1000 else "slow")
    assert grade_after(verdict, latency, count) == ("failing" if count < 8 else "dead")
