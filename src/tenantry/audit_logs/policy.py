"""When an audit log event may have occurred, and how long it is kept: functions of values alone."""

from tenantry.core.clock import milliseconds_of, timestamp

DAY = 24 * 60 * 60 * 1000
DEFAULT_DAYS = 365
"""How long the events of an organization are kept for which nothing else was set."""

OWN_ACTIONS = "tenantry."
"""What the names of those actions begin with that Tenantry itself writes, and nobody else can."""

_MOST_MINUTES_AHEAD = 5
_PERIODS = {
    **{f"{months}_MONTH{'S' if months > 1 else ''}": months * 30 for months in range(1, 12)},
    **{f"{years}_YEAR{'S' if years > 1 else ''}": years * 365 for years in range(1, 11)},
}
PERIODS = tuple(_PERIODS)
"""The names of the periods, shortest first (newer.md section 2.8)."""
ALLOWED_DAYS = frozenset(_PERIODS.values())


def days_of(period: str) -> int:
    """Return the days of a period: a month has 30, a year 365. Raises KeyError for one that is not in PERIODS."""
    return _PERIODS[period]


def kept_since(now: int, days: int) -> str:
    """Return the time before which events are no longer kept at `now`, in milliseconds."""
    return timestamp(now - days * DAY)


def wrong_time(occurred_at: str, now: int, days: int) -> str | None:
    """Return what the time of a new event must be, when it is not: «must …».

    An event of the future is the mistake of a clock or of a time zone; one that is past its
    retention would be deleted as soon as it is written.
    """
    if milliseconds_of(occurred_at) > now + _MOST_MINUTES_AHEAD * 60 * 1000:
        return f"must not be more than {_MOST_MINUTES_AHEAD} minutes in the future"
    if occurred_at < kept_since(now, days):
        return f"must be within the {days} days for which the organization's events are kept"
    return None
