"""The rules of log streams, one function an operation."""

from functools import partial
from typing import Any

import msgspec

from tenantry.audit_logs import store as trails
from tenantry.audit_logs.policy import DAY
from tenantry.audit_logs.streams import store
from tenantry.audit_logs.streams.kinds import KINDS, decode, encode, problems
from tenantry.audit_logs.streams.store import StreamRow
from tenantry.audit_logs.streams.wire import (
    PREFIX,
    AuditLogStream,
    ConfiguredStream,
    CreateAuditLogStream,
    Destination,
    GenericHttps,
    ListAuditLogStreams,
    ShownGenericHttps,
    SigningSecret,
    StreamTest,
    UpdateAuditLogStream,
)
from tenantry.core.caller import Caller
from tenantry.core.clock import timestamp
from tenantry.core.db import Transaction
from tenantry.core.errors import EntityNotFound, FieldError, ValidationFailed
from tenantry.core.page import Page, bounds, envelope, window
from tenantry.core.targets import RefusedTarget, TargetPolicy, check_url
from tenantry.organizations import service as organizations

_MOST_STREAMS = 10
_SECRET_LENGTH = 32


class AuditLogStreamNotFound(EntityNotFound):
    """The caller's environment has no such log stream: 404."""

    def __init__(self, identity: str) -> None:
        super().__init__("Audit log stream", identity)


def create(
    tx: Transaction, caller: Caller, organization_id: str, body: CreateAuditLogStream, policy: TargetPolicy
) -> AuditLogStream:
    """Send an organization's events from now on to a destination; return the stream, with a new signing secret.

    Raises OrganizationNotFound, ValidationFailed.
    """
    organizations.get(tx, caller, organization_id)
    given = _given(str(body.type), body)
    if given is None:
        field = KINDS[body.type].field
        raise ValidationFailed([FieldError(field, f"{field} must be given with the type {body.type}")])
    _check(str(body.type), given, policy)
    if store.count_streams(tx, caller.environment_id, organization_id) >= _MOST_STREAMS:
        raise ValidationFailed([FieldError("type", f"an organization has at most {_MOST_STREAMS} streams")])
    to = _with_secret(tx, given, None)
    trail = _trail(tx, caller.environment_id, organization_id)
    seconds = KINDS[body.type].batch_seconds if body.batch_seconds is None else body.batch_seconds
    row = StreamRow(
        id=tx.new_id(PREFIX),
        environment_id=caller.environment_id,
        organization_id=organization_id,
        trail=trail,
        type=str(body.type),
        destination=encode(to),
        batch_seconds=seconds,
        state="active",
        position=store.select_end(tx, trail),
        batch_end=None,
        # What is sealed meanwhile may not know of this stream yet, so it looks by itself.
        due_at=tx.milliseconds + seconds * 1000,
        grade="untried",
        failures=0,
        last_error=None,
        last_synced_at=None,
        test=None,
        test_due_at=None,
        created_at=tx.now,
        updated_at=tx.now,
    )
    store.insert_stream(tx, row)
    return _with_shown_secret(shown(row), to)


def get(tx: Transaction, caller: Caller, stream_id: str) -> AuditLogStream:
    """Return a stream. Raises AuditLogStreamNotFound."""
    return shown(_row(tx, caller, stream_id))


def list_page(
    tx: Transaction, caller: Caller, organization_id: str, query: ListAuditLogStreams
) -> Page[AuditLogStream]:
    """Return one page of an organization's streams. Raises OrganizationNotFound."""
    organizations.get(tx, caller, organization_id)
    limits = bounds(query)
    rows = store.select_streams(tx, caller.environment_id, organization_id, limits)
    has_behind = partial(store.has_stream_behind, tx, caller.environment_id, organization_id, limits)
    return envelope(query, window(limits, [(row.id, shown(row)) for row in rows], has_behind))


def update(
    tx: Transaction, caller: Caller, stream_id: str, body: UpdateAuditLogStream, policy: TargetPolicy
) -> AuditLogStream:
    """Change what `body` gives of a stream; return it. Whatever is changed, it is tried again at once.

    A destination is replaced whole: whoever says where to send says with which credentials, so those
    that are kept go nowhere else. One that is switched off keeps its place.
    Raises AuditLogStreamNotFound, ValidationFailed.
    """
    before = _row(tx, caller, stream_id)
    given = _given(before.type, body)
    to = None
    if given is not None:
        _check(before.type, given, policy)
        to = _with_secret(tx, given, decode(before.type, before.destination))
    state = body.state or before.state
    changed = body.state is not None or to is not None
    after = msgspec.structs.replace(
        before,
        destination=before.destination if to is None else encode(to),
        batch_seconds=before.batch_seconds if body.batch_seconds is None else body.batch_seconds,
        state="inactive" if state == "inactive" else "active" if changed else state,
        failures=0 if changed else before.failures,
        last_error=None if changed else before.last_error,
        grade=before.grade if to is None else "untried",
        due_at=None if state == "inactive" else tx.milliseconds,
        updated_at=tx.now,
    )
    store.update_stream(tx, after)
    if isinstance(given, GenericHttps) and given.signing_secret is not None:
        return _with_shown_secret(shown(after), given)
    return shown(after)


