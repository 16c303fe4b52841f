"""Which batch is whose: one process at a time, the same batch again, what changes meanwhile."""

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from support import caller_in, grant
from tenantry.audit_logs import sealing
from tenantry.audit_logs import service as audit_logs
from tenantry.audit_logs.streams import delivery, service, store
from tenantry.audit_logs.streams.batches import Answer
from tenantry.audit_logs.streams.delivery import Parcel, Result
from tenantry.audit_logs.streams.policy import MOST_EVENTS, Grade, Verdict
from tenantry.audit_logs.streams.store import StreamRow
from tenantry.audit_logs.streams.wire import (
    CreateAuditLogStream,
    Credential,
    Splunk,
    StreamType,
    UpdateAuditLogStream,
)
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
from tenantry.core.db import Database, Transaction
from tenantry.core.outgoing import Outcome
from tenantry.core.targets import TargetPolicy
from tenantry.organizations import service as organizations
from tenantry.organizations.wire import CreateOrganization

LEASE = 12_000
_SETTLE_SECONDS = 20.0
DAY = 24 * 60 * 60 * 1000
ROOMS: dict[Grade, int] = dict.fromkeys(delivery.GRADES, 8)
SPLUNK = Splunk(url="https://splunk.example", token=Credential("a-token"))


class Trail:
    """An organization with a stream, on a database whose clock stands still."""

    def __init__(self, database: Database, now: list[int]) -> None:
        self.database, self.now = database, now
        self.caller: Caller = caller_in(grant(database).environment_id)
        made = database.write(lambda tx: organizations.create(tx, self.caller, CreateOrganization(name="Acme")))
        self.organization_id: str = msgspec.json.decode(made)["id"]
        self.written = 0
        schema = CreateAuditLogSchema(targets=[AuditLogSchemaTarget(type="document")])
        self._do(lambda tx: audit_logs.create_schema(tx, self.caller, "document.opened", schema))
        self.stream_id = self.make()

    def _do(self, work: Callable[[Transaction], Any]) -> Any:
        return self.database.write(work)

    def make(self) -> str:
        body = CreateAuditLogStream(type=StreamType("Splunk"), splunk=SPLUNK, batch_seconds=5)
        made = self._do(lambda tx: service.create(tx, self.caller, self.organization_id, body, TargetPolicy()))
        identity: str = made.id
        return identity

    def write(self, count: int) -> None:
        """Write events and seal them: on PostgreSQL once no older transaction is under way, of any test."""
        self._do(lambda tx: self._write(tx, count))
        self.written += count
        trail = self.row().trail
        deadline = time.monotonic() + _SETTLE_SECONDS
        while self.database.read(lambda tx: store.select_end(tx, trail)) < self.written:
            assert time.monotonic() < deadline
            self._do(sealing.seal)

    def _write(self, tx: Transaction, count: int) -> None:
        for number in range(count):
            event = AuditLogEvent(
                action="document.opened",
                occurred_at=OccurredAt(tx.now),
                actor=AuditLogActor(id=f"user_{number}", type="user"),
                targets=[AuditLogTarget(id="document_1", type="document")],
                context=AuditLogContext(location="192.0.2.1"),
            )
            body = CreateAuditLogEvent(organization_id=self.organization_id, event=event)
            audit_logs.create_event(tx, self.caller, body)

    def claim(self) -> list[Parcel]:
        found: list[Parcel] = self._do(lambda tx: delivery.claim(tx, ROOMS, LEASE))
        return found

    def record(self, parcel: Parcel, verdict: Verdict, latency_ms: int = 5) -> None:
        answer = Answer(verdict, None if verdict == "taken" else "it answered 503")
        outcome = Outcome(200 if verdict == "taken" else 503, latency_ms)
        self._do(lambda tx: delivery.record(tx, Result(parcel, outcome, answer, 0.5)))

    def row(self) -> StreamRow:
        row = self.database.read(lambda tx: store.select_any_stream(tx, self.stream_id))
        assert row is not None
        return row


@pytest.fixture
def trail(database: Database, now: list[int]) -> Trail:
    return Trail(database, now)


def test_nothing_is_sent_while_nothing_was_written(trail: Trail) -> None:
    trail.now[0] += 60_000
    assert trail.claim() == []
    assert trail.row().due_at is None


def test_an_event_is_due_when_it_has_waited_for_others(trail: Trail) -> None:
    trail.now[0] += 60_000
    trail.claim()
    trail.write(1)
    assert trail.claim() == []
    assert trail.row().due_at == trail.now[0] + 5000
    trail.now[0] += 5000
    (parcel,) = trail.claim()
    assert (parcel.stream.position, parcel.end) == (0, 1)


def test_a_full_batch_does_not_wait(trail: Trail) -> None:
    trail.now[0] += 60_000
    trail.claim()
    trail.write(MOST_EVENTS + 1)
    (parcel,) = trail.claim()
    assert parcel.end == MOST_EVENTS


def test_while_one_process_sends_no_other_does_until_the_lease_ends(trail: Trail) -> None:
    trail.write(2)
    trail.now[0] += 5000
    (parcel,) = trail.claim()
    trail.write(3)
    assert trail.claim() == []
    trail.now[0] += LEASE - 1
    assert trail.claim() == []
    trail.now[0] += 1
    (again,) = trail.claim()
    assert (again.stream.position, again.end) == (0, parcel.end)


def test_what_a_process_says_late_of_a_batch_that_another_has_sent_counts_for_nothing(trail: Trail) -> None:
    trail.write(2)
    trail.now[0] += 5000
    (slow,) = trail.claim()
    trail.now[0] += LEASE
    (other,) = trail.claim()
    trail.record(other, "taken")
    trail.record(slow, "failed")
    row = trail.row()
    assert (row.position, row.failures, row.batch_end) == (2, 0, None)


