"""What Tenantry itself does to organizations, written to their audit logs: it follows the events, as webhooks do.

Nobody calls this. Each environment has a place in its feed, and moves it in the transaction that
writes what it passed: so each event is written once, whatever dies at whatever point.
"""

from typing import Any

import msgspec

from tenantry.audit_logs import place_store as store
from tenantry.audit_logs import service
from tenantry.audit_logs.policy import OWN_ACTIONS
from tenantry.audit_logs.wire import (
    LONGEST_METADATA,
    LONGEST_NAME,
    AuditLogActor,
    AuditLogContext,
    AuditLogEvent,
    AuditLogTarget,
    OccurredAt,
)
from tenantry.core.db import Transaction
from tenantry.environments import service as environments
from tenantry.events import service as events
from tenantry.events.positions import START
from tenantry.events.wire import Event

_WRITTEN_AT_ONCE = 100
_EVERY = "*"
_KINDS = {"api": "api_key", "dashboard": "console", "admin_portal": "portal", "system": "system"}
_COMMAND_LINE = "command_line"

_decode = msgspec.json.Decoder(Event).decode


class Chosen(msgspec.Struct, frozen=True):
    """The environments in which it is written: those of some names, or every one."""

    names: frozenset[str] = frozenset()

    def __contains__(self, name: str) -> bool:
        return _EVERY in self.names or name in self.names


def chosen_by(text: str) -> Chosen:
    """Return the environments that a setting names, comma-separated; `*` is every one."""
    return Chosen(frozenset(name for part in text.split(",") if (name := part.strip())))


def waiting(tx: Transaction, chosen: Chosen) -> list[str]:
    """Return the environments in which something is to be written, or to be passed. Changes nothing."""
    places = store.select_places(tx)
    if not chosen.names:
        return list(places)
    if store.BEGUN not in places:
        return [store.BEGUN]
    return [
        row.id
        for row in environments.list_environments(tx)
        if row.id not in places or events.settled(tx, row.id, places[row.id], 1)
    ]


def follow(tx: Transaction, environment_id: str, chosen: Chosen) -> None:
    """Write an environment's next events to the audit logs of their organizations, and move its place.

    It begins with what happens after the setting was first there; in an environment that is made
    later, with its first event. One that is not chosen is only passed, and so begins when it is.
    """
    if not chosen.names:
        store.delete_places(tx)
        return
    if store.begin(tx):
        for row in environments.list_environments(tx):
            store.insert_place(tx, row.id, events.last_settled(tx, row.id))
    store.insert_place(tx, environment_id, START)
    place = store.lock_place(tx, environment_id)
    if place is None:
        return
    passed = events.settled(tx, environment_id, place, _WRITTEN_AT_ONCE)
    if not passed:
        return
    if any(row.id == environment_id and row.name in chosen for row in environments.list_environments(tx)):
        _write(tx, environment_id, {each.id: each.organization_id for each in passed if each.organization_id})
    store.update_place(tx, environment_id, passed[-1].place)


def _write(tx: Transaction, environment_id: str, organizations: dict[str, str]) -> None:
    """Write those of some events, given by id with whose they are, that are still kept."""
    wires = events.wires(tx, environment_id, list(organizations)) if organizations else {}
    for event_id, organization_id in organizations.items():
        if event_id in wires:
            event = own_event(_decode(wires[event_id]), organization_id)
            service.write(tx, environment_id, organization_id, event)


def own_event(event: Event, organization_id: str) -> AuditLogEvent:
    """Return what is written of an organization's event: who did what when, and where all of it can be read."""
    actor = event.context.actor
    kind = _COMMAND_LINE if actor.id == _COMMAND_LINE else _KINDS[actor.source]
    metadata: dict[str, Any] = {"event_id": event.id}
    if event.context.previous_attributes:
        metadata["changed"] = ", ".join(event.context.previous_attributes)[:LONGEST_METADATA]
    return AuditLogEvent(
        action=OWN_ACTIONS + event.event,
        occurred_at=OccurredAt(event.created_at),
        actor=AuditLogActor(id=actor.id, type=kind, name=actor.name[:LONGEST_NAME] if actor.name else None),
        targets=_targets(event.data, organization_id),
        # The feed does not say from which address it was done.
        context=AuditLogContext(location=kind),
        metadata=metadata,
        version=1,
    )


def _targets(data: dict[str, Any], organization_id: str) -> list[AuditLogTarget]:
    """Return the organization, and before it that domain of its own which the event's object is or holds."""
    domain = next(
        (
            each
            for each in (data, *data.values())
            if isinstance(each, dict)
            and each.get("object") == "organization_domain"
            and each["organization_id"] == organization_id
        ),
        None,
    )
    name = data["name"] if data.get("object") == "organization" else None
    organization = _target("organization", organization_id, name)
    if domain is None:
        return [organization]
    return [_target("organization_domain", domain["id"], domain["domain"]), organization]


def _target(kind: str, identity: str, name: str | None) -> AuditLogTarget:
    return AuditLogTarget(id=identity, type=kind, name=name[:LONGEST_NAME] if name else None)
