"""Taking in events as another feed has them: ids, times and order are kept."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from tenantry.core.caller import Caller
from tenantry.core.db import Transaction
from tenantry.core.parsing import Moment
from tenantry.events import service, store
from tenantry.events.names import known_names
from tenantry.events.store import NewEvent
from tenantry.events.wire import Actor, Context, Event, EventId


class UnknownEvent(ValueError):
    """No event is called so; the message completes «the event …»."""


class EventRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An event as another feed has it; `id` and `created_at` must say the same time."""

    id: EventId
    event: str
    data: dict[str, Any]
    created_at: Moment
    organization_id: str | UnsetType | None = UNSET
    context: Context | UnsetType = UNSET


def take_in(tx: Transaction, caller: Caller, records: list[EventRecord]) -> int:
    """Add those of `records` that the environment does not have, in order; return how many.

    Raises UnknownEvent.
    """
    for record in records:
        if record.event not in known_names():
            raise UnknownEvent(f"must be the name of an event; '{record.event}' is none")
    present = service.wires(tx, caller.environment_id, [str(each.id) for each in records]) if records else {}
    new = [_new(caller, record) for record in records if record.id not in present]
    if new:
        store.insert_all(tx, new)
    if records:
        store.insert_taken_in(tx, caller.environment_id)
    return len(new)


def _new(caller: Caller, record: EventRecord) -> NewEvent:
    actor = Actor(id=caller.key_id, source="api", name=caller.key_name)
    context = Context(actor=actor) if record.context is UNSET else record.context
    wire = Event(
        id=str(record.id),
        event=record.event,
        data=record.data,
        created_at=str(record.created_at),
        context=context,
    )
    return NewEvent(
        environment_id=caller.environment_id,
        id=wire.id,
        event=wire.event,
        organization_id=record.organization_id or None,
        created_at=wire.created_at,
        wire=msgspec.json.encode(wire),
    )
