"""How many requests a key may make, as the hosted service limits them (wire.md section 1.10)."""

import hashlib
import math

from tenantry.core.clock import Clock
from tenantry.core.errors import RateLimitExceeded

_WINDOW_MILLISECONDS = 60_000


class Throttle:
    """Counts requests of each key in fixed windows of a minute, in this process."""

    def __init__(self, clock: Clock, per_minute: int) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._window = -1
        self._counts: dict[bytes, int] = {}

    def count(self, authorization: str | None) -> None:
        """Count one request. Raises RateLimitExceeded when its key has had its share."""
        if not self._per_minute:
            return
        now = self._clock()
        if now // _WINDOW_MILLISECONDS != self._window:
            self._window = now // _WINDOW_MILLISECONDS
            self._counts.clear()
        key = hashlib.sha256((authorization or "").encode("utf-8", "replace")).digest()
        self._counts[key] = self._counts.get(key, 0) + 1
        if self._counts[key] > self._per_minute:
            rest = (self._window + 1) * _WINDOW_MILLISECONDS - now
            raise RateLimitExceeded(math.ceil(rest / 1000))
