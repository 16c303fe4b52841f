"""What is checked of a database: any change of what is stored is found."""

from functools import partial
from random import Random
from typing import Any, LiteralString

import pytest

from audit_events import declare, new_organization, random_event, write
from support import caller_in, grant, seal_all
from tenantry.audit_logs import checkpoints, seals, service, stored
from tenantry.audit_logs.chain import START, Seal, Trail, event_hash, seal_hash
from tenantry.audit_logs.verify import Broken, Checked
from tenantry.audit_logs.wire import SetAuditLogsRetention
from tenantry.core.db import Database, Transaction

DAY = 24 * 60 * 60 * 1000
EVENTS = 6


@pytest.fixture
def environment_id(database: Database) -> str:
    made = grant(database).environment_id
    declare(database, made)
    return made


@pytest.fixture
def organization_id(database: Database, environment_id: str, now: list[int]) -> str:
    """An organization with events that are sealed and signed."""
    made = new_organization(database, environment_id)
    random = Random(7)
    write(database, environment_id, made, [random_event(random, now[0] - each) for each in range(EVENTS)])
    seal_all(database)
    database.write(lambda tx: checkpoints.sign_now(tx, environment_id, made, None))
    return made


def verified(database: Database, organization_id: str) -> Checked:
    """Check an organization as the command does."""

    def work(tx: Transaction) -> Checked:
        (trail,) = stored.trails(tx, None, organization_id)
        return stored.check_trail(tx, trail, stored.public_keys(tx), lambda _: None)

    return database.write(work)


def broken(database: Database, organization_id: str) -> str:
    with pytest.raises(Broken) as caught:
        verified(database, organization_id)
    return str(caught.value)


def run(database: Database, sql: LiteralString, **parameters: Any) -> None:
    assert database.write(lambda tx: tx.run(sql, **parameters)) > 0


def test_what_was_written_is_right(database: Database, organization_id: str) -> None:
    checked = verified(database, organization_id)
    assert (checked.events, checked.first, checked.last, checked.unsealed) == (EVENTS, 1, EVENTS, 0)
    assert checked.signed is not None
    assert checked.signed.sequence == EVENTS


THIRD: LiteralString = " WHERE position = (SELECT position FROM audit_log_seals WHERE sequence = 3)"


FIRST: LiteralString = (
    " WHERE (target_id, position) IN"
    " (SELECT target_id, position FROM audit_log_targets ORDER BY position, target_id LIMIT 1)"
)
OTHER_TARGET: LiteralString = (
    "INSERT INTO audit_log_targets (trail, target_id, occurred_at, position, target_type)"
    " SELECT trail, 'other', occurred_at, position, 'user' FROM audit_log_events" + THIRD
)


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("UPDATE audit_log_events SET wire = :bytes" + THIRD, "Event 3 was changed"),
        ("UPDATE audit_log_events SET action = 'other'" + THIRD, "its action is"),
        ("UPDATE audit_log_events SET version = 7" + THIRD, "its version is 1, stored beside it is 7"),
        ("UPDATE audit_log_events SET actor_type = 'other'" + THIRD, "its actor's type is"),
        ("UPDATE audit_log_events SET actor_id = 'other'" + THIRD, "its actor's id is"),
        ("UPDATE audit_log_events SET id = 'other'" + THIRD, "its id is"),
        ("UPDATE audit_log_events SET created_at = 'other'" + THIRD, "its created_at is"),
        ("UPDATE audit_log_events SET occurred_at = '2020-01-01'" + THIRD, "Event 3 is stored as of 2020-01-01"),
        ("DELETE FROM audit_log_events" + THIRD, "Event 3 is missing: it was deleted, and not by its retention."),
        ("DELETE FROM audit_log_seals WHERE sequence = 3", "Event 3 is missing."),
        (
            "DELETE FROM audit_log_seals WHERE sequence > 4",
            "stands among sealed ones: it was inserted, or its seal deleted.",
        ),
        ("UPDATE audit_log_seals SET hash = :bytes WHERE sequence = 3", "The seal of event 3"),
        ("UPDATE audit_log_seals SET sequence = 9 WHERE sequence = 3", "Event 3 is missing."),
        ("UPDATE audit_log_chains SET hash = :bytes", "is not the one with which the chain ends"),
        ("UPDATE audit_log_chains SET sequence = 7", "Event 7 is missing at the end"),
        ("UPDATE audit_log_chains SET first_sequence = 4", "Events 1 to 3 are missing."),
        ("DELETE FROM audit_log_chains", "The end of the chain was deleted."),
        ("UPDATE audit_log_checkpoints SET signature = :bytes", "was changed"),
        ("DELETE FROM audit_log_keys", "is not among the keys given"),
        ("DELETE FROM audit_log_targets", "is not found by its target"),
        ("UPDATE audit_log_targets SET target_type = 'other ' || target_type", "is not found by its target"),
        ("UPDATE audit_log_targets SET target_id = 'other' || target_id" + FIRST, "is not found by its target"),
        ("UPDATE audit_log_targets SET position = position + 1" + FIRST, "is not found by its target"),
        (OTHER_TARGET, "is found by the target 'other' of the type 'user', not its own."),
    ],
)
def test_a_change_is_found_and_told(
    database: Database, organization_id: str, sql: LiteralString, says: str
) -> None:
    run(database, sql, **({"bytes": b"\x01" * 32} if ":bytes" in sql else {}))
    assert says in broken(database, organization_id)


