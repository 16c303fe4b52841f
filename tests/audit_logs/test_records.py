"""The file of an organization's events (docs/audit_format.md)."""

import asyncio
import base64
import hashlib
import json
from functools import partial
from typing import Any

import msgspec
import pytest

from audit_events import EVERYTHING, exported
from support import caller_in, grant, seal_all
from tenantry.audit_logs import checkpoints, ed25519, keys, sealing, seals, service
from tenantry.audit_logs.export_store import Kind
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
    SetAuditLogsRetention,
)
from tenantry.core.caller import Caller
from tenantry.core.clock import timestamp
from tenantry.core.db import Database
from tenantry.organizations import service as organizations
from tenantry.organizations.wire import CreateOrganization, Organization

Json = dict[str, Any]
DAY = 24 * 60 * 60 * 1000


@pytest.fixture
def caller(database: Database) -> Caller:
    """Who calls in an environment that has one action."""
    made = caller_in(grant(database).environment_id)
    schema = CreateAuditLogSchema(targets=[AuditLogSchemaTarget(type="user")])
    database.write(lambda tx: service.create_schema(tx, made, "happened", schema))
    return made


@pytest.fixture
def organization_id(database: Database, caller: Caller) -> str:
    raw = database.write(lambda tx: organizations.create(tx, caller, CreateOrganization(name="Acme")))
    return msgspec.json.decode(raw, type=Organization).id


def body_of(organization_id: str, number: int, time: int) -> CreateAuditLogEvent:
    """Return an event of a time, in milliseconds, whose target is `b` and a number."""
    event = AuditLogEvent(
        action="happened",
        occurred_at=OccurredAt(timestamp(time)),
        actor=AuditLogActor(id="a", type="user", name="Zoë \x7f\n\u2028", metadata={"n": 1e-7, "m": 12.0}),
        targets=[AuditLogTarget(id=f"b{number}", type="user")],
        context=AuditLogContext(location="here"),
    )
    return CreateAuditLogEvent(organization_id=organization_id, event=event)


def write(database: Database, caller: Caller, organization_id: str, *times: int) -> None:
    """Write one event for each time, in milliseconds, and seal all."""
    for number, time in enumerate(times):
        body = body_of(organization_id, number, time)
        database.write(partial(service.create_event, caller=caller, body=body))
    seal_all(database)


def lines_of(
    database: Database, caller: Caller, organization_id: str, kind: Kind = "chain", chosen: Filter = EVERYTHING
) -> list[bytes]:
    def work(tx: Any) -> list[bytes]:
        checkpoints.sign_now(tx, caller.environment_id, organization_id, None)
        return exported(tx, caller.environment_id, organization_id, kind, chosen, at_once=2)

    return database.write(work)


def test_a_file_of_all_events_is_a_chain_with_a_signature(
    database: Database, caller: Caller, organization_id: str, now: list[int]
) -> None:
    write(database, caller, organization_id, *range(now[0] - 5, now[0]))
    header, *events, last = lines_of(database, caller, organization_id)
    assert json.loads(header) == {
        "format": "tenantry-audit-log/1",
        "environment_id": caller.environment_id,
        "organization_id": organization_id,
        "created_at": timestamp(now[0]),
        "filtered": False,
    }
    previous = "0" * 64
    for sequence, line in enumerate(events, 1):
        value = json.loads(line)
        assert (value["sequence"], value["previous_hash"]) == (sequence, previous)
        own = line[len(b'{"event":') : line.rindex(b',"event_hash":"')]
        assert hashlib.sha256(own).hexdigest() == value["event_hash"]
        sealed: Json = {key: value[key] for key in ("event_hash", "previous_hash", "sequence")} | {
            "environment_id": caller.environment_id,
            "organization_id": organization_id,
            "occurred_at": value["event"]["occurred_at"],
        }
        canonical = json.dumps(sealed, sort_keys=True, separators=(",", ":")).encode()
        previous = hashlib.sha256(canonical).hexdigest()
        assert value["hash"] == previous
    signed = json.loads(last)
    assert signed["checkpoint"] == {
        "environment_id": caller.environment_id,
        "organization_id": organization_id,
        "first_sequence": 1,
        "sequence": 5,
        "hash": previous,
        "removed_before": None,
        "time": timestamp(now[0]),
        "key_id": signed["checkpoint"]["key_id"],
    }
    stated = last[len(b'{"checkpoint":') : last.rindex(b',"signature":"')]
    (key,) = database.read(keys.list_keys).data
    public = ed25519.public_from_pem(key.public_key.encode())
    assert keys.id_of(public) == key.id == signed["checkpoint"]["key_id"]
    assert ed25519.is_signed(public, stated, base64.b64decode(signed["signature"]))


