"""Of 5,000 audit log events each arrives at least once, though the server dies twice and the receiver fails."""

import json
from pathlib import Path

import pytest

from receivers import Receiver
from streaming import ACTION, SETTINGS, get_stream, make_action, make_generic, make_organization, wait_for_stream
from support import Access, Server, caller_in, client, grant, open_migrated
from tenantry.audit_logs import service as audit_logs
from tenantry.audit_logs.wire import (
    AuditLogActor,
    AuditLogContext,
    AuditLogEvent,
    AuditLogTarget,
    CreateAuditLogEvent,
    OccurredAt,
)
from tenantry.core.db import Database, Transaction

EVENTS = 5000
WRITTEN_AT_ONCE = 250
SECONDS = 90.0
METADATA = {f"key_{number}": "x" * 400 for number in range(5)}
"""As many as fill some fifteen batches."""


@pytest.mark.timeout(240)  # some 40 seconds on two cores that do nothing else
def test_every_event_arrives_though_the_server_dies(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the end the stream's place is the end of the chain, and what came twice is the same batch."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    database = open_migrated(database_url)
    access = grant(database)
    receiver = Receiver(tmp_path, failing=0.2, seconds=0.2)
    server = Server(database_url, tmp_path)
    with client(server.base_url, access.key) as api:
        make_action(api)
        organization_id = make_organization(api)
        stream_id = make_generic(api, organization_id, receiver)["id"]
    server.kill()
    write(database, access, organization_id)
    for batches in (3, 7):
        server = Server(database_url, tmp_path)
        receiver.wait_for(batches, SECONDS)
        server.kill()
        assert len(taken(receiver)) < EVENTS
    server = Server(database_url, tmp_path)
    try:
        with client(server.base_url, access.key) as api:
            wait_for_stream(api, stream_id, lambda _: len(taken(receiver)) == EVENTS, SECONDS)
            last = wait_for_stream(api, stream_id, lambda now: now["next_attempt_at"] is None, SECONDS)
            assert (last["state"], last["failures"]) == ("active", 0)
            assert get_stream(api, stream_id)["last_synced_at"] is not None
        assert taken(receiver) == {f"user_{number}" for number in range(EVENTS)}
        assert place(database) == (EVENTS, EVENTS)
        bodies: dict[str, set[str]] = {}
        for each in receiver.received():
            bodies.setdefault(each["headers"]["tenantry-batch"], set()).add(each["body"])
        assert all(len(different) == 1 for different in bodies.values())
    finally:
        receiver.kill()
        assert server.stop() == 0
        database.close()


def write(database: Database, access: Access, organization_id: str) -> None:
    """Write the events, each of an actor of its own."""

    def some(tx: Transaction, first: int) -> None:
        for number in range(first, first + WRITTEN_AT_ONCE):
            event = AuditLogEvent(
                action=ACTION,
                occurred_at=OccurredAt(tx.now),
                actor=AuditLogActor(id=f"user_{number}", type="user"),
                targets=[AuditLogTarget(id="document_1", type="document")],
                context=AuditLogContext(location="192.0.2.1"),
                metadata=METADATA,
            )
            body = CreateAuditLogEvent(organization_id=organization_id, event=event)
            audit_logs.create_event(tx, caller_in(access.environment_id), body)

    for first in range(0, EVENTS, WRITTEN_AT_ONCE):
        database.write(lambda tx, first=first: some(tx, first))  # type: ignore[misc]


def taken(receiver: Receiver) -> set[str]:
    """Return the actors of the events in requests that were answered with 2xx."""
    return {
        json.loads(line)["actor"]["id"]
        for each in receiver.received()
        if each["status"] < 300
        for line in each["body"].splitlines()
    }


def place(database: Database) -> tuple[int, int]:
    """Return the stream's place, and the end of the chain."""
    row = database.read(
        lambda tx: tx.one(
            "SELECT s.position, c.sequence FROM audit_log_streams s JOIN audit_log_chains c ON c.trail = s.trail"
        )
    )
    assert row is not None
    return row[0], row[1]
