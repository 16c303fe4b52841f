"""What stands past a place is found by walking an index from there, however much stands before it.

So is what stands before one, and the place that belongs to a time.
"""

from collections.abc import Callable
from typing import Any, LiteralString

import pytest

from tenantry.core.db import Database, Transaction
from tenantry.events import store
from tenantry.events.positions import Place
from tenantry.events.store import EventFilter

BEFORE = {"sqlite": "position<?", "postgres": 'ROW(transaction_id, "position") <'}
PAST = {"sqlite": "transaction_id=? AND position>?", "postgres": 'ROW(transaction_id, "position") >'}
# How an event is looked up past which a page begins.
ONE = {"sqlite": "environment_id=? AND id=?", "postgres": "(id = "}
# How an event is looked up that has or has not the time.
BY_ID = {"sqlite": ("id<?", "id>?"), "postgres": ("(id <", "(id >=")}
PLACE = Place(0, 7)
END = Place(0, 9)
Look = Callable[[Transaction], object]


def chosen(*names: str, organization_id: str | None = None) -> EventFilter:
    times = {"earliest": "2026-01-01T00:00:00.000Z", "latest": "2026-01-02T00:00:00.000Z"}
    return EventFilter(names=[*names], organization_id=organization_id, **times)


def page(*names: str, organization_id: str | None = None, before: Place | None = None) -> Look:
    filter_ = chosen(*names, organization_id=organization_id)
    return lambda tx: store.select_page(tx, "environment_1", filter_, PLACE, before, 100)


def page_past_event(*names: str, before: Place | None = None) -> Look:
    filter_ = chosen(*names)
    return lambda tx: store.select_page_past_event(tx, "environment_1", filter_, "event_1", before, 100)


LOOKS: dict[str, Look] = {
    "a page of one name": page("organization.created"),
    "a page of two names": page("organization.created", "organization.updated"),
    "a page of every name": page(),
    "a page of an organization": page("organization.created", organization_id="org_1"),
    "a page of one name past an event": page_past_event("organization.created"),
    "a page of two names past an event": page_past_event("organization.created", "organization.updated"),
    "a page of every name past an event": page_past_event(),
    "what is waited for": lambda tx: store.select_happened(tx, "environment_1", PLACE, 100),
}
RANGES: dict[str, Look] = {
    "a page of one name": page("organization.created", before=END),
    "a page of two names": page("organization.created", "organization.updated", before=END),
    "a page of every name": page(before=END),
    "a page of an organization": page("organization.created", organization_id="org_1", before=END),
    "a page of one name past an event": page_past_event("organization.created", before=END),
    "a page of every name past an event": page_past_event(before=END),
}


class Explained:
    """A transaction that runs no query, but keeps the lines of its plan."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self.engine = tx.engine
        self.lines: list[str] = []

    def all(self, sql: LiteralString, **parameters: object) -> list[Any]:
        explain: LiteralString = "EXPLAIN QUERY PLAN " if self.engine == "sqlite" else "EXPLAIN "
        self.lines += [str(row[-1]) for row in self._tx.all(explain + sql, **parameters)]
        return []

    def one(self, sql: LiteralString, **parameters: object) -> None:
        self.all(sql, **parameters)


def plan(database: Database, look: Look) -> list[str]:
    """Return the lines of a look's plan that say how events are found."""

    def work(tx: Transaction) -> list[str]:
        if tx.engine == "postgres":
            tx.run("SET LOCAL enable_seqscan = off")  # it scans a table that is empty
        explained: Any = Explained(tx)
        look(explained)
        lines: list[str] = explained.lines
        return lines

    lines = database.write(work)
    begins = (" events ",) if database.engine == "sqlite" else ("Index Cond: ((environment_id", "Scan on events ")
    looked = [line for line in lines if any(each in line for each in begins)]
    assert looked, lines
    return looked


def ranges(database: Database, look: Look) -> list[str]:
    """Return the lines of a look's plan that say which ranges of an index it walks."""
    found = [line for line in plan(database, look) if ONE[database.engine] not in line]
    assert found
    return found


@pytest.mark.parametrize("name", LOOKS)
def test_what_stands_past_a_place_is_a_range_of_an_index(database: Database, name: str) -> None:
    for line in ranges(database, LOOKS[name]):
        assert PAST[database.engine] in line


@pytest.mark.parametrize("name", RANGES)
def test_what_stands_between_two_places_is_a_range_of_an_index_with_both_ends(
    database: Database, name: str
) -> None:
    for line in ranges(database, RANGES[name]):
        assert PAST[database.engine] in line
        assert BEFORE[database.engine] in line


def test_the_places_of_a_time_are_found_by_id(database: Database) -> None:
    before, from_ = BY_ID[database.engine]
    (line,) = plan(database, lambda tx: store.select_last_place_before(tx, "environment_1", "event_1"))
    assert before in line
    (line,) = plan(database, lambda tx: store.select_first_place_from(tx, "environment_1", "event_1"))
    assert from_ in line