def test_an_event_that_was_slipped_in_is_found(database: Database, organization_id: str) -> None:
    columns: LiteralString = "trail, id, occurred_at, action, version, actor_type, actor_id, created_at, wire"
    run(
        database,
        "UPDATE audit_log_sealing SET position = position + 100, transaction_id = transaction_id * 2",
    )
    run(database, f"INSERT INTO audit_log_events ({columns}) SELECT {columns} FROM audit_log_events" + THIRD)
    assert "stands among sealed ones: it was inserted, or its seal deleted." in broken(database, organization_id)


def test_a_chain_that_was_made_anew_without_the_key_is_found(
    database: Database, environment_id: str, organization_id: str
) -> None:
    def forge(tx: Transaction) -> None:
        trail = Trail(environment_id, organization_id)
        number = seals.select_trail_number(tx, environment_id, organization_id)
        assert number is not None
        previous = START
        for row in seals.select_seals(tx, number, 0, 100):
            assert row.wire is not None
            wire = row.wire.replace(b"192.0.2.1", b"192.0.2.9")
            seal = Seal(row.sequence, previous, row.occurred_at, event_hash(wire))
            previous = seal_hash(trail, seal)
            tx.run("UPDATE audit_log_events SET wire = :wire WHERE position = :at", wire=wire, at=row.position)
            tx.run("UPDATE audit_log_seals SET hash = :hash WHERE position = :at", hash=previous, at=row.position)
        tx.run("UPDATE audit_log_chains SET hash = :hash", hash=previous)

    database.write(forge)
    assert f"Event {EVENTS}, or one before it, was changed and sealed anew" in broken(database, organization_id)


def test_what_retention_removes_leaves_the_chain_right(
    database: Database, environment_id: str, organization_id: str, now: list[int]
) -> None:
    caller = caller_in(environment_id)
    random = Random(8)
    old = [random_event(random, now[0] - each * DAY) for each in (50, 1, 40, 2, 60)]
    write(database, environment_id, organization_id, old)
    seal_all(database)
    body = SetAuditLogsRetention(retention_period_in_days=30)
    database.write(lambda tx: service.set_retention(tx, caller, organization_id, body))
    prune = partial(service.prune, signing_key=None)
    while database.write(prune):
        pass
    checked = verified(database, organization_id)
    assert (checked.events, checked.removed, checked.first, checked.last) == (EVENTS + 2, 3, 1, EVENTS + 5)
    now[0] += 29 * DAY + DAY // 2
    while database.write(prune):
        pass
    checked = verified(database, organization_id)
    assert (checked.events, checked.removed, checked.first) == (EVENTS, 5, 1)
    now[0] += 2 * DAY
    while database.write(prune):
        pass
    checked = verified(database, organization_id)
    assert (checked.events, checked.removed, checked.first) == (0, 0, None)
    write(database, environment_id, organization_id, [random_event(random, now[0])])
    seal_all(database)
    checked = verified(database, organization_id)
    assert (checked.events, checked.first, checked.last) == (1, EVENTS + 6, EVENTS + 6)
    run(database, "UPDATE audit_log_chains SET first_sequence = 1, sequence = 1")
    broken(database, organization_id)


def test_an_event_taken_away_as_retention_would_is_found(database: Database, organization_id: str) -> None:
    run(database, "UPDATE audit_log_seals SET event_hash = :own WHERE sequence = 3", own=own_hash(database))
    run(database, "DELETE FROM audit_log_events" + THIRD)
    told = broken(database, organization_id)
    assert told.startswith("Event 3 is missing: it occurred at")
    assert told.endswith("and no event was removed by retention.")


def own_hash(database: Database) -> bytes:
    row = database.read(lambda tx: tx.one("SELECT wire FROM audit_log_events" + THIRD))
    assert row is not None
    return event_hash(row[0])


def test_many_events_that_were_removed_around_one_that_stays_are_freed_in_parts(
    database: Database, environment_id: str, organization_id: str, now: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenantry.audit_logs.removal._FREED_AT_ONCE", 2)
    caller = caller_in(environment_id)
    body = SetAuditLogsRetention(retention_period_in_days=30)
    database.write(lambda tx: service.set_retention(tx, caller, organization_id, body))
    now[0] += 31 * DAY
    while database.write(partial(service.prune, signing_key=None)):
        verified(database, organization_id)
    assert verified(database, organization_id).events == 0