def test_what_was_written_meanwhile_is_due_after_the_batch(trail: Trail) -> None:
    trail.write(1)
    trail.now[0] += 5000
    (parcel,) = trail.claim()
    trail.write(1)
    trail.record(parcel, "taken")
    assert trail.row().due_at == trail.now[0] + 5000
    trail.now[0] += 5000
    (rest,) = trail.claim()
    assert (rest.stream.position, rest.end) == (1, 2)
    trail.record(rest, "taken")
    assert trail.row().due_at is None


def test_a_failure_puts_the_batch_off_ever_longer_and_success_forgets_it(trail: Trail) -> None:
    trail.write(1)
    trail.now[0] += 5000
    waits = []
    for _ in range(4):
        (parcel,) = trail.claim()
        trail.record(parcel, "failed")
        due = trail.row().due_at
        assert due is not None
        waits.append((due - trail.now[0]) / 1000)
        trail.now[0] = due
    assert waits == [0.75, 1.5, 3.0, 6.0]
    assert (trail.row().state, trail.row().last_error) == ("error", "it answered 503")
    (parcel,) = trail.claim()
    trail.record(parcel, "taken")
    row = trail.row()
    assert (row.state, row.failures, row.last_error, row.position) == ("active", 0, None, 1)
    assert row.last_synced_at is not None


def test_how_a_batch_went_says_among_whom_a_stream_stands_next(trail: Trail) -> None:
    trail.write(1)
    trail.now[0] += 5000
    grades: list[Grade] = []
    for verdict, latency in (("failed", 5), ("taken", 1500)):
        (parcel,) = trail.claim()
        trail.record(parcel, verdict, latency)  # type: ignore[arg-type]
        grades.append(trail.row().grade)
        trail.now[0] += 60_000
    trail.write(1)
    trail.now[0] += 5000
    (parcel,) = trail.claim()
    trail.record(parcel, "taken")
    assert [*grades, trail.row().grade] == ["failing", "slow", "quick"]


def test_a_failure_of_what_was_set_up_before_counts_for_nothing(trail: Trail) -> None:
    trail.write(1)
    trail.now[0] += 5000
    (parcel,) = trail.claim()
    trail.now[0] += 1
    new = UpdateAuditLogStream(splunk=msgspec.structs.replace(SPLUNK, token=Credential("another-token")))
    trail.database.write(lambda tx: service.update(tx, trail.caller, trail.stream_id, new, TargetPolicy()))
    trail.record(parcel, "refused")
    row = trail.row()
    assert (row.state, row.failures, row.due_at) == ("active", 0, trail.now[0])


def test_a_stream_that_is_switched_off_meanwhile_stays_off_and_keeps_what_was_taken(trail: Trail) -> None:
    trail.write(1)
    trail.now[0] += 5000
    (parcel,) = trail.claim()
    off = UpdateAuditLogStream(state="inactive")
    trail.database.write(lambda tx: service.update(tx, trail.caller, trail.stream_id, off, TargetPolicy()))
    trail.write(1)
    trail.record(parcel, "taken")
    row = trail.row()
    assert (row.state, row.position, row.due_at) == ("inactive", 1, None)


def test_a_stream_that_is_deleted_meanwhile_is_no_more(trail: Trail) -> None:
    trail.write(1)
    trail.now[0] += 5000
    (parcel,) = trail.claim()
    trail.database.write(lambda tx: service.delete(tx, trail.caller, trail.stream_id))
    trail.record(parcel, "taken")
    assert trail.database.read(lambda tx: store.select_any_stream(tx, trail.stream_id)) is None


def test_what_retention_has_removed_is_passed_over(trail: Trail) -> None:
    trail.write(2)
    trail.now[0] += 5000
    (parcel,) = trail.claim()
    trail.record(parcel, "failed")
    short = SetAuditLogsRetention(retention_period_in_days=30)
    trail.database.write(lambda tx: audit_logs.set_retention(tx, trail.caller, trail.organization_id, short))
    trail.now[0] += 31 * DAY
    while trail.database.write(lambda tx: audit_logs.prune(tx, None)):
        pass
    trail.write(1)
    (again,) = trail.claim()
    assert (again.stream.position, again.end) == (0, 2)
    assert trail.database.read(lambda tx: delivery.events_of(tx, again, 0, 2)) == []
    trail.database.write(lambda tx: delivery.record(tx, Result(again, None, None, 0.5)))
    row = trail.row()
    assert (row.position, row.last_synced_at, row.failures) == (2, None, 1)
    trail.now[0] += 5000
    (rest,) = trail.claim()
    events = trail.database.read(lambda tx: delivery.events_of(tx, rest, 2, 3))
    assert [msgspec.json.decode(event)["actor"]["id"] for event in events] == ["user_0"]


def test_a_new_stream_begins_after_what_is_there(trail: Trail) -> None:
    trail.write(3)
    later = trail.make()
    row = trail.database.read(lambda tx: store.select_any_stream(tx, later))
    assert row is not None
    assert row.position == 3


def test_streams_of_each_grade_are_claimed_up_to_their_own_room(trail: Trail) -> None:
    for _ in range(4):
        trail.make()
    trail.write(1)
    trail.now[0] += 5000
    rooms: dict[Grade, int] = {"quick": 8, "untried": 2}
    first = trail.database.write(lambda tx: delivery.claim(tx, rooms, LEASE))
    second = trail.database.write(lambda tx: delivery.claim(tx, rooms, LEASE))
    assert (len(first), len(second)) == (2, 2)
    assert not {each.stream.id for each in first} & {each.stream.id for each in second}
