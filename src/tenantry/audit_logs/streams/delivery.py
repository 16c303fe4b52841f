"""The rules of sending, given a transaction: which batch of which stream is due, and what came of it.

A stream's place moves only when its receiver has taken the batch, and the batch is fixed before it
is first sent. So whatever dies at whatever point, each event is sent at least once, and what is
sent again is the very same batch.
"""

from collections.abc import Mapping
from typing import get_args

import msgspec

from tenantry.audit_logs.streams import store
from tenantry.audit_logs.streams.batches import Answer, Batch
from tenantry.audit_logs.streams.policy import (
    MOST_EVENTS,
    Grade,
    batch_end,
    due_at,
    grade_after,
    retry_wait,
    state_after,
)
from tenantry.audit_logs.streams.store import StreamRow
from tenantry.audit_logs.streams.wire import StreamTest
from tenantry.core.clock import timestamp
from tenantry.core.db import Transaction
from tenantry.core.outgoing import Outcome
from tenantry.core.retry import retry_after_seconds

GRADES: tuple[Grade, ...] = get_args(Grade)


class Parcel(msgspec.Struct, frozen=True):
    """A batch that was claimed: the stream as it was then, and the sequence with which the batch ends.

    `end` is None for a test.
    """

    stream: StreamRow
    end: int | None


class Result(msgspec.Struct, frozen=True):
    """What came of a parcel, and `chance` in [0, 1) that spreads its next attempt.

    `outcome` and `answer` are None where retention had removed all events of the batch: nothing was sent.
    """

    parcel: Parcel
    outcome: Outcome | None
    answer: Answer | None
    chance: float


class Waiting(msgspec.Struct, frozen=True):
    """What there is to do: the grades of which streams are due, and whether one is to be tested."""

    grades: list[Grade]
    tests: bool


def waiting(tx: Transaction) -> Waiting:
    """Return what there is to do. Changes nothing."""
    return Waiting([grade for grade in GRADES if store.is_due(tx, grade)], store.is_to_test(tx))


def next_due(tx: Transaction) -> int | None:
    """Return when the next batch or test is due, in milliseconds; None when nothing is. Looks at all that is."""
    return store.select_next_due(tx)


def wake(tx: Transaction, ends: Mapping[int, int]) -> None:
    """Note up to which sequence the chains of trails (at least one) go now: their streams have to send."""
    for stream in store.select_of_trails(tx, list(ends)):
        due = stream.due_at
        if stream.batch_end is None:
            wanted = due_at(ends[stream.trail] - stream.position, stream.batch_seconds, tx.milliseconds)
            due = min((each for each in (due, wanted) if each is not None), default=None)
        store.set_due(tx, stream.id, due)


def claim(tx: Transaction, rooms: Mapping[Grade, int], lease_milliseconds: int) -> list[Parcel]:
    """Take the next batches of up to `rooms[grade]` due streams of each grade for the length of the lease."""
    parcels = []
    for grade, room in rooms.items():
        for stream in store.lock_due(tx, grade, room):
            end = stream.batch_end or _next_end(tx, stream)
            due = tx.milliseconds + lease_milliseconds if end else None
            store.update_stream(tx, msgspec.structs.replace(stream, batch_end=end, due_at=due))
            if end:
                parcels.append(Parcel(stream, end))
    return parcels


def _next_end(tx: Transaction, stream: StreamRow) -> int | None:
    sizes = store.select_sizes(tx, stream.trail, stream.position, MOST_EVENTS)
    return batch_end(sizes) if sizes else None


def claim_tests(tx: Transaction, room: int, lease_milliseconds: int) -> list[Parcel]:
    """Take up to `room` streams that are to be tested, for the length of the lease."""
    streams = store.lock_to_test(tx, room)
    for stream in streams:
        leased = msgspec.structs.replace(stream, test_due_at=tx.milliseconds + lease_milliseconds)
        store.update_stream(tx, leased)
    return [Parcel(stream, None) for stream in streams]


def events_of(tx: Transaction, parcel: Parcel, after: int, end: int) -> list[bytes]:
    """Return the events of a parcel's stream past the sequence `after` up to `end`, but those removed since."""
    return store.select_events(tx, parcel.stream.trail, after, end)


