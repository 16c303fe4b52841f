"""What tests of reading share: trails of events written past the API, as many as one likes."""

from functools import partial
from random import Random
from typing import Any

import msgspec

from support import caller_in
from tenantry.audit_logs import chain, exports, seals, service
from tenantry.audit_logs.export_store import Kind
from tenantry.audit_logs.exports import Work
from tenantry.audit_logs.filters import Filter
from tenantry.audit_logs.wire import (
    AuditLogActor,
    AuditLogContext,
    AuditLogEvent,
    AuditLogSchemaTarget,
    AuditLogTarget,
    CreateAuditLogEvent,
    CreateAuditLogSchema,
    OccurredAt,
)
from tenantry.core.clock import system_clock, timestamp
from tenantry.core.db import Database, Transaction
from tenantry.organizations import service as organizations
from tenantry.organizations.wire import CreateOrganization, Organization

ACTIONS = ["user.signed_in", "invoice.paid", "team.renamed"]
ACTORS = [("user_1", "user", "Ann"), ("user_2", "user", "Ann"), ("user_3", "user", "Jörg"), ("bot", "app", None)]
TARGETS = [("team_1", "team", "Blue"), ("team_2", "team", None), ("team_1", "user", "ẞ"), ("file", "file", "=1+1")]
LOCATIONS = ["192.0.2.1", "Île", 'a "quoted" place']
WORDS = ["plain", "STRASSE", "Straße", "\N{KELVIN SIGN}elvin", "a,b", "line\nbreak", "-2"]

_FILLED_AT_ONCE = 5_000
_FILLED_HOURS = 24
_COPY = (
    "INSERT INTO audit_log_events"
    " (trail, id, occurred_at, action, version, actor_type, actor_id, created_at, wire)"
    " VALUES (:trail, :id, :occurred_at, :action, :version, :actor_type, :actor_id, :created_at, :wire)"
)


def new_organization(database: Database, environment_id: str) -> str:
    """Return the id of a new organization."""
    body = CreateOrganization(name="Acme")
    made = database.write(lambda tx: organizations.create(tx, caller_in(environment_id), body))
    return msgspec.json.decode(made, type=Organization).id


def declare(database: Database, environment_id: str) -> None:
    """Give each of ACTIONS a schema that takes every event of these tests."""
    kinds = dict.fromkeys(kind for _, kind, _ in TARGETS)
    body = CreateAuditLogSchema(targets=[AuditLogSchemaTarget(type=kind) for kind in kinds])

    def work(tx: Transaction) -> None:
        for action in ACTIONS:
            service.create_schema(tx, caller_in(environment_id), action, body)

    database.write(work)


def random_event(random: Random, occurred_at: int) -> AuditLogEvent:
    """Return an event of that time, in milliseconds; of many, most share something."""
    actor = random.choice(ACTORS)
    return AuditLogEvent(
        action=random.choice(ACTIONS),
        occurred_at=OccurredAt(timestamp(occurred_at)),
        actor=AuditLogActor(id=actor[0], type=actor[1], name=actor[2]),
        targets=[
            AuditLogTarget(id=each[0], type=each[1], name=each[2], metadata={"word": random.choice(WORDS)})
            for each in random.choices(TARGETS, k=random.randrange(4))
        ],
        context=AuditLogContext(location=random.choice(LOCATIONS)),
        metadata=random.choice([None, {}, {"word": random.choice(WORDS), "number": 1.5, "flag": True}]),
    )


def write(database: Database, environment_id: str, organization_id: str, events: list[AuditLogEvent]) -> None:
    """Write events, in this order, in one transaction."""
    bodies = [CreateAuditLogEvent(organization_id=organization_id, event=event) for event in events]

    def work(tx: Transaction) -> None:
        for body in bodies:
            service.create_event(tx, caller_in(environment_id), body)

    database.write(work)


def value_of(event: AuditLogEvent) -> dict[str, Any]:
    """Return an event as JSON values, as it was sent."""
    value: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(event, enc_hook=str))
    return value


def fill(database: Database, environment_id: str, organization_id: str, count: int) -> None:
    """Write many events, past all rules: copies of one, each with an id and a time of its own."""
    start = system_clock()() - _FILLED_HOURS * 3_600_000
    write(database, environment_id, organization_id, [random_event(Random(1), start)])
    for first in range(1, count, _FILLED_AT_ONCE):
        some = range(start + first, start + min(first + _FILLED_AT_ONCE, count))
        database.write(partial(_copy, moments=some))


def _copy(tx: Transaction, moments: range) -> None:
    row = tx.one(
        "SELECT trail, id, occurred_at, action, version, actor_type, actor_id, created_at, wire"
        " FROM audit_log_events ORDER BY position LIMIT 1"
    )
    assert row is not None
    names = ("trail", "id", "occurred_at", "action", "version", "actor_type", "actor_id", "created_at", "wire")
    first = dict(zip(names, row, strict=True))
    copies = []
    for moment in map(timestamp, moments):
        identity = tx.new_id("audit_log_event")
        wire = first["wire"].replace(first["id"].encode(), identity.encode())
        wire = wire.replace(first["occurred_at"].encode(), moment.encode())
        copies.append(first | {"id": identity, "occurred_at": moment, "wire": wire})
    tx.run_all(_COPY, copies)


EVERYTHING = Filter(range_start="0001-01-01T00:00:00.000Z", range_end="9999-12-31T23:59:59.999Z")


def exported(
    tx: Transaction,
    environment_id: str,
    organization_id: str,
    kind: Kind = "chain",
    chosen: Filter = EVERYTHING,
    at_once: int = 100,
) -> list[bytes]:
    """Return the lines of an export as it would be made by looking at so many events at once."""
    work = Work(
        export_id="",
        whose=chain.Trail(environment_id, organization_id),
        trail=seals.select_trail_number(tx, environment_id, organization_id),
        format=kind,
        filter=chosen,
        place=None,
        steps=0,
        attempts=1,
    )
    content, place = b"", None
    while True:
        part = exports.look_on(tx, work, place, at_once) or exports.look_at_last(tx, work, place, at_once)
        content += part.content
        if part.end is None:
            return content.splitlines(keepends=True)
        place = part.end
