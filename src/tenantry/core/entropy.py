"""Randomness as a value that is passed in."""

from collections.abc import Callable

Entropy = Callable[[int], bytes]
"""Returns that many random bytes; `os.urandom` outside tests."""

_ALPHANUMERIC = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_FAIR = 256 - 256 % len(_ALPHANUMERIC)
_TABLE = bytes(_ALPHANUMERIC[byte % len(_ALPHANUMERIC)] for byte in range(256))
_UNFAIR = bytes(range(_FAIR, 256))
"""Bytes that would make some characters likelier than others; they are dropped."""
_SPARE = 8


def alphanumeric(entropy: Entropy, length: int) -> str:
    """Return `length` random characters of `[A-Za-z0-9]`, each equally likely."""
    found = b""
    while len(found) < length:
        found += entropy(length + _SPARE).translate(_TABLE, _UNFAIR)
    return found[:length].decode()