def batch_of(parcel: Parcel, events: list[bytes]) -> Batch:
    """Return a parcel's batch, of its events."""
    assert parcel.end is not None
    return Batch(
        stream_id=parcel.stream.id,
        organization_id=parcel.stream.organization_id,
        first=parcel.stream.position + 1,
        last=parcel.end,
        events=events,
    )


def test_batch(stream: StreamRow, milliseconds: int) -> Batch:
    """Return a batch of one event that stands for nothing: its action says so."""
    now = timestamp(milliseconds)
    event = {
        "object": "audit_log_event",
        "id": "audit_log_event_00000000000000000000000000",
        "organization_id": stream.organization_id,
        "action": "tenantry.stream_test",
        "version": 1,
        "occurred_at": now,
        "created_at": now,
        "actor": {"id": "tenantry", "type": "system", "name": "Tenantry"},
        "targets": [{"id": stream.id, "type": "audit_log_stream"}],
        "context": {"location": "tenantry"},
    }
    return Batch(
        stream_id=stream.id,
        organization_id=stream.organization_id,
        first=0,
        last=0,
        events=[msgspec.json.encode(event)],
        is_test=True,
    )


def record(tx: Transaction, result: Result) -> None:
    """Keep what came of a batch or a test: the place moves on, or the batch is due again some time later."""
    claimed = result.parcel.stream
    stream = store.select_any_stream(tx, claimed.id)
    if stream is None:
        return
    if result.parcel.end is None:
        store.update_stream(tx, _after_test(tx, stream, result))
    elif (stream.position, stream.batch_end) == (claimed.position, result.parcel.end):
        # Else the lease had ended, and another process has sent the batch since.
        store.update_stream(tx, _after_batch(tx, stream, result, result.parcel.end))


def _after_batch(tx: Transaction, stream: StreamRow, result: Result, end: int) -> StreamRow:
    answer, outcome = result.answer, result.outcome
    if answer is None or outcome is None:
        return _moved(tx, stream, end)
    if answer.verdict == "taken":
        well = msgspec.structs.replace(
            stream,
            state=state_after(stream.state, "taken", 0),
            failures=0,
            last_error=None,
            last_synced_at=tx.now,
            grade=grade_after("taken", outcome.latency_ms, 0),
        )
        return _moved(tx, well, end)
    if stream.updated_at != result.parcel.stream.updated_at:
        # What has failed is not how it is set up now.
        return msgspec.structs.replace(stream, due_at=_unless_inactive(stream, tx.milliseconds))
    if answer.verdict == "too_large" and end - stream.position > 1:
        half = stream.position + (end - stream.position) // 2
        return msgspec.structs.replace(stream, batch_end=half, due_at=_unless_inactive(stream, tx.milliseconds))
    failures = stream.failures + 1
    asked = retry_after_seconds(outcome.retry_after, tx.milliseconds)
    wait = round(retry_wait(failures, result.chance, asked) * 1000)
    return msgspec.structs.replace(
        stream,
        state=state_after(stream.state, answer.verdict, failures),
        failures=failures,
        last_error=answer.error,
        grade=grade_after(answer.verdict, outcome.latency_ms, failures),
        due_at=_unless_inactive(stream, tx.milliseconds + wait),
    )


def _moved(tx: Transaction, stream: StreamRow, end: int) -> StreamRow:
    pending = store.select_end(tx, stream.trail) - end
    due = due_at(pending, stream.batch_seconds, tx.milliseconds)
    return msgspec.structs.replace(stream, position=end, batch_end=None, due_at=_unless_inactive(stream, due))


def _unless_inactive(stream: StreamRow, due: int | None) -> int | None:
    return None if stream.state == "inactive" else due


def _after_test(tx: Transaction, stream: StreamRow, result: Result) -> StreamRow:
    assert result.answer is not None, "a test is always sent"
    taken = result.answer.verdict == "taken"
    test = StreamTest(
        state="taken" if taken else "failed",
        error=result.answer.error,
        requested_at=_requested_at(stream),
        ended_at=tx.now,
    )
    # A receiver that takes a test takes what waits for it too.
    due = tx.milliseconds if taken and stream.failures and stream.state != "inactive" else stream.due_at
    encoded = msgspec.json.encode(test).decode()
    return msgspec.structs.replace(stream, test=encoded, test_due_at=None, due_at=due)


def _requested_at(stream: StreamRow) -> str:
    """Return when a stream's test was asked for."""
    assert stream.test is not None, "it was asked for"
    return msgspec.json.decode(stream.test, type=StreamTest).requested_at
