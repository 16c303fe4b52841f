"""Randomness as a value that is passed in."""

from collections.abc import Callable

Entropy = Callable[[int], bytes]
"""Returns that many random bytes; `os.urandom` outside tests."""

_ALPHANUMERIC = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def alphanumeric(entropy: Entropy, length: int) -> str:
    """Return `length` random characters of `[A-Za-z0-9]`, each equally likely."""
    fair = 256 - 256 % len(_ALPHANUMERIC)
    found: list[str] = []
    while len(found) < length:
        found += [_ALPHANUMERIC[byte % len(_ALPHANUMERIC)] for byte in entropy(length) if byte < fair]
    return "".join(found[:length])
