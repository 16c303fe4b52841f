"""When a domain is asked about, when it fails and when it is at risk, as pure functions of values.

Times are milliseconds since the epoch.
"""

from typing import Literal

import msgspec

_MINUTE = 60 * 1000
_HOUR = 60 * _MINUTE
DAY = 24 * _HOUR
PERIOD = 30 * DAY
"""How long a domain may be pending (wire.md section 4.4)."""

_JITTER = 0.1
_LONGEST_DOUBLING = 10


class WatchPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How verified domains are watched: hours between looks, what makes one at risk, what then.

    At risk is one whose record was missing `misses` times in a row over `days` days. It fails after
    `revoke_days` more; never when that is 0.
    """

    hours: int
    misses: int
    days: int
    revoke_days: int


class Watched(msgspec.Struct, frozen=True):
    """What the looks at a verified domain have come to: misses in a row, since when, and since when at risk."""

    misses: int = 0
    missing_since: int | None = None
    at_risk_since: int | None = None


Finding = Literal["nothing", "at_risk", "risk_ended", "revoked"]


def wait_before_check(attempts: int, chance: float) -> int:
    """Return how long to wait after check number `attempts` (from 1): one minute, doubling, up to an hour.

    `chance` in [0, 1) spreads those who were asked about together over a tenth to both sides.
    """
    doubled = _MINUTE << min(attempts - 1, _LONGEST_DOUBLING)
    return _spread(min(doubled, _HOUR), chance)


def wait_before_look(policy: WatchPolicy, *, found: bool | None, chance: float) -> int:
    """Return how long to wait until a verified domain is looked at again; an hour when nothing could be seen."""
    hours = min(1, policy.hours) if found is None else policy.hours
    return _spread(hours * _HOUR, chance)


def _spread(milliseconds: int, chance: float) -> int:
    return round(milliseconds * (1 - _JITTER + 2 * _JITTER * chance))


def is_expired(started_at: int, now: int) -> bool:
    """Return whether a domain that is pending since then has had its thirty days."""
    return now - started_at >= PERIOD


def look(
    policy: WatchPolicy,
    before: Watched,
    *,
    found: bool | None,
    now: int,
) -> tuple[Watched, Finding]:
    """Return what a look at a verified domain comes to, and what it changes.

    `found` is None when the answers allow no conclusion: that is neither a miss nor the end of misses.
    """
    if found is None:
        return before, "nothing"
    if found:
        return Watched(), "nothing" if before.at_risk_since is None else "risk_ended"
    since = now if before.missing_since is None else before.missing_since
    missed = Watched(before.misses + 1, since, before.at_risk_since)
    if missed.at_risk_since is not None:
        return missed, "revoked" if _is_revoked(policy, missed.at_risk_since, now) else "nothing"
    if missed.misses < policy.misses or now - since < policy.days * DAY:
        return missed, "nothing"
    return msgspec.structs.replace(missed, at_risk_since=now), "at_risk"


def revoked_at(policy: WatchPolicy, at_risk_since: int) -> int | None:
    """Return when a domain that stays at risk fails; None when that is switched off."""
    return at_risk_since + policy.revoke_days * DAY if policy.revoke_days else None


def _is_revoked(policy: WatchPolicy, at_risk_since: int, now: int) -> bool:
    end = revoked_at(policy, at_risk_since)
    return end is not None and now >= end
