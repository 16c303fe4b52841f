"""Canonical JSON (RFC 8785): the same event is always the same bytes, so that it has one hash.

Keys are sorted by code points, not by UTF-16 as the RFC has it: the keys of an event are ASCII,
where both are one. An integer keeps all its digits, also past 2^53, where the RFC would round it.
"""

from decimal import Decimal
from typing import Any

import msgspec

_encode = msgspec.json.Encoder(order="sorted", enc_hook=str).encode


def canonical(value: object) -> bytes:
    """Return the JSON of `value`, whose numbers are such as `exact` returns."""
    return _encode(value)


def exact(metadata: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return flat metadata with each float as the text that RFC 8785 has for it."""
    if metadata is None or float not in map(type, metadata.values()):
        return metadata
    return {
        key: msgspec.Raw(number(value).encode()) if isinstance(value, float) else value
        for key, value in metadata.items()
    }


def number(value: float) -> str:
    """Return a finite float as ECMAScript writes it, in the fewest digits (RFC 8785, 3.2.2.3)."""
    if value == 0:
        return "0"
    if 1e-6 <= abs(value) < 1e21:
        return format(Decimal(repr(value)), "f").removesuffix(".0")
    mantissa, _, exponent = repr(value).partition("e")
    return f"{mantissa}e{int(exponent):+d}"
