"""Rows of events."""

from collections.abc import Callable
from typing import Any, LiteralString

import msgspec

from tenantry.core.db import Insertion, Transaction
from tenantry.events.positions import START, Place

# A transaction that is still under way may yet show events before those of a later one
# that is committed already; so nothing is served past the oldest one under way.
_SETTLED: dict[str, LiteralString] = {
    "sqlite": "",
    "postgres": " AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())::text::bigint",
}


# SQLite does not walk an index by a row value that holds the table's key, so it compares one by one: the
# transaction is always 0 there. A place may stand before it, as one kept when there was no event does.
_PAST: dict[str, LiteralString] = {
    "sqlite": " AND transaction_id = 0 AND position > :position AND :transaction_id <= 0",
    "postgres": " AND (transaction_id, position) > (:transaction_id, :position)",
}

_PLACE_OF_EVENT: LiteralString = " FROM events WHERE environment_id = :environment_id AND id = :after"
_PAST_EVENT: dict[str, LiteralString] = {
    "sqlite": " AND transaction_id = 0 AND position > (SELECT position" + _PLACE_OF_EVENT + ")",
    "postgres": " AND (transaction_id, position) > (SELECT transaction_id, position" + _PLACE_OF_EVENT + ")",
}

# There is an event at the place.
_BEFORE: dict[str, LiteralString] = {
    "sqlite": " AND position < :end_position",
    "postgres": " AND (transaction_id, position) < (:end_transaction_id, :end_position)",
}


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events a page holds: any of `names` (all when there are none), of the organization, within the times.

    Both times are included.
    """

    names: list[str]
    organization_id: str | None
    earliest: str | None
    latest: str | None


class EventRow(msgspec.Struct, frozen=True):
    """One event: its id, its JSON, and where it stands."""

    id: str
    wire: bytes
    place: Place


class Happened(msgspec.Struct, frozen=True):
    """What followers and filters ask about an event, and where it stands."""

    id: str
    event: str
    organization_id: str | None
    created_at: str
    place: Place


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event to add. `wire` is the whole event as JSON."""

    environment_id: str
    id: str
    event: str
    organization_id: str | None
    created_at: str
    wire: bytes


_INSERTION = Insertion(
    "events",
    "environment_id text, id text, event text, organization_id text, created_at text, wire bytea",
)


def insert(tx: Transaction, event: NewEvent) -> None:
    """Add one event; its place follows those of all events that were served before."""
    tx.insert(_INSERTION, msgspec.structs.astuple(event))


def insert_all(tx: Transaction, new: list[NewEvent]) -> None:
    """Add events (at least one), in this order."""
    tx.insert_all(_INSERTION, [msgspec.structs.astuple(event) for event in new])


def select_place(tx: Transaction, environment_id: str, event_id: str) -> Place | None:
    """Return where an event stands."""
    row = tx.one(
        "SELECT transaction_id, position FROM events WHERE environment_id = :environment_id AND id = :id",
        environment_id=environment_id,
        id=event_id,
    )
    return Place(*row) if row else None


_IN_ORDER_OF_TIME: LiteralString = (
    " AND NOT EXISTS (SELECT 1 FROM events_taken_in WHERE environment_id = :environment_id)"
)


def select_last_place_before(tx: Transaction, environment_id: str, event_id: str) -> Place | None:
    """Return where the last event that can be served stands of those with an id before `event_id`.

    None when there is none, and where ids are not in the order of places.
    """
    sql: LiteralString = (
        "SELECT transaction_id, position FROM events WHERE environment_id = :environment_id AND id < :id"
    )
    sql += _SETTLED[tx.engine] + _IN_ORDER_OF_TIME + " ORDER BY id DESC LIMIT 1"
    row = tx.one(sql, environment_id=environment_id, id=event_id)
    return Place(*row) if row else None


def select_first_place_from(tx: Transaction, environment_id: str, event_id: str) -> Place | None:
    """Return where the first event stands of those with an id at or after `event_id`.

    None when there is none, and where ids are not in the order of places.
    """
    sql: LiteralString = (
        "SELECT transaction_id, position FROM events WHERE environment_id = :environment_id AND id >= :id"
    )
    sql += _IN_ORDER_OF_TIME + " ORDER BY id LIMIT 1"
    row = tx.one(sql, environment_id=environment_id, id=event_id)
    return Place(*row) if row else None


def insert_taken_in(tx: Transaction, environment_id: str) -> None:
    """Keep that an environment's events need not be in the order of their times."""
    tx.run(
        "INSERT INTO events_taken_in (environment_id) VALUES (:environment_id) ON CONFLICT DO NOTHING",
        environment_id=environment_id,
    )


def select_page(
    tx: Transaction, environment_id: str, chosen: EventFilter, after: Place, before: Place | None, most: int
) -> list[EventRow]:
    """Return the first `most` matching events past `after`, in order; `before` is the place of an event."""
    return _page(tx, environment_id, chosen, _PAST[tx.engine], msgspec.structs.asdict(after), before, most)


