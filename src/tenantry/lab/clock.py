"""The clock of a universe: it runs as another does, or stands still, and can be put forward."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from tenantry.core.clock import Clock

MOST_STOPS = 2000
"""So many moments are passed one by one; after these, moments that lie close are passed together."""


class ClockWouldGoBack(ValueError):
    """The clock is past that time already. Ids carry their time, and lists are ordered by them."""


class TestClock:
    """A clock that can be frozen and put forward. Never back: ids carry its time, and order lists."""

    __test__ = False  # pytest takes it for a test

    def __init__(self, source: Clock, start: int | None = None, *, frozen: bool = False) -> None:
        """It runs as `source` does, from `start` or else from what `source` shows, in milliseconds."""
        now = source()
        self._source = source
        self._ahead = 0 if start is None else start - now
        self._stands_at = now + self._ahead if frozen else None

    def __call__(self) -> int:
        return self._source() + self._ahead if self._stands_at is None else self._stands_at

    @property
    def frozen(self) -> bool:
        """Whether it stands still."""
        return self._stands_at is not None

    def freeze(self) -> None:
        """Let it stand still where it is."""
        self._stands_at = self()

    def unfreeze(self) -> None:
        """Let it run on from where it is."""
        if self._stands_at is not None:
            self._ahead, self._stands_at = self._stands_at - self._source(), None

    def move(self, to: int) -> None:
        """Put it forward to a time. Raises ClockWouldGoBack."""
        if to < self():
            raise ClockWouldGoBack
        if self._stands_at is None:
            self._ahead = to - self._source()
        else:
            self._stands_at = to


class Chores(Protocol):
    """What falls due in a universe."""

    async def settle(self) -> None:
        """Do all that is due now."""

    async def next_due(self) -> int | None:
        """Return when something is due next, in milliseconds."""

    async def catch_up(self) -> None:
        """Do what else is done now and then, as to delete what is past its time."""


class TooMuchFallsDue(Exception):
    """More falls due until a time than one call does. The clock stands where it got."""


def next_stop(now: int, due: int | None, target: int, stops: int, apart: int) -> int | None:
    """Return the time to put the clock to next on its way to `target`; None when that is `target` itself.

    Each moment at which something is due is a stop of its own. After two thousand `stops` they are at least
    `apart`, so that any way has an end.
    """
    if due is None or due > target:
        return None
    return max(now, due) if stops < MOST_STOPS else max(now + apart, due)


async def pass_time(clock: TestClock, target: int, chores: Chores, is_late: Callable[[], bool]) -> None:
    """Put a frozen clock forward to `target`, and do on the way all that falls due, each thing in its time.

    Raises TooMuchFallsDue once `is_late`.
    """
    await chores.settle()
    apart = (target - clock()) // MOST_STOPS + 1
    stops = 0
    while (stop := next_stop(clock(), await chores.next_due(), target, stops, apart)) is not None:
        if is_late():
            raise TooMuchFallsDue
        await _arrive(clock, min(stop, target), chores)
        stops += 1
    await _arrive(clock, target, chores)
    await chores.catch_up()


async def _arrive(clock: TestClock, to: int, chores: Chores) -> None:
    clock.move(to)
    await asyncio.sleep(0)  # look-ups of this turn of the event loop share a transaction, and its time
    await chores.settle()
