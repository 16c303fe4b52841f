"""What stands past a place is found by walking an index from there, however much stands before it."""

from collections.abc import Callable
from typing import Any, LiteralString

import pytest

from tenantry.core.db import Database, Transaction
from tenantry.events import store
from tenantry.events.positions import Place
from tenantry.events.store import EventFilter

PAST = {"sqlite": "transaction_id=? AND position>?", "postgres": 'ROW(transaction_id, "position") >'}
# How an event is looked up past which a page begins.
ONE = {"sqlite": "environment_id=? AND id=?", "postgres": "(id = "}
PLACE = Place(0, 7)
Look = Callable[[Transaction], object]


def page(*names: str, organization_id: str | None = None) -> Look:
    chosen = EventFilter(names=[*names], organization_id=organization_id, earliest=None, latest=None)
    return lambda tx: store.select_page(tx, "environment_1", chosen, PLACE, 100)


def page_past_event(*names: str) -> Look:
    chosen = EventFilter(names=[*names], organization_id=None, earliest=None, latest=None)
    return lambda tx: store.select_page_past_event(tx, "environment_1", chosen, "event_1", 100)


LOOKS: dict[str, Look] = {
    "a page of one name": page("organization.created"),
    "a page of two names": page("organization.created", "organization.updated"),
    "a page of every name": page(),
    "a page of an organization": page("organization.created", organization_id="org_1"),
    "a page of one name past an event": page_past_event("organization.created"),
    "a page of two names past an event": page_past_event("organization.created", "organization.updated"),
    "a page of every name past an event": page_past_event(),
    "what is waited for": lambda tx: store.select_happened(tx, "environment_1", PLACE, 100),
    "what is to be delivered": lambda tx: store.select_settled(tx, "environment_1", 0, 7, 100),
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


@pytest.mark.parametrize("name", LOOKS)
def test_what_stands_past_a_place_is_a_range_of_an_index(database: Database, name: str) -> None:
    def work(tx: Transaction) -> list[str]:
        if tx.engine == "postgres":
            tx.run("SET LOCAL enable_seqscan = off")  # it scans a table that is empty
        explained: Any = Explained(tx)
        LOOKS[name](explained)
        lines: list[str] = explained.lines
        return lines

    lines = database.write(work)
    begins = "SEARCH events" if database.engine == "sqlite" else "Index Cond"
    looked = [line for line in lines if begins in line]
    ranges = [line for line in looked if ONE[database.engine] not in line]
    assert ranges, lines
    assert all(PAST[database.engine] in line for line in ranges), lines
