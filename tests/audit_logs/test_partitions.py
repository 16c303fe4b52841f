"""The months of events on PostgreSQL; SQLite has none."""

from random import Random

import pytest

from audit_events import declare, new_organization, random_event, write
from support import grant
from tenantry.audit_logs import partitions
from tenantry.core.clock import milliseconds_of
from tenantry.core.db import Database


def months(database: Database) -> set[partitions.Month]:
    return database.read(partitions._months)


@pytest.mark.parametrize(
    ("month", "months", "expected"),
    [((2026, 11), 0, (2026, 11)), ((2026, 11), 2, (2027, 1)), ((2026, 1), -1, (2025, 12))],
)
def test_months_are_counted(month: partitions.Month, months: int, expected: partitions.Month) -> None:
    assert partitions.after(month, months) == expected


def test_a_time_is_of_a_month() -> None:
    assert partitions.month_of(milliseconds_of("2026-11-30T23:59:59.999Z")) == (2026, 11)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True, scope="session")
def test_sqlite_has_no_months(database: Database) -> None:
    before = database.read(lambda tx: tx.all("SELECT name FROM sqlite_schema"))
    partitions.maintain(database)
    assert database.read(lambda tx: tx.all("SELECT name FROM sqlite_schema")) == before


@pytest.mark.parametrize("engine", ["postgres"], indirect=True, scope="session")
def test_months_are_made_ahead_and_dropped_when_they_are_empty(database: Database, now: list[int]) -> None:
    environment_id = grant(database).environment_id
    declare(database, environment_id)
    organization_id = new_organization(database, environment_id)
    for month in ("2027-03", "2027-03", "2027-05"):
        now[0] = milliseconds_of(f"{month}-15T00:00:00.000Z")
        partitions.maintain(database)
        write(database, environment_id, organization_id, [random_event(Random(1), now[0])])
    assert {(2027, 3), (2027, 5), (2027, 6), (2027, 7)} <= months(database)
    assert (2027, 4) not in months(database)
    placed = database.read(
        lambda tx: tx.all("SELECT tableoid::regclass::text FROM audit_log_events ORDER BY occurred_at")
    )
    names = [row[0].rpartition(".")[2] for row in placed]
    assert names == ["audit_log_events_2027_03", "audit_log_events_2027_03", "audit_log_events_2027_05"]
    database.write(lambda tx: tx.run("DELETE FROM audit_log_events"))
    database.write(lambda tx: tx.run("DELETE FROM audit_log_targets"))
    partitions.maintain(database)
    assert months(database) == {(2027, 5), (2027, 6), (2027, 7)}


@pytest.mark.parametrize("engine", ["postgres"], indirect=True, scope="session")
def test_a_month_that_the_default_partition_has_begun_stays_there(database: Database, now: list[int]) -> None:
    environment_id = grant(database).environment_id
    declare(database, environment_id)
    organization_id = new_organization(database, environment_id)
    now[0] = milliseconds_of("2031-01-31T23:00:00.000Z")
    write(database, environment_id, organization_id, [random_event(Random(1), now[0])])
    partitions.maintain(database)
    assert (2031, 1) not in months(database)
    assert {(2031, 2), (2031, 3)} <= months(database)
    now[0] = milliseconds_of("2031-02-01T00:00:00.000Z")
    write(database, environment_id, organization_id, [random_event(Random(1), now[0])])
    assert database.read(lambda tx: tx.one("SELECT COUNT(*) FROM audit_log_events_2031_02")) == (1,)
