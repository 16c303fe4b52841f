"""Where an organization's row stands on SQLite: a number that its id tells, so that a get needs no index.

It is the millisecond of the id and, within that, the end of the id: ids that are made one after the
other in a millisecond count up there. Where that place is taken, the row stands at another one of the
same millisecond, and is found by the index of ids; so are rows from before places were told by ids.
"""

from typing import LiteralString

from tenantry.core.ids import RANDOM_BITS, number_of

_BITS = 19
_REST = (1 << _BITS) - 1
_LATEST = (1 << 44) - 1

END = (_LATEST + 1 << _BITS) - 1
"""The greatest place that there can be."""

# 524287 is _REST.
_NEXT: LiteralString = (
    "SELECT taken.place + 1 FROM organizations AS taken"
    " WHERE taken.place BETWEEN :place AND (:place | 524287) - 1"
    " AND NOT EXISTS (SELECT 1 FROM organizations AS other WHERE other.place = taken.place + 1)"
    " ORDER BY taken.place LIMIT 1"
)
_PREVIOUS: LiteralString = (
    "SELECT taken.place - 1 FROM organizations AS taken"
    " WHERE taken.place BETWEEN (:place & ~524287) + 1 AND :place"
    " AND NOT EXISTS (SELECT 1 FROM organizations AS other WHERE other.place = taken.place - 1)"
    " ORDER BY taken.place DESC LIMIT 1"
)
FREE: LiteralString = (
    "(CASE WHEN NOT EXISTS (SELECT 1 FROM organizations WHERE place = :place) THEN :place"
    " ELSE coalesce((" + _NEXT + "), (" + _PREVIOUS + ")) END)"
)
"""The place `:place` or, where it is taken, the next free one of its millisecond."""


def likely_place(organization_id: str) -> int:
    """Return where the row of an organization stands, if it is not one of a few; -1 for what is no id."""
    try:
        number = number_of(organization_id)
    except ValueError:
        return -1
    return min(number >> RANDOM_BITS, _LATEST) << _BITS | number & _REST


def first_of_millisecond(place: int) -> int:
    """Return the first place of the millisecond that `place` is in."""
    return place & ~_REST


def last_of_millisecond(place: int) -> int:
    """Return the last place of the millisecond that `place` is in."""
    return place | _REST
