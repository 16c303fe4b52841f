"""How events become batches, when a batch is sent again, what state a stream is in: functions of values alone."""

from collections.abc import Sequence
from typing import Literal

from tenantry.core.retry import backoff

State = Literal["active", "inactive", "error", "invalid"]
Verdict = Literal["taken", "failed", "refused", "too_large"]
"""What came of a batch; `refused` means that the credentials were."""

Grade = Literal["quick", "slow", "untried", "failing", "dead"]
"""How a stream does: each grade has places of its own in a server, so that none waits for a worse one."""

MOST_EVENTS = 1000
MOST_BYTES = 1 << 20
"""The most of a batch, and so of what is held in memory for a stream: below the limits of every receiver."""

_QUICK_MILLISECONDS = 1000
_FAILURES_UNTIL_ERROR = 3
_FAILURES_UNTIL_DEAD = 8
_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 600.0
_DOUBLINGS = 20
_LONGEST_RETRY_AFTER_SECONDS = 3600.0


def batch_end(sizes: Sequence[tuple[int, int]]) -> int:
    """Return the sequence with which a batch ends, of events (at least one) given as sequence and bytes, in order.

    The first event is always in it.
    """
    end, total = sizes[0][0], 0
    for sequence, size in sizes[:MOST_EVENTS]:
        total += size
        if total > MOST_BYTES:
            break
        end = sequence
    return end


def due_at(pending: int, batch_seconds: int, now: int) -> int | None:
    """Return when to send next while `pending` events wait at `now`, in milliseconds; None for none.

    Those that fill a batch go at once, fewer wait a while for others.
    """
    if pending <= 0:
        return None
    return now if pending >= MOST_EVENTS else now + batch_seconds * 1000


def retry_wait(failures: int, chance: float, asked: float | None = None) -> float:
    """Return the seconds to wait after `failures` in a row (at least one) until the batch is sent again.

    Doubles from a second up to ten minutes, spread by `chance` in [0, 1) over the upper half. What the
    receiver `asked` for makes it longer, never shorter, by at most an hour.
    """
    wait = backoff(min(failures, _DOUBLINGS), chance, base=_FIRST_WAIT_SECONDS, ceiling=_LONGEST_WAIT_SECONDS)
    return max(wait, min(asked or 0.0, _LONGEST_RETRY_AFTER_SECONDS))


def state_after(state: State, verdict: Verdict, failures: int) -> State:
    """Return a stream's state once a batch came to `verdict`, the last of `failures` in a row.

    One that was switched off stays so. Refused credentials show at once, other failures from the
    third in a row on, and a batch that is taken makes all well.
    """
    if state == "inactive":
        return state
    if verdict == "taken":
        return "active"
    if verdict == "refused":
        return "invalid"
    return "error" if failures >= _FAILURES_UNTIL_ERROR else state


def grade_after(verdict: Verdict, latency_ms: int, failures: int) -> Grade:
    """Return how a stream does once a batch came to `verdict`, the last of `failures` in a row."""
    if verdict == "taken":
        return "quick" if latency_ms < _QUICK_MILLISECONDS else "slow"
    return "failing" if failures < _FAILURES_UNTIL_DEAD else "dead"