def delete(tx: Transaction, caller: Caller, stream_id: str) -> None:
    """Delete a stream with its credentials: nothing is sent to it any more. Raises AuditLogStreamNotFound."""
    if not store.delete_stream(tx, caller.environment_id, stream_id):
        raise AuditLogStreamNotFound(stream_id)


def test(tx: Transaction, caller: Caller, stream_id: str) -> AuditLogStream:
    """Have an event sent that stands for nothing; return the stream, which later tells what came of it.

    One that is switched off is tested too. Raises AuditLogStreamNotFound.
    """
    before = _row(tx, caller, stream_id)
    pending = msgspec.json.encode(StreamTest(state="pending", requested_at=tx.now)).decode()
    after = msgspec.structs.replace(before, test=pending, test_due_at=tx.milliseconds)
    store.update_stream(tx, after)
    return shown(after)


def configured(tx: Transaction, environment_id: str, organization_id: str) -> ConfiguredStream | None:
    """Return the stream of an organization's configuration: the oldest that is switched on, or else the oldest."""
    row = store.select_shown(tx, environment_id, organization_id)
    if row is None:
        return None
    return ConfiguredStream(
        id=row.id,
        type=row.type,
        state=row.state,
        last_synced_at=row.last_synced_at,
        created_at=row.created_at,
    )


def shown(row: StreamRow) -> AuditLogStream:
    """Return a stream as the wire has it, without its credentials."""
    kind = KINDS[row.type]
    test_ = None if row.test is None else msgspec.json.decode(row.test, type=StreamTest)
    stream = AuditLogStream(
        id=row.id,
        organization_id=row.organization_id,
        type=row.type,
        state=row.state,
        batch_seconds=row.batch_seconds,
        last_synced_at=row.last_synced_at,
        failures=row.failures,
        last_error=row.last_error,
        next_attempt_at=None if row.due_at is None else timestamp(row.due_at),
        test=test_,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
    return msgspec.structs.replace(stream, **{kind.field: kind.shown(decode(row.type, row.destination))})


def _with_shown_secret(stream: AuditLogStream, to: Destination) -> AuditLogStream:
    if not isinstance(to, GenericHttps):
        return stream
    assert isinstance(stream.generic_https, ShownGenericHttps)
    receiver = msgspec.structs.replace(stream.generic_https, signing_secret=str(to.signing_secret))
    return msgspec.structs.replace(stream, generic_https=receiver)


def _row(tx: Transaction, caller: Caller, stream_id: str) -> StreamRow:
    row = store.select_stream(tx, caller.environment_id, stream_id)
    if row is None:
        raise AuditLogStreamNotFound(stream_id)
    return row


def _given(type_: str, body: CreateAuditLogStream | UpdateAuditLogStream) -> Any:
    """Return the destination in a body, if there is one. Raises ValidationFailed for one of another type."""
    others = [
        kind.field for name, kind in KINDS.items() if name != type_ and getattr(body, kind.field) is not None
    ]
    if others:
        raise ValidationFailed(
            [FieldError(field, f"{field} must not be given with the type {type_}") for field in others]
        )
    return getattr(body, KINDS[type_].field)


def _check(type_: str, to: Destination, policy: TargetPolicy) -> None:
    """Raise ValidationFailed for a destination that is not right, or where nothing may be sent."""
    kind = KINDS[type_]
    place, given = f"{kind.field}.{kind.place}", getattr(to, kind.place)
    try:
        if given is not None:
            check_url(given, policy)
        check_url(kind.url(to), policy)
    except RefusedTarget as refused:
        raise ValidationFailed([FieldError(place, f"{place} cannot be sent to: {refused}")]) from refused
    errors = [
        FieldError(f"{kind.field}.{name}", f"{kind.field}.{name} {sentence}")
        for name, sentence in problems(type_, to)
    ]
    if errors:
        raise ValidationFailed(errors)


def _trail(tx: Transaction, environment_id: str, organization_id: str) -> int:
    """Return the number of an organization's trail, which begins now if there is none."""
    trail = trails.select_trail(tx, environment_id, organization_id)
    if trail is not None:
        return trail.number
    return trails.insert_trail(tx, environment_id, organization_id, tx.milliseconds + DAY)


def _with_secret(tx: Transaction, to: Any, before: Any) -> Any:
    """Return a destination with something to sign by: what is given, or what was there, or a new one."""
    if not isinstance(to, GenericHttps) or to.signing_secret is not None:
        return to
    kept = before.signing_secret if isinstance(before, GenericHttps) else None
    return msgspec.structs.replace(
        to, signing_secret=kept or SigningSecret(f"alsec_{tx.new_token(_SECRET_LENGTH)}")
    )
