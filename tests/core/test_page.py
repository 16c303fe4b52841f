"""Pages against a plain model: a list in memory, sliced by position."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import caller_in, grant, open_migrated
from tenantry.core.caller import Caller
from tenantry.core.db import Database, World
from tenantry.core.page import Order, PageQuery, bounds, envelope, window
from tenantry.organizations import service
from tenantry.organizations.wire import CreateOrganization, ListOrganizations, OrganizationCursor

ULIDS = [f"org_01EHQMYV6MBK39QC5PZXHY5{index:03d}" for index in range(40)]


def model_page(rows: list[str], query: PageQuery) -> tuple[list[str], str | None, str | None]:
    """Return ids and cursors of the page that `query` asks for of `rows`, oldest first, by the wire's words."""
    shown = rows if query.order is Order.ASC else rows[::-1]
    after, before = query.after, query.before
    if query.order is Order.NORMAL:  # the cursors' sense is turned round, and `after` counts
        after, before = (None, after) if after is not None else (before, None)
    elif after is not None:
        before = None

    def follows(row: str, cursor: str) -> bool:
        return row > cursor if query.order is Order.ASC else row < cursor

    if after is not None:
        start = len([row for row in shown if not follows(row, after)])
        page = shown[start : start + query.limit]
    elif before is not None:
        end = len([row for row in shown if row != before and not follows(row, before)])
        start = max(0, end - query.limit)
        page = shown[start:end]
    else:
        start, page = 0, shown[: query.limit]
    earlier = page[0] if page and start > 0 else None
    later = page[-1] if page and start + len(page) < len(shown) else None
    return (page, later, earlier) if query.order is Order.NORMAL else (page, earlier, later)


QUERIES = st.builds(
    PageQuery,
    before=st.none() | st.sampled_from(ULIDS),
    after=st.none() | st.sampled_from(ULIDS),
    limit=st.integers(1, 12),
    order=st.sampled_from(Order),
)


@given(st.sets(st.sampled_from(ULIDS)), QUERIES)
def test_bounds_and_envelope_agree_with_the_model(present: set[str], query: PageQuery) -> None:
    rows = sorted(present)
    limits = bounds(query)
    walking = rows[::-1] if limits.descending else rows
    cursor = limits.cursor
    if cursor is not None:
        walking = [row for row in walking if (row < cursor if limits.descending else row > cursor)]
    walked = [(row, row) for row in walking[: limits.limit + 1]]

    def has_behind(first: str) -> bool:
        assert cursor is not None, "a walk without a cursor begins at the end"
        return first != (rows[-1] if limits.descending else rows[0])

    page = envelope(query, window(limits, walked, has_behind))
    assert (page.data, page.list_metadata.before, page.list_metadata.after) == model_page(rows, query)


class Clock:
    """Ticks a millisecond at each look."""

    def __init__(self) -> None:
        self.time = 1_800_000_000_000

    def __call__(self) -> int:
        self.time += 1
        return self.time


@pytest.fixture
def ticking(database_url: str) -> Iterator[Database]:
    opened = open_migrated(database_url, World(Clock(), os.urandom))
    yield opened
    opened.close()


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_real_list_agrees_with_the_model_while_rows_come_and_go(
    ticking: Database, data: st.DataObject
) -> None:
    caller = caller_in(grant(ticking).environment_id)
    present: list[str] = []
    ever: list[str] = []
    for _ in range(data.draw(st.integers(1, 12), label="steps")):
        if present and data.draw(st.integers(0, 3), label="delete?") == 0:
            gone = data.draw(st.sampled_from(present), label="deleted")
            ticking.write(lambda tx, gone=gone: service.delete(tx, caller, gone))  # type: ignore[misc]
            present.remove(gone)
        else:
            made = ticking.write(create(caller))
            present.append(made)
            ever.append(made)
        cursors = st.none() | st.sampled_from([OrganizationCursor(each) for each in ever])
        query = ListOrganizations(
            before=data.draw(cursors, label="before"),
            after=data.draw(cursors, label="after"),
            limit=data.draw(st.integers(1, 5), label="limit"),
            order=data.draw(st.sampled_from(Order), label="order"),
        )
        page = ticking.read(lambda tx, query=query: service.list_page(tx, caller, query))  # type: ignore[misc]
        ids = [identity(raw) for raw in page.data]
        assert (ids, page.list_metadata.before, page.list_metadata.after) == model_page(present, query)


def identity(raw: Any) -> str:
    return bytes(raw).decode().partition('"id":"')[2][:30]


def create(caller: Caller) -> Any:
    return lambda tx: identity(service.create(tx, caller, CreateOrganization(name="Acme")))
