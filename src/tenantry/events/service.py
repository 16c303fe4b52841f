"""The record of every change, written in the transaction that makes it."""

from typing import Any

import msgspec

from tenantry.core.caller import Caller
from tenantry.core.db import Transaction
from tenantry.events import store
from tenantry.events.wire import Actor, Context, Event

_encode = msgspec.json.Encoder().encode


def record(
    tx: Transaction,
    caller: Caller,
    event: str,
    organization_id: str,
    data: msgspec.Struct | msgspec.Raw,
    *,
    previous: dict[str, Any] | None = None,
) -> None:
    """Record that `caller` did what `event` names; `data` is the object in full.

    `previous` holds the old values of the attributes that an update changed.
    """
    event_id = tx.new_id("event")
    actor = Actor(id=caller.key_id, source="api", name=caller.key_name)
    context = Context(actor=actor, previous_attributes=previous)
    wire = _encode(Event(id=event_id, event=event, data=data, created_at=tx.now, context=context))
    store.insert(
        tx,
        environment_id=caller.environment_id,
        event_id=event_id,
        event=event,
        organization_id=organization_id,
        created_at=tx.now,
        wire=wire,
    )
