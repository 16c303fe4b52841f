"""Time as a value that is passed in, and its text on the wire."""

import time
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

Clock = Callable[[], int]
"""Returns the time now as whole milliseconds since the Unix epoch, UTC."""

_LAST = "9999-12-31T23:59:59.999Z"


def system_clock() -> Clock:
    """Return the machine's clock, made so that it never runs backwards in this process.

    Ids carry their time and lists are ordered by id: a clock set back by a time
    server would otherwise put new organizations behind old ones.
    """
    last = 0

    def now() -> int:
        nonlocal last
        last = max(last, time.time_ns() // 1_000_000)
        return last

    return now


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    moment = time.gmtime(seconds)
    return f"{moment.tm_year:04}{time.strftime('-%m-%dT%H:%M:%S', moment)}"  # strftime does not pad every year


@lru_cache(maxsize=4)
def timestamp(milliseconds: int) -> str:
    """Return `milliseconds` since the epoch as the wire writes it: `2025-07-22T18:55:20.355Z`.

    Exactly three fraction digits and `Z` (wire.md section 3): Python's and Kotlin's
    clients parse nothing looser.
    """
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_second(seconds)}.{rest:03d}Z"


def later(now: str, earlier: str) -> str:
    """Return `now`, or the millisecond after `earlier` when `now` is no later: both as on the wire.

    Several changes may fall into one millisecond, and servers' clocks differ; whoever tells
    two states apart by their time needs each to have its own. Nothing is later than the end of the year 9999.
    """
    if now > earlier:
        return now
    if earlier >= _LAST:
        return _LAST
    return timestamp(milliseconds_of(earlier) + 1)


def milliseconds_of(text: str) -> int:
    """Return the milliseconds since the epoch that a timestamp of the wire stands for."""
    moment = datetime.fromisoformat(text)
    return int(moment.replace(microsecond=0).timestamp()) * 1000 + moment.microsecond // 1000
