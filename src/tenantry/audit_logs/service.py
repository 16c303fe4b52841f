"""The rules of audit logs, one function an operation (wire.md section 6)."""

from functools import partial
from typing import TypeVar

import msgspec
from msgspec import UNSET

from tenantry.audit_logs import policy, removal, store
from tenantry.audit_logs.canonical import canonical, exact
from tenantry.audit_logs.checks import Breach, InvalidSchema, breaches, check_schema, ready, rules_of
from tenantry.audit_logs.store import EventRow, SchemaRow, Standing, TrailRow
from tenantry.audit_logs.streams import service as streams
from tenantry.audit_logs.wire import (
    EVENT_PREFIX,
    SCHEMA_PREFIX,
    AuditLogAction,
    AuditLogActor,
    AuditLogConfiguration,
    AuditLogEvent,
    AuditLogEventCreated,
    AuditLogSchema,
    AuditLogsRetention,
    AuditLogTarget,
    CreateAuditLogEvent,
    CreateAuditLogSchema,
    KeptAuditLogEvent,
    ListAuditLogActions,
    ListAuditLogSchemas,
    SetAuditLogsRetention,
)
from tenantry.core.caller import Caller
from tenantry.core.db import Transaction
from tenantry.core.errors import ApiError, EntityNotFound, FieldError, ValidationFailed
from tenantry.core.page import Page, bounds, envelope, window
from tenantry.organizations import service as organizations
from tenantry.organizations.service import OrganizationNotFound

_LONGEST_ACTION = 500
_LARGEST_EVENT = 64 * 1024
_LARGEST_SCHEMA = 64 * 1024
_PRUNED_AT_ONCE = 500
_TRAILS_AT_ONCE = 50

# The time of an event is a text of a type of ours.
_encode = msgspec.json.Encoder(enc_hook=str).encode
_decode_schema = msgspec.json.Decoder(AuditLogSchema).decode


_Named = TypeVar("_Named", AuditLogActor, AuditLogTarget)


class AuditLogActionNotFound(EntityNotFound):
    """The caller's environment has no such action: 404. A schema makes it."""

    def __init__(self, name: str) -> None:
        super().__init__("Audit Log action", name)


class InvalidAuditLogEvent(ApiError):
    """The event is not as its action's schema has it: 400, with each place (wire.md section 6.1)."""

    status = 400
    code = "invalid_audit_log_event"
    message = "Invalid Audit Log event."

    def __init__(self, errors: list[Breach]) -> None:
        super().__init__()
        self.errors = errors

    def body(self) -> dict[str, object]:
        return super().body() | {"errors": self.errors}


def create_event(tx: Transaction, caller: Caller, body: CreateAuditLogEvent) -> AuditLogEventCreated:
    """Write an event into its organization's trail.

    Raises OrganizationNotFound, AuditLogActionNotFound, InvalidAuditLogEvent, ValidationFailed.
    """
    event = body.event
    standing = _standing(tx, caller, body.organization_id, event.action)
    version = _checked(tx, caller, event, standing)
    _check_time(tx, event, standing.retention_days or policy.DEFAULT_DAYS)
    _insert(tx, caller.environment_id, standing.trail, _record(tx, body.organization_id, event, version))
    return AuditLogEventCreated()


def write(tx: Transaction, environment_id: str, organization_id: str, event: AuditLogEvent) -> None:
    """Write an event of Tenantry's own, with its version, into the trail of an organization, be it deleted."""
    assert event.version is not None
    trail = store.select_trail(tx, environment_id, organization_id)
    record = _record(tx, organization_id, event, event.version)
    _insert(tx, environment_id, trail.number if trail else None, record)


def _insert(tx: Transaction, environment_id: str, trail: int | None, record: KeptAuditLogEvent) -> None:
    """Write an event into the trail of that number; None where the organization's trail begins with it."""
    wire = canonical(record)
    if len(wire) > _LARGEST_EVENT:
        raise ValidationFailed([FieldError("event", f"event must be at most {_LARGEST_EVENT} bytes of JSON")])
    if trail is None:
        prune_at = tx.milliseconds + policy.DAY
        trail = store.insert_trail(tx, environment_id, record.organization_id, prune_at)
    row = EventRow(
        trail=trail,
        id=record.id,
        occurred_at=str(record.occurred_at),
        action=record.action,
        version=record.version,
        actor_type=record.actor.type,
        actor_id=record.actor.id,
        created_at=record.created_at,
        wire=wire,
    )
    store.insert_event(tx, row, {(target.id, target.type) for target in record.targets})


