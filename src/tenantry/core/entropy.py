"""Randomness as a value that is passed in."""

import threading
from collections.abc import Callable

Entropy = Callable[[int], bytes]
"""Returns that many random bytes; `os.urandom` outside tests."""

_ALPHANUMERIC = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_FAIR = 256 - 256 % len(_ALPHANUMERIC)
_TABLE = bytes(_ALPHANUMERIC[byte % len(_ALPHANUMERIC)] for byte in range(256))
_UNFAIR = bytes(range(_FAIR, 256))
"""Bytes that would make some characters likelier than others; they are dropped."""
_SPARE = 8
_FETCHED = 4096


class Pool:
    """Entropy that is fetched some at a time: a call to the system for each id and token costs more than these.

    Safe to call from several threads; not to be taken along into a forked process.
    """

    def __init__(self, source: Entropy) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._bytes = b""
        self._used = 0

    def __call__(self, count: int) -> bytes:
        """Return `count` random bytes, which nobody else gets."""
        if count > _FETCHED:
            return self._source(count)
        with self._lock:
            if self._used + count > len(self._bytes):
                self._bytes, self._used = self._source(_FETCHED), 0
            self._used += count
            return self._bytes[self._used - count : self._used]


def alphanumeric(entropy: Entropy, length: int) -> str:
    """Return `length` random characters of `[A-Za-z0-9]`, each equally likely."""
    found = b""
    while len(found) < length:
        found += entropy(length + _SPARE).translate(_TABLE, _UNFAIR)
    return found[:length].decode()
