"""When a failed delivery is tried again, and when an endpoint is given up, as pure functions of values."""

from collections.abc import Sequence

LONGEST_RETRY_AFTER = 24 * 60 * 60.0
FAILING_MILLISECONDS = 5 * 24 * 60 * 60 * 1000
_JITTER = 0.1


def parse(text: str) -> tuple[float, ...]:
    """Return the waits of a comma-separated list of seconds. Raises ValueError for what is none."""
    waits = tuple(float(part) for part in text.split(",") if part.strip())
    if not all(0 <= wait <= 30 * 24 * 60 * 60 for wait in waits):
        raise ValueError("each wait must be a number of seconds up to 30 days")
    return waits


def wait_before_retry(
    waits: Sequence[float], attempts: int, chance: float, retry_after: float | None = None
) -> float | None:
    """Return the seconds to wait after failed attempt number `attempts` (from 1); None when that was the last.

    `chance` in [0, 1) spreads those who failed together over a tenth to both sides. A
    receiver's `retry_after` makes the wait longer, never shorter, by at most a day.
    """
    if attempts > len(waits):
        return None
    wait = waits[attempts - 1] * (1 - _JITTER + 2 * _JITTER * chance)
    return max(wait, min(retry_after or 0.0, LONGEST_RETRY_AFTER))


def is_given_up(failing_since: int | None, milliseconds: int) -> bool:
    """Return whether an endpoint that has only failed since then is to be disabled: after five days."""
    return failing_since is not None and milliseconds - failing_since >= FAILING_MILLISECONDS
