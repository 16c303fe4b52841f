"""When domains are asked about and when one is at risk, as laws that hold for all values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.domains.schedule import (
    DAY,
    PERIOD,
    Finding,
    Watched,
    WatchPolicy,
    is_expired,
    look,
    revoked_at,
    wait_before_check,
    wait_before_look,
)

MINUTE, HOUR = 60_000, 3_600_000
CHANCE = st.floats(0, 1, exclude_max=True)
POLICIES = st.builds(
    WatchPolicy,
    hours=st.integers(1, 100),
    misses=st.integers(1, 10),
    days=st.integers(0, 10),
    revoke_days=st.integers(0, 10),
)
FOUND = st.sampled_from([True, False, None])


@given(st.integers(1, 10_000), CHANCE)
def test_waits_go_from_a_minute_to_an_hour_a_tenth_to_both_sides(attempts: int, chance: float) -> None:
    assert 0.9 * MINUTE <= wait_before_check(attempts, chance) <= 1.1 * HOUR
    assert wait_before_check(attempts + 1, 0.5) >= wait_before_check(attempts, 0.5)


@given(st.integers(0, 10**13), st.integers(0, 2 * PERIOD))
def test_a_domain_has_thirty_days(started_at: int, passed: int) -> None:
    assert is_expired(started_at, started_at + passed) == (passed >= 30 * DAY)


@given(POLICIES, FOUND, CHANCE)
def test_the_next_look_is_within_the_stated_time(policy: WatchPolicy, found: bool | None, chance: float) -> None:  # noqa: FBT001
    assert 0 < wait_before_look(policy, found=found, chance=chance) <= 1.1 * policy.hours * HOUR


def run(policy: WatchPolicy, looks: list[tuple[int, bool | None]]) -> list[tuple[int, Finding, Watched]]:
    """Return time, finding and state after each of `looks`: how much later each comes and what it finds."""
    now, watched = 0, Watched()
    seen: list[tuple[int, Finding, Watched]] = []
    for wait, found in looks:
        now += wait
        watched, finding = look(policy, watched, found=found, now=now)
        seen.append((now, finding, watched))
    return seen


@given(POLICIES, st.lists(st.tuples(st.integers(1, 3 * DAY), FOUND), max_size=40))
def test_risk_begins_once_after_enough_misses_and_days_and_ends_with_the_record(
    policy: WatchPolicy, looks: list[tuple[int, bool | None]]
) -> None:
    at_risk, misses, since = False, 0, 0
    for (now, finding, watched), (_, found) in zip(run(policy, looks), looks, strict=True):
        if found:
            assert finding == ("risk_ended" if at_risk else "nothing")
            at_risk, misses = False, 0
        elif found is None:
            assert finding == "nothing"
        else:
            since = since if misses else now
            misses += 1
            begins = not at_risk and misses >= policy.misses and now - since >= policy.days * DAY
            assert (finding == "at_risk") == begins
            at_risk = at_risk or begins
        assert (watched.at_risk_since is not None) == at_risk
        assert watched.misses == misses


@given(POLICIES, st.lists(st.tuples(st.integers(1, 3 * DAY), FOUND), max_size=40))
def test_nothing_is_revoked_before_its_time_nor_where_that_is_off(
    policy: WatchPolicy, looks: list[tuple[int, bool | None]]
) -> None:
    for now, finding, watched in run(policy, looks):
        if finding == "revoked":
            assert watched.at_risk_since is not None
            end = revoked_at(policy, watched.at_risk_since)
            assert end is not None
            assert now >= end


@pytest.mark.parametrize(("days", "finding"), [(4, "nothing"), (5, "revoked")])
def test_what_stays_at_risk_is_revoked_at_its_time(days: int, finding: str) -> None:
    policy = WatchPolicy(hours=24, misses=1, days=0, revoke_days=5)
    watched, first = look(policy, Watched(), found=False, now=0)
    assert first == "at_risk"
    assert look(policy, watched, found=False, now=days * DAY)[1] == finding
