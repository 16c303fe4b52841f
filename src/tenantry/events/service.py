"""The record of every change, written in the transaction that makes it, and its feed."""

from typing import Any

import msgspec

from tenantry.core.caller import Caller
from tenantry.core.clock import milliseconds_of, timestamp
from tenantry.core.db import Transaction
from tenantry.core.errors import ApiError, FieldError, ValidationFailed
from tenantry.core.ids import time_of, ulid
from tenantry.events import store
from tenantry.events.names import known_names
from tenantry.events.positions import START, Place, is_position, place_of, text_of
from tenantry.events.store import EventFilter, EventRow, Happened, NewEvent
from tenantry.events.wire import (
    PREFIX,
    Actor,
    Context,
    Event,
    EventCursor,
    EventName,
    EventPage,
    EventQuery,
    ListEvents,
    StreamEvents,
)

_PRUNED_AT_ONCE = 1000
# Events carry the time at which their transaction began, and no transaction lasts longer.
_LONGEST_TRANSACTION_MILLISECONDS = 15 * 60 * 1000

_encode = msgspec.json.Encoder().encode


class EventNamesMissing(ApiError):
    """The list was asked for without saying which events: 400 (wire.md section 5.1)."""

    status = 400
    code = "invalid_events_request"
    message = "One or more event names (e.g. dsync.user.created) must be provided using the events parameter."


class Change(msgspec.Struct, frozen=True):
    """What happened to an organization; `data` is the object in full.

    `previous` holds the old values of the attributes that an update changed.
    """

    event: EventName
    organization_id: str
    data: msgspec.Struct | msgspec.Raw
    previous: dict[str, Any] | None = None


def record(
    tx: Transaction,
    caller: Caller,
    event: EventName,
    organization_id: str,
    data: msgspec.Struct | msgspec.Raw,
    *,
    previous: dict[str, Any] | None = None,
) -> None:
    """Record that `caller` did what `event` names; `data` is the object in full.

    `previous` holds the old values of the attributes that an update changed.
    """
    store.insert(tx, _of_caller(tx, caller, _actor(caller), Change(event, organization_id, data, previous)))


def record_all(tx: Transaction, caller: Caller, changes: list[Change]) -> None:
    """Record many changes, in this order, as `record` does each."""
    actor = _actor(caller)
    if changes:
        store.insert_all(tx, [_of_caller(tx, caller, actor, change) for change in changes])


def _actor(caller: Caller) -> Actor:
    return Actor(id=caller.key_id, source="api", name=caller.key_name)


def _of_caller(tx: Transaction, caller: Caller, actor: Actor, change: Change) -> NewEvent:
    context = Context(actor=actor, previous_attributes=change.previous)
    return _new(tx, caller.environment_id, context, change.event, change.organization_id, change.data)


def _new(
    tx: Transaction,
    environment_id: str,
    context: Context,
    event: EventName,
    organization_id: str | None,
    data: msgspec.Struct | msgspec.Raw,
) -> NewEvent:
    event_id = tx.new_id(PREFIX)
    wire = Event(id=event_id, event=event.value, data=data, created_at=tx.now, context=context)
    return NewEvent(
        environment_id=environment_id,
        id=event_id,
        event=event.value,
        organization_id=organization_id,
        created_at=tx.now,
        wire=_encode(wire),
    )


def list_page(tx: Transaction, caller: Caller, query: ListEvents) -> EventPage:
    """Return the events that follow `query.after`, oldest first.

    Whoever pages on with `list_metadata.after`, and then with the last id seen, sees
    every committed event once, in one order, whatever is written meanwhile. Raises
    EventNamesMissing, ValidationFailed.
    """
    if not query.events:
        raise EventNamesMissing
    chosen = chosen_by(query)
    rows = _rows(tx, caller, query.after, chosen, query.limit + 1)
    shown = rows[: query.limit]
    after = shown[-1].id if len(rows) > query.limit else None
    return EventPage([msgspec.Raw(row.wire) for row in shown], EventCursor(after))


class Followed(msgspec.Struct, frozen=True):
    """What stands past a place: matching events, the place past which to go on, and whether more are there now."""

    events: list[EventRow]
    end: Place
    more: bool


def start_of(tx: Transaction, caller: Caller, query: StreamEvents) -> Place:
    """Return the place past which `query` begins. Raises ValidationFailed."""
    return _start(tx, caller, query.after, chosen_by(query))


def follow(tx: Transaction, caller: Caller, chosen: EventFilter, start: Place, limit: int) -> Followed:
    """Return up to `limit` events past `start`, oldest first.

    Nothing that matches will ever show at or before `end` but what was returned: an event
    whose place is known to be settled, in the order of all of the environment's events.
    """
    if not chosen.names and chosen.organization_id is not None:
        # Each name is a range of the index of an organization's events.
        chosen = msgspec.structs.replace(chosen, names=sorted(known_names()))
    # The end first: what settles between the two look-ups is then past it.
    end = store.select_end(tx, caller.environment_id)
    before = _end(tx, caller, chosen)
    rows = store.select_page(tx, caller.environment_id, chosen, start, before, limit + 1)
    if len(rows) > limit:
        return Followed(rows[:limit], rows[limit - 1].place, more=True)
    return Followed(rows, max(start, end, *(row.place for row in rows[-1:])), more=False)