def _standing(tx: Transaction, caller: Caller, organization_id: str, action: str) -> Standing:
    """Return what the organization's event is checked by. Raises OrganizationNotFound."""
    key = (Standing, caller.environment_id, organization_id, action)
    found: Standing | None = tx.known.get(key) if tx.known is not None else None
    if found is None:
        found = store.select_standing(tx, caller.environment_id, organization_id, action)
        if not found.has_organization:
            raise OrganizationNotFound(organization_id)
        if tx.known is not None and found.trail is not None:
            tx.known[key] = found
    return found


def _record(tx: Transaction, organization_id: str, event: AuditLogEvent, version: int) -> KeptAuditLogEvent:
    """Return an event that is right as it is kept."""
    return KeptAuditLogEvent(
        id=tx.new_id(EVENT_PREFIX),
        organization_id=organization_id,
        action=event.action,
        version=version,
        occurred_at=event.occurred_at,
        created_at=tx.now,
        actor=_exactly(event.actor),
        targets=[_exactly(target) for target in event.targets],
        context=event.context,
        metadata=exact(event.metadata),
    )


def _exactly(named: _Named) -> _Named:
    metadata = exact(named.metadata)
    return named if metadata is named.metadata else msgspec.structs.replace(named, metadata=metadata)


def _checked(tx: Transaction, caller: Caller, event: AuditLogEvent, standing: Standing) -> int:
    """Return the version of the schema that an event is right by.

    Raises AuditLogActionNotFound, InvalidAuditLogEvent.
    """
    if standing.version is None or standing.schema_id is None:
        raise AuditLogActionNotFound(event.action)
    version = event.version or standing.version
    if version == standing.version:
        rules = ready.get(standing.schema_id)
        if rules is None:
            schema = store.select_schema_version(tx, caller.environment_id, event.action, version)
            assert schema is not None, "a schema is never deleted"
            rules = ready.put(standing.schema_id, schema)
    else:
        rules = rules_of(_schema_of_version(tx, caller, event.action, version))
    errors = breaches(rules, event)
    if errors:
        raise InvalidAuditLogEvent(errors)
    return version


def _schema_of_version(tx: Transaction, caller: Caller, action: str, version: int) -> bytes:
    schema = store.select_schema_version(tx, caller.environment_id, action, version)
    if schema is None:
        message = f"must be a version of the schema of {action}"
        raise InvalidAuditLogEvent([Breach("/version", "#/properties/version/enum", "enum", {}, message)])
    return schema


def _check_time(tx: Transaction, event: AuditLogEvent, days: int) -> None:
    wrong = policy.wrong_time(event.occurred_at, tx.milliseconds, days)
    if wrong:
        raise ValidationFailed([FieldError("event.occurred_at", f"event.occurred_at {wrong}")])


def create_schema(tx: Transaction, caller: Caller, action: str, body: CreateAuditLogSchema) -> AuditLogSchema:
    """Give an action its next schema, and make the action if there is none; return the schema.

    Raises ValidationFailed.
    """
    _check_new_schema(action, body)
    schema = AuditLogSchema(
        version=store.insert_version(tx, caller.environment_id, action),
        actor=body.actor or UNSET,
        targets=[
            msgspec.structs.replace(target, metadata=UNSET) if target.metadata is None else target
            for target in body.targets
        ],
        metadata=UNSET if body.metadata is None else body.metadata,
        created_at=tx.now,
    )
    row = SchemaRow(id=tx.new_id(SCHEMA_PREFIX), action=action, version=schema.version, wire=_encode(schema))
    store.insert_schema(tx, caller.environment_id, row)
    return schema


def _check_new_schema(action: str, body: CreateAuditLogSchema) -> None:
    errors = []
    if not 0 < len(action) <= _LONGEST_ACTION:
        errors.append(FieldError("action", f"action must have 1 to {_LONGEST_ACTION} characters"))
    if action.startswith(policy.OWN_ACTIONS):
        errors.append(FieldError("action", f"action must not begin with {policy.OWN_ACTIONS}: Tenantry's own do"))
    if len(_encode(body)) > _LARGEST_SCHEMA:
        errors.append(FieldError("targets", f"body must be at most {_LARGEST_SCHEMA} bytes of JSON"))
    types = [target.type for target in body.targets]
    if len(set(types)) < len(types):
        errors.append(FieldError("targets", "targets must not have a type twice"))
    given = [("actor.metadata", body.actor.metadata if body.actor else None), ("metadata", body.metadata)]
    given += [(f"targets.{index}.metadata", target.metadata or None) for index, target in enumerate(body.targets)]
    for field, schema in given:
        if schema is not None:
            try:
                check_schema(schema)
            except InvalidSchema as error:
                errors.append(FieldError(field, f"{field} {error}"))
    if errors:
        raise ValidationFailed(errors)


