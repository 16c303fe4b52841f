"""Object ids: a prefix and a ULID, `org_01EHWNCE74X7JSDV0X3SZ3KJNY` (wire.md section 3)."""

import re
import threading
from functools import lru_cache

from tenantry.core.entropy import Entropy

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
# The digits as Python reads them, whose own 32 are others; "?" is none.
_PYTHON_DIGITS = bytes(
    b"0123456789abcdefghijklmnopqrstuv"[_ALPHABET.index(chr(code))] if chr(code) in _ALPHABET else ord("?")
    for code in range(256)
)
RANDOM_BITS = 80
"""How many bits of an id are random: its last ones."""

_RANDOM_LIMIT = 1 << RANDOM_BITS
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


def number_of(identity: str) -> int:
    """Return the 128 bits of a well-formed id. Raises ValueError for most others."""
    return int(identity[-26:].encode().translate(_PYTHON_DIGITS), 32)


def time_of(identity: str) -> int:
    """Return the milliseconds since the epoch that a well-formed id carries. Raises ValueError for most others."""
    return number_of(identity) >> RANDOM_BITS


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
