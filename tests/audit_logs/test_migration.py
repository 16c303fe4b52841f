"""Migration 0011: what was written before it is kept whole, and sealed."""

import json
from functools import partial

from support import grant, seal_all
from tenantry.core.db import Transaction, migrate, open_database
from tenantry.core.db.migrate import migrations
from tenantry.server import system_world

OCCURRED_AT = "2026-01-02T00:00:00.000Z"
CREATED_AT = "2026-01-03T00:00:00.000Z"
WIRE = b'{"action":"a","occurred_at":"2026-01-02T00:00:00.000Z","actor":{"id":"u","type":"user"},"targets":[]}'


def write_as_before(tx: Transaction, environment_id: str) -> None:
    """Add an event and its targets as Tenantry did until migration 0010."""
    common = {"environment_id": environment_id, "organization_id": "org_1"}
    tx.run(
        "INSERT INTO audit_log_trails (environment_id, organization_id, retention_days, prune_at)"
        " VALUES (:environment_id, :organization_id, 30, 7)",
        **common,
    )
    for _ in range(2):
        row = tx.one(
            "INSERT INTO audit_log_events (environment_id, organization_id, id, occurred_at, action, version,"
            " actor_type, actor_id, created_at, wire) VALUES (:environment_id, :organization_id, :id,"
            " :occurred_at, 'a', 1, 'user', 'u', :created_at, :wire) RETURNING position",
            id="audit_log_event_1",
            occurred_at=OCCURRED_AT,
            created_at=CREATED_AT,
            wire=WIRE,
            **common,
        )
        assert row is not None
        for number in range(2):
            tx.run(
                "INSERT INTO audit_log_targets (position, number, environment_id, organization_id, target_id,"
                " target_type, occurred_at) VALUES (:position, :number, :environment_id, :organization_id, 't',"
                " 'user', :occurred_at)",
                position=row[0],
                number=number,
                occurred_at=OCCURRED_AT,
                **common,
            )


def copy_event(tx: Transaction) -> int:
    """Add a copy of an event; return its position."""
    row = tx.one(
        "INSERT INTO audit_log_events (trail, id, occurred_at, action, version, actor_type, actor_id,"
        " created_at, wire) SELECT trail, id, occurred_at, action, version, actor_type, actor_id, created_at, wire"
        " FROM audit_log_events LIMIT 1 RETURNING position"
    )
    assert row is not None
    position: int = row[0]
    return position


def test_events_of_before_are_kept_and_sealed(empty_database_url: str) -> None:
    database = open_database(empty_database_url, system_world())
    database.write(migrate._create_record)
    before = [step for step in migrations(database.engine) if step.number <= 10]
    for step in before:
        database.write(partial(migrate._apply_one, step=step))
    environment_id = grant(database).environment_id
    database.write(lambda tx: write_as_before(tx, environment_id))
    migrate.apply(database)
    events = database.read(lambda tx: tx.all("SELECT position, trail, occurred_at, wire FROM audit_log_events"))
    assert len(events) == 2
    for _, trail, occurred_at, wire in events:
        assert (trail, occurred_at) == (1, OCCURRED_AT)
        assert json.loads(wire) == json.loads(WIRE) | {
            "object": "audit_log_event",
            "id": "audit_log_event_1",
            "organization_id": "org_1",
            "created_at": CREATED_AT,
        }
    targets = database.read(lambda tx: tx.all("SELECT trail, target_id, position FROM audit_log_targets"))
    assert sorted(targets) == sorted((1, "t", position) for position, *_ in events)
    trails = database.read(lambda tx: tx.all("SELECT number, retention_days, prune_at FROM audit_log_trails"))
    assert trails == [(1, 30, 7)]
    seal_all(database)
    sealed = database.read(lambda tx: tx.all("SELECT sequence FROM audit_log_seals ORDER BY sequence"))
    assert sealed == [(1,), (2,)]
    assert database.write(copy_event) > max(position for position, *_ in events)
    database.close()