def test_a_file_of_chosen_events_holds_their_seals(
    database: Database, caller: Caller, organization_id: str, now: list[int]
) -> None:
    write(database, caller, organization_id, *range(now[0] - 5, now[0]))
    _, *all_events, last = lines_of(database, caller, organization_id)
    chosen = msgspec.structs.replace(EVERYTHING, target_ids=["b4", "b1", "nobody"])
    header, *events, signed = lines_of(database, caller, organization_id, "ndjson", chosen)
    assert json.loads(header)["filtered"] is True
    assert events == [all_events[1], all_events[4]]
    assert signed == last


async def test_events_written_at_once_keep_their_own_targets(
    database: Database, caller: Caller, organization_id: str, now: list[int]
) -> None:
    write(database, caller, organization_id, now[0])
    bodies = [body_of(organization_id, number, now[0]) for number in range(1, 20)]
    works = [partial(service.create_event, caller=caller, body=body) for body in bodies]
    await asyncio.gather(*(database.write_soon(work, adds=True) for work in works))
    for number in range(20):
        chosen = msgspec.structs.replace(EVERYTHING, target_ids=[f"b{number}"])
        _, line, _ = lines_of(database, caller, organization_id, "ndjson", chosen)
        assert [target["id"] for target in json.loads(line)["event"]["targets"]] == [f"b{number}"]


def test_an_event_takes_the_place_of_none_that_was_deleted(
    database: Database, caller: Caller, organization_id: str, now: list[int]
) -> None:
    write(database, caller, organization_id, now[0], now[0])
    database.write(lambda tx: tx.run("DELETE FROM audit_log_events"))
    write(database, caller, organization_id, now[0])
    _, *lines, _ = lines_of(database, caller, organization_id)
    assert [json.loads(line).get("event") is None for line in lines] == [True, True, False]


def test_what_is_not_sealed_yet_says_so(
    database: Database, caller: Caller, organization_id: str, now: list[int]
) -> None:
    write(database, caller, organization_id, now[0])
    event = AuditLogEvent(
        action="happened",
        occurred_at=OccurredAt(timestamp(now[0])),
        actor=AuditLogActor(id="late", type="user"),
        targets=[],
        context=AuditLogContext(location="here"),
    )
    body = CreateAuditLogEvent(organization_id=organization_id, event=event)
    database.write(partial(service.create_event, caller=caller, body=body))
    _, sealed, waiting, _ = (json.loads(line) for line in lines_of(database, caller, organization_id))
    assert sealed["sequence"] == 1
    assert waiting.keys() == {"event"}
    assert waiting["event"]["actor"]["id"] == "late"


def test_what_retention_removed_leaves_its_seal_until_all_before_it_is_removed(
    database: Database, caller: Caller, organization_id: str, now: list[int]
) -> None:
    old = now[0] - 40 * DAY
    write(database, caller, organization_id, now[0], old, now[0], old + 5 * DAY)
    body = SetAuditLogsRetention(retention_period_in_days=30)
    database.write(lambda tx: service.set_retention(tx, caller, organization_id, body))
    while database.write(partial(service.prune, signing_key=None)):
        pass
    _, *lines, signed = (json.loads(line) for line in lines_of(database, caller, organization_id))
    assert ["event" in line for line in lines] == [True, False, True, False]
    assert lines[1]["occurred_at"] == timestamp(old)
    assert signed["checkpoint"]["removed_before"] == timestamp(now[0] - 30 * DAY)
    assert signed["checkpoint"]["first_sequence"] == 1
    now[0] += 31 * DAY
    write(database, caller, organization_id, now[0])
    while database.write(partial(service.prune, signing_key=None)):
        pass
    _, *lines, signed = (json.loads(line) for line in lines_of(database, caller, organization_id))
    assert [(line["sequence"], "event" in line) for line in lines] == [(5, True)]
    assert signed["checkpoint"]["first_sequence"] == 5


def test_an_organization_without_events_has_a_file_without_any(
    database: Database, caller: Caller, organization_id: str
) -> None:
    (header,) = lines_of(database, caller, organization_id)
    assert json.loads(header)["organization_id"] == organization_id


def test_one_checkpoint_a_day_stays_and_the_last_of_all(
    database: Database, caller: Caller, organization_id: str, now: list[int]
) -> None:
    for _ in range(5):
        write(database, caller, organization_id, now[0])
        now[0] += sealing.SIGNED_EVERY
        assert database.write(lambda tx: checkpoints.sign_due(tx, None)) == 1
        assert database.write(lambda tx: checkpoints.sign_due(tx, None)) == 0
        now[0] += 9 * 60 * 60 * 1000
    trail = database.read(lambda tx: seals.select_trail_number(tx, caller.environment_id, organization_id))
    assert trail is not None
    kept = database.read(lambda tx: seals.select_checkpoints(tx, trail))
    days = [checkpoints.decode(row.statement).time[:10] for row in kept]
    assert len(days) == len(set(days)) < 5
    assert kept[-1].sequence == 5