def list_actions(tx: Transaction, caller: Caller, query: ListAuditLogActions) -> Page[AuditLogAction]:
    """Return one page of the environment's actions, each with its newest schema."""
    limits = bounds(query)
    walked = [
        (
            row.id,
            AuditLogAction(
                name=row.name,
                schema=_decode_schema(row.schema),
                created_at=row.created_at,
                updated_at=row.updated_at,
            ),
        )
        for row in store.select_actions(tx, caller.environment_id, limits)
    ]
    has_behind = partial(store.has_action_behind, tx, caller.environment_id, limits)
    return envelope(query, window(limits, walked, has_behind))


def list_schemas(tx: Transaction, caller: Caller, action: str, query: ListAuditLogSchemas) -> Page[msgspec.Raw]:
    """Return one page of an action's schemas. Raises AuditLogActionNotFound."""
    if store.select_schema(tx, caller.environment_id, action) is None:
        raise AuditLogActionNotFound(action)
    limits = bounds(query)
    found = store.select_schemas(tx, caller.environment_id, action, limits)
    walked = [(schema_id, msgspec.Raw(wire)) for schema_id, wire in found]
    has_behind = partial(store.has_schema_behind, tx, caller.environment_id, action, limits)
    return envelope(query, window(limits, walked, has_behind))


def get_retention(tx: Transaction, caller: Caller, organization_id: str) -> AuditLogsRetention:
    """Return how long an organization's events are kept, as it was set. Raises OrganizationNotFound."""
    organizations.get(tx, caller, organization_id)
    trail = store.select_trail(tx, caller.environment_id, organization_id)
    return AuditLogsRetention(trail.retention_days if trail else None)


def set_retention(
    tx: Transaction, caller: Caller, organization_id: str, body: SetAuditLogsRetention
) -> AuditLogsRetention:
    """Set how long an organization's events are kept. Those that are older by now are deleted soon, for good.

    Raises OrganizationNotFound, ValidationFailed.
    """
    days = _wanted_days(body)
    organizations.get(tx, caller, organization_id)
    store.set_retention(tx, caller.environment_id, organization_id, days)
    return AuditLogsRetention(days)


def _wanted_days(body: SetAuditLogsRetention) -> int:
    period, days = body.retention_period, body.retention_period_in_days
    if (period is None) == (days is None):
        wrong = "retention_period must be given, or retention_period_in_days in its place"
        raise ValidationFailed([FieldError("retention_period", wrong)])
    if period is not None:
        return policy.days_of(period)
    assert days is not None
    if days not in policy.ALLOWED_DAYS:
        wrong = "retention_period_in_days must be 30 to 330 in steps of 30, or 365 to 3650 in steps of 365"
        raise ValidationFailed([FieldError("retention_period_in_days", wrong)])
    return days


def get_configuration(tx: Transaction, caller: Caller, organization_id: str) -> AuditLogConfiguration:
    """Return how an organization's events are kept, set or not. Raises OrganizationNotFound."""
    organizations.get(tx, caller, organization_id)
    days = _days(store.select_trail(tx, caller.environment_id, organization_id))
    stream = streams.configured(tx, caller.environment_id, organization_id)
    return AuditLogConfiguration(
        organization_id=organization_id,
        retention_period_in_days=days,
        state="active",
        log_stream=UNSET if stream is None else stream,
    )


def _days(trail: TrailRow | None) -> int:
    return trail.retention_days if trail and trail.retention_days else policy.DEFAULT_DAYS


def prune(tx: Transaction, signing_key: bytes | None) -> int:
    """Delete up to 500 events past their retention; return how many trails were looked through.

    What is left is signed with `signing_key`, a private key, or with the one that Tenantry makes.

    A trail in which none is left is looked through again a day later, or when its retention
    is set: writing an event then needs no word to whoever deletes.
    """
    trails = store.lock_due_trails(tx, _TRAILS_AT_ONCE)
    left = _PRUNED_AT_ONCE
    for trail in trails:
        if not left:
            break
        deleted = removal.remove(
            tx, trail.number, policy.kept_since(tx.milliseconds, _days(trail)), left, signing_key
        )
        if deleted < left:
            store.postpone(tx, trail.number, tx.milliseconds + policy.DAY)
        left -= deleted
    return len(trails)
