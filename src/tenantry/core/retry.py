"""When to try again, as pure functions of values."""

from datetime import UTC
from email.utils import parsedate_to_datetime


def backoff(attempt: int, chance: float, *, base: float = 0.005, ceiling: float = 0.5) -> float:
    """Return the seconds to wait before attempt number `attempt` (from 1) is made again.

    Doubles from `base` up to `ceiling`; `chance` in [0, 1) spreads those who failed
    together over the upper half of the wait, so that they do not meet again.
    """
    longest = min(ceiling, base * 2.0 ** (attempt - 1))
    return longest * (0.5 + chance / 2)


def retry_after_seconds(header: str | None, milliseconds: int) -> float | None:
    """Return the wait that a `Retry-After` header asks for at that time, in seconds; None when there is none.

    Takes a number or an HTTP date (RFC 9110 section 10.2.3); anything else counts as none.
    """
    if header is None:
        return None
    if header.isascii() and header.isdigit():
        return float(header[:10])
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - milliseconds / 1000)
