"""Where an event stands in the order in which all are served, and the text for it."""

import re

import msgspec

_DIGITS = 16
_POSITION = re.compile(r"([0-7][0-9a-f]{15}){2}\Z")


class Place(msgspec.Struct, frozen=True, order=True):
    """A place in the order of events; every event stands at one of its own."""

    transaction_id: int
    position: int


START = Place(0, 0)
"""The place before all events."""


def text_of(place: Place) -> str:
    """Return a place as the text that callers are given: 32 hexadecimal digits, lower case.

    Of two the later place is the greater text, on both engines, however text is compared.
    """
    return f"{place.transaction_id:0{_DIGITS}x}{place.position:0{_DIGITS}x}"


def is_position(text: str) -> bool:
    """Return whether `text` can stand for a place."""
    return _POSITION.match(text) is not None


def place_of(text: str) -> Place:
    """Return the place that a text for which `is_position` is true stands for."""
    return Place(int(text[:_DIGITS], 16), int(text[_DIGITS:], 16))
