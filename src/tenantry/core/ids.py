"""Object ids: a prefix and a ULID, `org_01EHWNCE74X7JSDV0X3SZ3KJNY` (wire.md section 3)."""

import re
import threading
from functools import lru_cache

from tenantry.core.entropy import Entropy

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
_VALUES = {pair: value for value, pair in enumerate(_PAIRS)}
_RANDOM_BITS = 80
_RANDOM_LIMIT = 1 << _RANDOM_BITS
_ULID = r"[0-7][0-9A-HJKMNP-TV-Z]{25}"


def ulid(milliseconds: int, randomness: int) -> str:
    """Return the 26 characters of the ULID made of 48 bits of time and 80 of randomness."""
    end = randomness & 0xFFFFF
    return _beginning(milliseconds, randomness >> 20) + _PAIRS[end >> 10] + _PAIRS[end & 1023]


# Ids that are made one after the other differ in their end alone.
@lru_cache(maxsize=16)
def _beginning(milliseconds: int, randomness: int) -> str:
    number = milliseconds << 60 | randomness
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(100, -1, -10)])


@lru_cache(maxsize=64)
def id_pattern(prefix: str) -> re.Pattern[str]:
    """Return the pattern that every id with `prefix` matches whole."""
    return re.compile(rf"{prefix}_{_ULID}\Z")


def time_of(identity: str) -> int:
    """Return the milliseconds since the epoch that a well-formed id carries. Raises KeyError for most others."""
    return _time_of(identity[-26:-16])


# Ids that are made at the same time begin with the same text.
@lru_cache(maxsize=16)
def _time_of(beginning: str) -> int:
    milliseconds = 0
    for start in range(0, len(beginning), 2):
        milliseconds = milliseconds << 10 | _VALUES[beginning[start : start + 2]]
    return milliseconds


def end_of(identity: str) -> int:
    """Return the last 20 bits of a well-formed id. Raises KeyError for most others."""
    return _VALUES[identity[-4:-2]] << 10 | _VALUES[identity[-2:]]


class IdSource:
    """Makes ids that sort in the order in which they were made in this process.

    Within one millisecond the random part counts up by one, as the ULID specification
    has it; otherwise it is fresh. Safe to call from several threads.
    """

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._lock = threading.Lock()
        self._milliseconds = -1
        self._randomness = 0

    def new(self, prefix: str, milliseconds: int) -> str:
        """Return a new id whose time part is `milliseconds` since the epoch."""
        with self._lock:
            if milliseconds == self._milliseconds and self._randomness + 1 < _RANDOM_LIMIT:
                self._randomness += 1
            else:
                self._milliseconds = milliseconds
                self._randomness = int.from_bytes(self._entropy(10))
            return f"{prefix}_{ulid(milliseconds, self._randomness)}"
