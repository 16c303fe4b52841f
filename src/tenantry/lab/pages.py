"""Pages of what the lab holds in memory, by the rules of every list."""

from typing import TypeVar

from tenantry.core.page import Page, PageQuery, bounds, envelope, window

T = TypeVar("T")


def page_of(query: PageQuery, rows: list[tuple[str, T]]) -> Page[T]:
    """Return the page of `rows`, ids and objects in any order, that `query` asks for."""
    limits = bounds(query)

    def is_past(identity: str, place: str) -> bool:
        return identity < place if limits.descending else identity > place

    ordered = sorted(rows, key=lambda row: row[0], reverse=limits.descending)
    walked = [row for row in ordered if limits.cursor is None or is_past(row[0], limits.cursor)]

    def has_behind(first: str) -> bool:
        return any(is_past(first, identity) for identity, _ in rows)

    return envelope(query, window(limits, walked[: limits.limit + 1], has_behind))
