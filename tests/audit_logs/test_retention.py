"""How long events are kept: what can be set, and what is deleted when (wire.md section 6.4)."""

from functools import partial
from typing import Any, LiteralString

import httpx
import msgspec
import pytest

from support import caller_in, grant, seal_all
from tenantry.audit_logs import service
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
from tenantry.core.db import Database, Transaction
from tenantry.organizations import service as organizations
from tenantry.organizations.wire import CreateOrganization, Organization

Json = dict[str, Any]
UNKNOWN = "org_01EHQMYV6MBK39QC5PZXHY59C3"
DAY = 24 * 60 * 60 * 1000


def path(organization_id: str) -> str:
    return f"/organizations/{organization_id}/audit_logs_retention"


def configured(api: httpx.Client, organization_id: str) -> Any:
    return api.get(f"/organizations/{organization_id}/audit_log_configuration").json()


def test_nothing_is_set_at_first_and_events_are_kept_for_a_year(api: httpx.Client, organization_id: str) -> None:
    assert api.get(path(organization_id)).json() == {"retention_period_in_days": None}
    assert configured(api, organization_id) == {
        "organization_id": organization_id,
        "retention_period_in_days": 365,
        "state": "active",
    }


@pytest.mark.parametrize(
    ("body", "days"),
    [
        ({"retention_period_in_days": 30}, 30),
        ({"retention_period_in_days": 3650}, 3650),
        ({"retention_period": "3_MONTHS"}, 90),
        ({"retention_period": "2_YEARS", "retention_period_in_days": None}, 730),
    ],
)
def test_what_is_set_is_shown(api: httpx.Client, organization_id: str, body: Json, days: int) -> None:
    answer = api.put(path(organization_id), json=body)
    assert (answer.status_code, answer.json()) == (200, {"retention_period_in_days": days})
    assert api.get(path(organization_id)).json() == {"retention_period_in_days": days}
    assert configured(api, organization_id)["retention_period_in_days"] == days


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "retention_period"),
        ({"retention_period": None}, "retention_period"),
        ({"retention_period": "1_YEAR", "retention_period_in_days": 365}, "retention_period"),
        ({"retention_period": "12_MONTHS"}, "retention_period"),
        ({"retention_period_in_days": 31}, "retention_period_in_days"),
        ({"retention_period_in_days": 0}, "retention_period_in_days"),
        ({"retention_period_in_days": 10**30}, "retention_period_in_days"),
        ({"retention_period_in_days": "30"}, "retention_period_in_days"),
    ],
)
def test_what_cannot_be_set_is_refused(api: httpx.Client, organization_id: str, body: Json, field: str) -> None:
    answer = api.put(path(organization_id), json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert api.get(path(organization_id)).json() == {"retention_period_in_days": None}


def test_an_unknown_organization_has_no_retention(api: httpx.Client) -> None:
    for answer in (
        api.get(path(UNKNOWN)),
        api.put(path(UNKNOWN), json={"retention_period_in_days": 30}),
        api.get(f"/organizations/{UNKNOWN}/audit_log_configuration"),
    ):
        assert answer.status_code == 404
        assert answer.json()["message"] == f"Organization not found: '{UNKNOWN}'."


@pytest.fixture
def caller(database: Database) -> Caller:
    """Who calls in an environment that has one action."""
    made = caller_in(grant(database).environment_id)
    schema = CreateAuditLogSchema(targets=[AuditLogSchemaTarget(type="user")])
    database.write(lambda tx: service.create_schema(tx, made, "happened", schema))
    return made


def new_organization(database: Database, caller: Caller) -> str:
    body = CreateOrganization(name="Acme")
    raw = database.write(lambda tx: organizations.create(tx, caller, body))
    return msgspec.json.decode(raw, type=Organization).id


def write(database: Database, caller: Caller, organization_id: str, *times: int) -> None:
    """Write one event for each time, in milliseconds."""
    for time in times:
        event = AuditLogEvent(
            action="happened",
            occurred_at=OccurredAt(timestamp(time)),
            actor=AuditLogActor(id="a", type="user"),
            targets=[AuditLogTarget(id="b", type="user")],
            context=AuditLogContext(location="here"),
        )
        body = CreateAuditLogEvent(organization_id=organization_id, event=event)
        database.write(partial(service.create_event, caller=caller, body=body))


def retain(database: Database, caller: Caller, organization_id: str, days: int) -> None:
    body = SetAuditLogsRetention(retention_period_in_days=days)
    database.write(lambda tx: service.set_retention(tx, caller, organization_id, body))


def times(database: Database, organization_id: str) -> list[str]:
    """Return the times of an organization's events, which are those of their targets."""
    of_events = times_in(
        database,
        organization_id,
        "SELECT occurred_at FROM audit_log_events JOIN audit_log_trails ON number = trail"
        " WHERE organization_id = :id ORDER BY occurred_at",
    )
    of_targets = times_in(
        database,
        organization_id,
        "SELECT occurred_at FROM audit_log_targets JOIN audit_log_trails ON number = trail"
        " WHERE organization_id = :id ORDER BY occurred_at",
    )
    assert of_events == of_targets
    return of_events


def times_in(database: Database, organization_id: str, sql: LiteralString) -> list[str]:
    return [row[0] for row in database.read(lambda tx: tx.all(sql, id=organization_id))]


def prune(database: Database) -> int:
    """Seal what was written, and delete until nothing is due; return how many rounds that took."""
    seal_all(database)
    rounds = 0
    while database.write(partial(service.prune, signing_key=None)):
        rounds += 1
    return rounds


def test_events_are_deleted_within_a_day_after_their_retention(
    database: Database, caller: Caller, now: list[int]
) -> None:
    organization_id = new_organization(database, caller)
    written = now[0]
    write(database, caller, organization_id, written - 364 * DAY, written)
    prune(database)
    assert len(times(database, organization_id)) == 2
    now[0] = written + 2 * DAY
    prune(database)
    assert times(database, organization_id) == [timestamp(written)]


def test_a_shorter_retention_takes_effect_at_once_and_for_its_organization_alone(
    database: Database, caller: Caller, now: list[int]
) -> None:
    first, second = (new_organization(database, caller) for _ in range(2))
    ages = (now[0] - 31 * DAY, now[0] - 29 * DAY)
    for each in (first, second):
        write(database, caller, each, *ages)
    retain(database, caller, first, 30)
    prune(database)
    assert times(database, first) == [timestamp(ages[1])]
    assert times(database, second) == [timestamp(each) for each in ages]


def test_many_events_are_deleted_a_few_at_a_time(database: Database, caller: Caller, now: list[int]) -> None:
    organization_id = new_organization(database, caller)
    old = now[0] - 100 * DAY
    write(database, caller, organization_id, old, now[0])
    database.write(lambda tx: copy_first_event(tx, organization_id, 1099))
    retain(database, caller, organization_id, 30)
    assert prune(database) == 3
    assert times(database, organization_id) == [timestamp(now[0])]
    assert prune(database) == 0


def copy_first_event(tx: Transaction, organization_id: str, number: int) -> None:
    """Add copies of an organization's oldest event, with its target."""
    columns: LiteralString = "trail, id, occurred_at, action, version, actor_type, actor_id, created_at, wire"
    for _ in range(number):
        row = tx.one(
            f"INSERT INTO audit_log_events ({columns}) SELECT {columns} FROM audit_log_events WHERE trail ="
            " (SELECT number FROM audit_log_trails WHERE organization_id = :id)"
            " ORDER BY occurred_at LIMIT 1 RETURNING position",
            id=organization_id,
        )
        assert row is not None
        tx.run(
            "INSERT INTO audit_log_targets (trail, target_id, occurred_at, position, target_type)"
            " SELECT trail, 'b', occurred_at, position, 'user' FROM audit_log_events WHERE position = :position",
            position=row[0],
        )


def test_the_events_of_a_deleted_organization_are_kept_as_long(
    database: Database, caller: Caller, now: list[int]
) -> None:
    organization_id = new_organization(database, caller)
    write(database, caller, organization_id, now[0])
    retain(database, caller, organization_id, 30)
    database.write(lambda tx: organizations.delete(tx, caller, organization_id))
    prune(database)
    assert len(times(database, organization_id)) == 1
    now[0] += 31 * DAY
    prune(database)
    assert times(database, organization_id) == []