def select_page_past_event(
    tx: Transaction, environment_id: str, chosen: EventFilter, event_id: str, before: Place | None, most: int
) -> list[EventRow]:
    """Return the first `most` matching events past an event, as `select_page` does; none when it is not kept."""
    return _page(tx, environment_id, chosen, _PAST_EVENT[tx.engine], {"after": event_id}, before, most)


def _page(
    tx: Transaction,
    environment_id: str,
    chosen: EventFilter,
    past: str,
    place: dict[str, Any],
    before: Place | None,
    most: int,
) -> list[EventRow]:
    """Return a page past what `past` says of `place`.

    Each name is a range of an index of its own, so that rare events are found as fast
    as frequent ones. The ranges are merged as they are read: no more rows than the page has.
    """
    parameters: dict[str, Any] = {"environment_id": environment_id, "most": most, **place}
    parameters |= {f"name_{index}": name for index, name in enumerate(chosen.names)}
    for name in ("organization_id", "earliest", "latest"):
        if (value := getattr(chosen, name)) is not None:
            parameters[name] = value
    within = past + _SETTLED[tx.engine]
    if before is not None:
        within += _BEFORE[tx.engine]
        parameters |= {"end_transaction_id": before.transaction_id, "end_position": before.position}
    names: list[str | None] = [f"name_{index}" for index in range(len(chosen.names))]
    in_order = _IN_ORDER[tx.engine]
    ranges = [in_order(_range(name, within, chosen), name) for name in names or [None]]
    sql: Any = " UNION ALL ".join(ranges) + " ORDER BY transaction_id, position LIMIT :most"
    return [EventRow(row[0], row[1], Place(row[2], row[3])) for row in tx.all(sql, **parameters)]


def _range(name: str | None, within: str, chosen: EventFilter) -> str:
    sql = "SELECT id, wire, transaction_id, position FROM events WHERE environment_id = :environment_id" + within
    if name is not None:
        sql += f" AND event = :{name}"
    if chosen.organization_id is not None:
        sql += " AND organization_id = :organization_id"
    if chosen.earliest is not None:
        sql += " AND created_at >= :earliest"
    if chosen.latest is not None:
        sql += " AND created_at <= :latest"
    return sql


# SQLite reads ranges in the order that the whole is to have. PostgreSQL does when each has it, too.
_IN_ORDER: dict[str, Callable[[str, str | None], str]] = {
    "sqlite": lambda sql, _name: sql,
    "postgres": lambda sql, name: (
        f"SELECT * FROM ({sql} ORDER BY transaction_id, position LIMIT :most) AS {name or 'every_name'}"
    ),
}


def select_end(tx: Transaction, environment_id: str) -> Place:
    """Return where the last event stands that can be served: nothing will show before it any more.

    It is the place before all events when there is none.
    """
    sql: LiteralString = (
        "SELECT transaction_id, position FROM events WHERE environment_id = :environment_id" + _SETTLED[tx.engine]
    )
    row = tx.one(sql + " ORDER BY transaction_id DESC, position DESC LIMIT 1", environment_id=environment_id)
    return Place(*row) if row else START


def select_newest_time(tx: Transaction) -> str | None:
    """Return when the last event of any environment was recorded."""
    row = tx.one("SELECT created_at FROM events ORDER BY position DESC LIMIT 1")
    return row[0] if row else None


def select_happened(tx: Transaction, environment_id: str, after: Place, most: int) -> list[Happened]:
    """Return what happened past `after`, in order: the first `most` events that can be served."""
    sql: LiteralString = (
        "SELECT id, event, organization_id, created_at, transaction_id, position FROM events"
        " WHERE environment_id = :environment_id" + _PAST[tx.engine] + _SETTLED[tx.engine]
    )
    rows = tx.all(
        sql + " ORDER BY transaction_id, position LIMIT :most",
        environment_id=environment_id,
        transaction_id=after.transaction_id,
        position=after.position,
        most=most,
    )
    return [Happened(row[0], row[1], row[2], row[3], Place(row[4], row[5])) for row in rows]


def delete_oldest(tx: Transaction, created_before: str, most: int) -> int:
    """Delete up to `most` of the oldest events, if created before that time; return how many."""
    return tx.run(
        "DELETE FROM events WHERE position IN ("
        " SELECT position FROM (SELECT position, created_at FROM events ORDER BY position LIMIT :most) AS oldest"
        " WHERE created_at < :created_before)",
        created_before=created_before,
        most=most,
    )


def select_wires(tx: Transaction, environment_id: str, event_ids: list[str]) -> dict[str, bytes]:
    """Return the JSON of those of the events that are kept, by id."""
    rows = tx.all(
        "SELECT id, wire FROM events WHERE environment_id = :environment_id AND id IN :event_ids",
        environment_id=environment_id,
        event_ids=event_ids,
    )
    return {row[0]: row[1] for row in rows}
