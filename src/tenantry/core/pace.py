"""Turns at an even rate, for work that must not come all at once."""

import asyncio

_MADE_UP_FOR_SECONDS = 0.05


class Pace:
    """Gives turns at `rate` a second, in the order in which they are asked for; after a silence some at once.

    Each turn has its time as soon as it is asked for, so one that waits costs one timer. When the event loop was
    held up, a twentieth of a second is made up for; by the rest all that wait are put off.
    """

    def __init__(self, rate: float, burst_seconds: float) -> None:
        self._interval = 1 / rate
        self._burst_seconds = max(0.0, burst_seconds - self._interval)
        self._next = 0.0
        self._put_off = 0.0

    async def turn(self) -> None:
        """Return when it is the caller's turn."""
        now = asyncio.get_running_loop().time()
        mine = max(self._next, now - self._put_off - self._burst_seconds)
        self._next = mine + self._interval
        while (left := mine + self._put_off - now) > 0:
            await asyncio.sleep(left)
            now = asyncio.get_running_loop().time()
            self._put_off += max(0.0, now - mine - self._put_off - _MADE_UP_FOR_SECONDS)
