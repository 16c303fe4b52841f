"""How many requests a key may make, as the hosted service limits them (wire.md section 1.10)."""

import hashlib
import math
from collections.abc import Mapping
from types import MappingProxyType

from tenantry.core.clock import Clock
from tenantry.core.errors import RateLimitExceeded

_WINDOW_MILLISECONDS = 60_000


class Throttle:
    """Counts requests of each key in fixed windows of a minute, in this process.

    `per_minute` is the share of a key, 0 for no limit; `of_operations` the share of those operations alone.
    """

    def __init__(
        self, clock: Clock, per_minute: int, of_operations: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._of_operations = of_operations
        self._window = -1
        self._counts: dict[tuple[bytes, str | None], int] = {}

    def count(self, authorization: str | None, operation: str) -> None:
        """Count one request of an operation. Raises RateLimitExceeded when its key has had its share."""
        of_operation = self._of_operations.get(operation, 0)
        if not self._per_minute and not of_operation:
            return
        now = self._clock()
        if now // _WINDOW_MILLISECONDS != self._window:
            self._window = now // _WINDOW_MILLISECONDS
            self._counts.clear()
        key = hashlib.sha256((authorization or "").encode("utf-8", "replace")).digest()
        if self._is_over((key, None), self._per_minute) or self._is_over((key, operation), of_operation):
            rest = (self._window + 1) * _WINDOW_MILLISECONDS - now
            raise RateLimitExceeded(math.ceil(rest / 1000))

    def _is_over(self, counted: tuple[bytes, str | None], most: int) -> bool:
        if not most:
            return False
        self._counts[counted] = self._counts.get(counted, 0) + 1
        return self._counts[counted] > most
