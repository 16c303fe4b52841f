"""Turns at an even rate, for work that must not come all at once."""

import asyncio
import math
from collections import deque

BEAT_SECONDS = 0.0025
"""Turns that fall within one beat come at its end together, and wake whoever they reach once."""

_MADE_UP_FOR_SECONDS = 0.05


class Pace:
    """Gives turns at `rate` a second, in the order in which they are asked for; after a silence some at once.

    Each turn has its time as soon as it is asked for. When the event loop was held up, a twentieth of a second is
    made up for; by the rest all that wait are put off.
    """

    def __init__(self, rate: float, burst_seconds: float) -> None:
        self._interval = 1 / rate
        self._burst_seconds = max(0.0, burst_seconds - self._interval)
        self._next = 0.0
        self._put_off = 0.0
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()

    async def turn(self) -> None:
        """Return when it is the caller's turn."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        mine = max(self._next, now - self._put_off - self._burst_seconds)
        self._next = mine + self._interval
        if mine + self._put_off <= now and not self._waiting:
            return
        waiter = loop.create_future()
        self._waiting.append((mine, waiter))
        if len(self._waiting) == 1:
            self._wait(loop)
        await waiter

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        due = self._waiting[0][0] + self._put_off
        beat = math.ceil(due / BEAT_SECONDS) * BEAT_SECONDS
        loop.call_at(beat, self._give, loop, beat)

    def _give(self, loop: asyncio.AbstractEventLoop, beat: float) -> None:
        """Give their turns to all who have waited for this beat."""
        now = max(beat, loop.time())  # a loop may be early by as much as it cannot tell apart
        self._put_off += max(0.0, now - self._put_off - self._waiting[0][0] - _MADE_UP_FOR_SECONDS)
        while self._waiting and self._waiting[0][0] + self._put_off <= now:
            _, waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
        if self._waiting:
            self._wait(loop)
