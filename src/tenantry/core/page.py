"""Pages of a list: from query parameters to SQL bounds to the list envelope (wire.md section 2)."""

from enum import StrEnum
from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import Meta

from tenantry.core.errors import FieldError, ValidationFailed
from tenantry.core.ids import id_pattern


class Order(StrEnum):
    """How a list is sorted, and which way its cursors lead (wire.md section 2.2)."""

    NORMAL = "normal"
    DESC = "desc"
    ASC = "asc"


T = TypeVar("T")


class PageQuery(msgspec.Struct, kw_only=True, frozen=True):
    """The parameters that every list takes."""

    before: Annotated[str, Meta(description="Return the page before this id, in the list's order.")] | None = None
    after: Annotated[str, Meta(description="Return the page after this id, in the list's order.")] | None = None
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


def bounds(query: PageQuery, prefix: str) -> Bounds:
    """Return the rows that `query` asks for of a list whose ids begin with `prefix`.

    A cursor is a place, not a row: ids sort by time, so one whose row is gone still
    marks where it stood. `normal` is newest first with the cursors' sense turned round:
    `before` walks to older rows, `after` to newer ones (wire.md section 2.2). Given
    both cursors, `after` counts.

    Raises ValidationFailed for a cursor that is no id of this list.
    """
    _check_cursors(query, prefix)
    after, before = query.after, query.before
    if query.order is Order.NORMAL and after is None:
        after, before = before, None
    elif query.order is Order.NORMAL:
        after, before = None, after
    newest_first = query.order is not Order.ASC
    if after is not None or before is None:
        return Bounds(after, descending=newest_first, reverse=False, limit=query.limit)
    return Bounds(before, descending=not newest_first, reverse=True, limit=query.limit)


def _check_cursors(query: PageQuery, prefix: str) -> None:
    pattern = id_pattern(prefix)
    wrong = [
        FieldError(name, f"{name} must be an id that begins with {prefix}_")
        for name, cursor in (("before", query.before), ("after", query.after))
        if cursor is not None and not pattern.match(cursor)
    ]
    if wrong:
        raise ValidationFailed(wrong)


class Window(msgspec.Struct, Generic[T], frozen=True):
    """The rows of one page in the order shown, and whether there are rows on either side."""

    rows: list[tuple[str, T]]
    earlier: bool
    later: bool


def window(limits: Bounds, walked: list[tuple[str, T]], *, behind: bool) -> Window[T]:
    """Return the page made of `walked`, which holds up to one row more than the limit.

    `behind` says whether there are rows behind the first one walked.
    """
    ahead = len(walked) > limits.limit
    rows = walked[: limits.limit]
    if limits.reverse:
        return Window(rows[::-1], earlier=ahead, later=behind)
    return Window(rows, earlier=behind, later=ahead)


def envelope(query: PageQuery, shown: Window[T]) -> Page[T]:
    """Return the list as the wire has it, with the cursors that lead on in `query`'s order."""
    earlier = shown.rows[0][0] if shown.rows and shown.earlier else None
    later = shown.rows[-1][0] if shown.rows and shown.later else None
    cursors = (later, earlier) if query.order is Order.NORMAL else (earlier, later)
    return Page([data for _, data in shown.rows], ListMetadata(*cursors))