def end_position(tx: Transaction, caller: Caller) -> str:
    """Return the position that a copy made in this transaction corresponds to.

    Whatever is not in the copy has its event past it; on PostgreSQL some that is in the
    copy has too. The transaction must see one state of the database.
    """
    return text_of(store.select_end(tx, caller.environment_id))


def chosen_by(query: EventQuery) -> EventFilter:
    """Return which events `query` asks for. Raises ValidationFailed."""
    errors = [
        FieldError("events", f"each value in events must be the name of an event; '{name}' is not")
        for name in query.events
        if name not in known_names()
    ]
    if isinstance(query, ListEvents) and query.after is not None and query.range_start is not None:
        errors.append(FieldError("range_start", "range_start must not be given together with after"))
    if errors:
        raise ValidationFailed(errors)
    return EventFilter(
        names=list(dict.fromkeys(query.events)),
        organization_id=query.organization_id,
        earliest=query.range_start,
        latest=query.range_end,
    )


def _rows(tx: Transaction, caller: Caller, after: str | None, chosen: EventFilter, most: int) -> list[EventRow]:
    """Return the first `most` events that follow the event `after`: in one look-up when some do.

    Without `after` they are the first of all; `chosen.earliest` is not given together with it.
    """
    end = _end(tx, caller, chosen)
    if after is None:
        start = _earliest_start(tx, caller, chosen)
    else:
        rows = store.select_page_past_event(tx, caller.environment_id, chosen, after, end, most)
        if rows or store.select_place(tx, caller.environment_id, after):
            return rows
        start = _start_at(tx, caller, time_of(after))
    return store.select_page(tx, caller.environment_id, chosen, start, end, most)


def _start(tx: Transaction, caller: Caller, after: str | None, chosen: EventFilter) -> Place:
    """Return the place past which the feed begins."""
    earliest = _earliest_start(tx, caller, chosen)
    if after is None:
        return earliest
    if is_position(after):
        return max(earliest, place_of(after))
    place = store.select_place(tx, caller.environment_id, after)
    return max(earliest, place or _start_at(tx, caller, time_of(after)))


def _earliest_start(tx: Transaction, caller: Caller, chosen: EventFilter) -> Place:
    """Return a place before every event from `chosen.earliest` on."""
    return START if chosen.earliest is None else _start_at(tx, caller, milliseconds_of(chosen.earliest))


def _start_at(tx: Transaction, caller: Caller, milliseconds: int) -> Place:
    """Return a place before every event of that time or later, found by id without looking at those before.

    The transaction of an event so much older had ended when the first of these began.
    """
    oldest = max(0, milliseconds - _LONGEST_TRANSACTION_MILLISECONDS)
    return store.select_last_place_before(tx, caller.environment_id, f"{PREFIX}_{ulid(oldest, 0)}") or START


def _end(tx: Transaction, caller: Caller, chosen: EventFilter) -> Place | None:
    """Return a place past every event until `chosen.latest`, found as `_start_at` does; None at the feed's end."""
    if chosen.latest is None:
        return None
    newest = max(0, milliseconds_of(chosen.latest) + _LONGEST_TRANSACTION_MILLISECONDS + 1)
    return store.select_first_place_from(tx, caller.environment_id, f"{PREFIX}_{ulid(newest, 0)}")


def newest_at(tx: Transaction) -> int:
    """Return when the last event of any environment was recorded, in milliseconds; 0 when there is none."""
    return milliseconds_of(store.select_newest_time(tx) or timestamp(0))


def prune(tx: Transaction, retention_days: int) -> int:
    """Delete up to a thousand events older than the retention; return how many."""
    oldest_kept = timestamp(tx.milliseconds - retention_days * 24 * 60 * 60 * 1000)
    return store.delete_oldest(tx, oldest_kept, _PRUNED_AT_ONCE)


def record_by_system(
    tx: Transaction,
    environment_id: str,
    event: EventName,
    data: msgspec.Struct,
    organization_id: str | None = None,
) -> None:
    """Record what Tenantry did by itself, in its background work; `data` is the object in full."""
    context = Context(actor=Actor(id="tenantry", source="system", name=None))
    store.insert(tx, _new(tx, environment_id, context, event, organization_id, data))


def settled(tx: Transaction, environment_id: str, after: Place, most: int) -> list[Happened]:
    """Return up to `most` events past the place `after`, in the order in which `/events` serves them.

    It is for those who follow all: whoever goes on from the place of the last one sees every committed event once.
    """
    return store.select_happened(tx, environment_id, after, most)


def last_settled(tx: Transaction, environment_id: str) -> Place:
    """Return the place of the last event that can be served, before all others when there is none."""
    return store.select_end(tx, environment_id)


def wires(tx: Transaction, environment_id: str, event_ids: list[str]) -> dict[str, bytes]:
    """Return the JSON of those of `event_ids` (at least one) that are kept: the bytes that `/events` serves."""
    return store.select_wires(tx, environment_id, event_ids)
