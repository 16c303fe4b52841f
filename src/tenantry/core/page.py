"""Pages of a list: from query parameters to SQL bounds to the list envelope (wire.md section 2)."""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, ClassVar, Generic, LiteralString, Self, TypeVar

import msgspec
from msgspec import Meta

from tenantry.core.ids import id_pattern
from tenantry.core.parsing import ParsedText


class Order(StrEnum):
    """How a list is sorted, and which way its cursors lead (wire.md section 2.2)."""

    NORMAL = "normal"
    DESC = "desc"
    ASC = "asc"


T = TypeVar("T")

BEFORE = Meta(description="Return the page before this id, in the list's order.")
AFTER = Meta(description="Return the page after this id, in the list's order.")


class Cursor(ParsedText):
    """A place in a list: an id with the list's prefix, whose row need not exist any more."""

    __slots__ = ()
    prefix: ClassVar[str]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the cursor. Raises ValueError for what is no id of the list."""
        if not id_pattern(cls.prefix).match(text):
            raise ValueError(f"must be an id that begins with {cls.prefix}_")
        return cls(text)


class PageQuery(msgspec.Struct, kw_only=True, frozen=True):
    """The parameters that every list takes. A list declares `before` and `after` as its own kind of Cursor."""

    before: Annotated[str, BEFORE] | None = None
    after: Annotated[str, AFTER] | None = None
    limit: Annotated[int, Meta(ge=1, le=100, description="Most objects to return.")] = 10
    order: Annotated[
        Order, Meta(description="`desc`: newest first; `asc`: oldest first; `normal`: as `desc`, cursors swapped.")
    ] = Order.NORMAL


class ListMetadata(msgspec.Struct, frozen=True):
    """The cursors of the pages on either side; None where there is no such page."""

    before: str | None
    after: str | None


class Page(msgspec.Struct, Generic[T], frozen=True, tag_field="object", tag="list"):
    """The list envelope."""

    data: list[T]
    list_metadata: ListMetadata


class Bounds(msgspec.Struct, frozen=True):
    """Which rows to read: those past `cursor`, walking by id in one direction.

    The rows come out in walking order; `reverse` says that the page shows them the
    other way round.
    """

    cursor: str | None
    descending: bool
    reverse: bool
    limit: int


def bounds(query: PageQuery) -> Bounds:
    """Return the rows that `query` asks for.

    A cursor is a place, not a row: ids sort by time, so one whose row is gone still
    marks where it stood. `normal` is newest first with the cursors' sense turned round:
    `before` walks to older rows, `after` to newer ones (wire.md section 2.2). Given
    both cursors, `after` counts.
    """
    after, before = query.after, query.before
    if query.order is Order.NORMAL and after is None:
        after, before = before, None
    elif query.order is Order.NORMAL:
        after, before = None, after
    newest_first = query.order is not Order.ASC
    if after is not None or before is None:
        return Bounds(after, descending=newest_first, reverse=False, limit=query.limit)
    return Bounds(before, descending=not newest_first, reverse=True, limit=query.limit)


def past(limits: Bounds) -> LiteralString:
    """Return the condition that rows are past the cursor, to stand after others; `cursor_of` has its parameter."""
    if limits.cursor is None:
        return ""
    return " AND id < :cursor" if limits.descending else " AND id > :cursor"


def in_order(limits: Bounds) -> LiteralString:
    """Return the order of a query that walks by id."""
    return " ORDER BY id DESC" if limits.descending else " ORDER BY id"


def cursor_of(limits: Bounds) -> dict[str, object]:
    """Return the parameter of `past`, if it has one."""
    return {} if limits.cursor is None else {"cursor": limits.cursor}


def walk(limits: Bounds) -> LiteralString:
    """Return the end of a query that walks `limits` by id; `walked` has its parameters."""
    return past(limits) + in_order(limits) + " LIMIT :most"


def walked(limits: Bounds) -> dict[str, object]:
    """Return the parameters of `walk`: one row more than the limit tells whether there are more."""
    return {"most": limits.limit + 1, **cursor_of(limits)}


def behind(limits: Bounds) -> LiteralString:
    """Return the end of a query for a row on the other side of `:first` than the one `limits` walks to."""
    return " AND id > :first LIMIT 1" if limits.descending else " AND id < :first LIMIT 1"


class Window(msgspec.Struct, Generic[T], frozen=True):
    """The rows of one page in the order shown, and the cursors of the pages on either side."""

    rows: list[tuple[str, T]]
    earlier: str | None
    later: str | None


def window(
    limits: Bounds, walked: list[tuple[str, T]], has_behind: Callable[[str], bool], stopped: str | None = None
) -> Window[T]:
    """Return the page made of `walked`, which holds up to one row more than the limit.

    `has_behind` looks whether there are rows behind an id, before which the walk met none. It is
    asked only when there can be some: a walk without a cursor began at the end. `stopped` is the
    id up to which a walk has looked that ended before the list did: the next page begins past it.
    """
    rows = walked[: limits.limit]
    ahead = rows[-1][0] if len(walked) > limits.limit else stopped
    first = rows[0][0] if rows else stopped
    behind = first if limits.cursor is not None and first is not None and has_behind(first) else None
    if limits.reverse:
        return Window(rows[::-1], earlier=ahead, later=behind)
    return Window(rows, earlier=behind, later=ahead)


def envelope(query: PageQuery, shown: Window[T]) -> Page[T]:
    """Return the list as the wire has it, with the cursors that lead on in `query`'s order."""
    earlier, later = shown.earlier, shown.later
    cursors = (later, earlier) if query.order is Order.NORMAL else (earlier, later)
    return Page([data for _, data in shown.rows], ListMetadata(*cursors))
