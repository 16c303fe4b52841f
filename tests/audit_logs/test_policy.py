"""When an event may have occurred, and how long it is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.audit_logs import policy
from tenantry.audit_logs.wire import OccurredAt
from tenantry.core.clock import milliseconds_of, timestamp

TIMES = st.integers(0, 4_000_000_000_000)
DAYS = st.sampled_from(sorted(policy.ALLOWED_DAYS))
AHEAD = 5 * 60 * 1000


def test_the_allowed_days_are_months_of_thirty_and_years_of_365() -> None:
    assert {*range(30, 331, 30), *range(365, 3651, 365)} == policy.ALLOWED_DAYS
    assert len(policy.PERIODS) == 21
    assert policy.DEFAULT_DAYS in policy.ALLOWED_DAYS


@pytest.mark.parametrize(
    ("period", "days"), [("1_MONTH", 30), ("11_MONTHS", 330), ("1_YEAR", 365), ("10_YEARS", 3650)]
)
def test_each_period_has_its_days(period: str, days: int) -> None:
    assert policy.days_of(period) == days


@given(now=TIMES, days=DAYS, offset=st.integers(-4000 * policy.DAY, policy.DAY))
def test_what_is_taken_is_kept_and_what_is_not_is_told_why(now: int, days: int, offset: int) -> None:
    """An event is taken if, and only if, it is not past its retention and at most five minutes ahead."""
    moment = max(now + offset, 0)
    wrong = policy.wrong_time(timestamp(moment), now, days)
    ahead = moment > now + AHEAD
    over = timestamp(moment) < policy.kept_since(now, days)
    assert (wrong is not None) == (ahead or over)
    if wrong:
        assert ("future" in wrong) == ahead


@given(now=TIMES, days=DAYS, later=st.integers(0, 4000 * policy.DAY))
def test_what_is_no_longer_kept_is_never_kept_again(now: int, days: int, later: int) -> None:
    assert policy.kept_since(now, days) <= policy.kept_since(now + later, days)


@given(moment=TIMES)
def test_a_time_of_the_wire_stays_as_it_is(moment: int) -> None:
    assert OccurredAt.parse(timestamp(moment)) == timestamp(moment)
    assert milliseconds_of(OccurredAt.parse(timestamp(moment))) == moment


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-02T16:35:39.317Z",
        "2026-02-02T16:35:39.317999+00:00",
        "2026-02-02T18:35:39.317+02:00",
        "2026-02-02T16:35:39.317",
        "2026-02-02t16:35:39.317123456z",
        "2026-02-02 11:05:39.317-05:30",
    ],
)
def test_every_offset_is_brought_to_utc(text: str) -> None:
    assert OccurredAt.parse(text) == "2026-02-02T16:35:39.317Z"


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-02-02", "2026-W06-1T00:00:00Z", "2026-02-30T00:00:00Z", "0001-01-01T00:00:00+23:59", "1e9"],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be an ISO 8601 time"):
        OccurredAt.parse(text)
