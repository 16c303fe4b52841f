"""Rows of log streams, and of a trail's events in the order of its chain."""

from typing import LiteralString

import msgspec

from tenantry.audit_logs.streams.policy import Grade, State
from tenantry.core.db import Row, Transaction
from tenantry.core.page import Bounds, behind, walk, walked


class StreamRow(msgspec.Struct, frozen=True, kw_only=True):
    """One stream's row. Times are milliseconds where they are numbers; `test` is JSON."""

    id: str
    environment_id: str
    organization_id: str
    trail: int
    type: str
    destination: bytes
    batch_seconds: int
    state: State
    position: int
    batch_end: int | None
    due_at: int | None
    grade: Grade
    failures: int
    last_error: str | None
    last_synced_at: str | None
    test: str | None
    test_due_at: int | None
    created_at: str
    updated_at: str


_COLUMNS: LiteralString = (
    "id, environment_id, organization_id, trail, type, destination, batch_seconds, state, position, batch_end,"
    " due_at, grade, failures, last_error, last_synced_at, test, test_due_at, created_at, updated_at"
)
_SELECT: LiteralString = "SELECT " + _COLUMNS + " FROM audit_log_streams"
_LOCK: dict[str, LiteralString] = {"sqlite": "", "postgres": " FOR UPDATE SKIP LOCKED"}


def _stream(row: Row) -> StreamRow:
    return msgspec.convert(dict(zip(StreamRow.__struct_fields__, row, strict=True)), StreamRow)


def insert_stream(tx: Transaction, row: StreamRow) -> None:
    """Add one stream."""
    tx.run(
        "INSERT INTO audit_log_streams (" + _COLUMNS + ")"
        " VALUES (:id, :environment_id, :organization_id, :trail, :type, :destination, :batch_seconds, :state,"
        " :position, :batch_end, :due_at, :grade, :failures, :last_error, :last_synced_at, :test, :test_due_at,"
        " :created_at, :updated_at)",
        **msgspec.structs.asdict(row),
    )


def update_stream(tx: Transaction, row: StreamRow) -> None:
    """Write everything of `row` that can change over the stream with its id."""
    values = msgspec.structs.asdict(row)
    for name in ("environment_id", "organization_id", "trail", "type", "created_at"):
        del values[name]
    tx.run(
        "UPDATE audit_log_streams SET destination = :destination, batch_seconds = :batch_seconds, state = :state,"
        " position = :position, batch_end = :batch_end, due_at = :due_at, grade = :grade, failures = :failures,"
        " last_error = :last_error, last_synced_at = :last_synced_at, test = :test, test_due_at = :test_due_at,"
        " updated_at = :updated_at WHERE id = :id",
        **values,
    )


def delete_stream(tx: Transaction, environment_id: str, stream_id: str) -> int:
    """Remove one stream; return how many there were."""
    return tx.run(
        "DELETE FROM audit_log_streams WHERE environment_id = :environment_id AND id = :id",
        environment_id=environment_id,
        id=stream_id,
    )


def select_stream(tx: Transaction, environment_id: str, stream_id: str) -> StreamRow | None:
    """Return one stream of an environment."""
    row = tx.one(
        _SELECT + " WHERE environment_id = :environment_id AND id = :id",
        environment_id=environment_id,
        id=stream_id,
    )
    return _stream(row) if row else None


def select_any_stream(tx: Transaction, stream_id: str) -> StreamRow | None:
    """Return one stream, whose ever it is."""
    row = tx.one(_SELECT + " WHERE id = :id", id=stream_id)
    return _stream(row) if row else None


_OF_ORGANIZATION: LiteralString = " WHERE environment_id = :environment_id AND organization_id = :organization_id"


def select_streams(tx: Transaction, environment_id: str, organization_id: str, limits: Bounds) -> list[StreamRow]:
    """Return an organization's streams within `limits`, in walking order, and one more if there is one."""
    sql: LiteralString = _SELECT + _OF_ORGANIZATION + walk(limits)
    rows = tx.all(sql, environment_id=environment_id, organization_id=organization_id, **walked(limits))
    return [_stream(row) for row in rows]


def has_stream_behind(
    tx: Transaction, environment_id: str, organization_id: str, limits: Bounds, first: str
) -> bool:
    """Return whether there are streams on the other side of `first` than the one `limits` walks to."""
    sql: LiteralString = "SELECT 1 FROM audit_log_streams" + _OF_ORGANIZATION + behind(limits)
    return tx.one(sql, environment_id=environment_id, organization_id=organization_id, first=first) is not None


def count_streams(tx: Transaction, environment_id: str, organization_id: str) -> int:
    """Return how many streams an organization has."""
    sql: LiteralString = "SELECT COUNT(*) FROM audit_log_streams" + _OF_ORGANIZATION
    row = tx.one(sql, environment_id=environment_id, organization_id=organization_id)
    assert row is not None
    count: int = row[0]
    return count


def select_shown(tx: Transaction, environment_id: str, organization_id: str) -> StreamRow | None:
    """Return the oldest stream of an organization that is switched on, or else the oldest."""
    sql: LiteralString = (
        _SELECT + _OF_ORGANIZATION + " ORDER BY CASE WHEN state = 'inactive' THEN 1 ELSE 0 END, id LIMIT 1"
    )
    row = tx.one(sql, environment_id=environment_id, organization_id=organization_id)
    return _stream(row) if row else None


def select_of_trails(tx: Transaction, trails: list[int]) -> list[StreamRow]:
    """Return the streams of trails (at least one) that are switched on."""
    return [
        _stream(row) for row in tx.all(_SELECT + " WHERE trail IN :trails AND state <> 'inactive'", trails=trails)
    ]


def set_due(tx: Transaction, stream_id: str, due_at: int | None) -> None:
    """Write when a stream sends next.

    On PostgreSQL the row counts as changed even if nothing is: whoever changes it at the same
    time is refused and looks again.
    """
    tx.run("UPDATE audit_log_streams SET due_at = :due_at WHERE id = :id", due_at=due_at, id=stream_id)


def lock_due(tx: Transaction, grade: Grade, most: int) -> list[StreamRow]:
    """Return up to `most` streams of a grade that are due, the longest due first, for this transaction alone."""
    sql: LiteralString = (
        _SELECT + " WHERE grade = :grade AND due_at <= :now ORDER BY due_at LIMIT :most" + _LOCK[tx.engine]
    )
    return [_stream(row) for row in tx.all(sql, grade=grade, now=tx.milliseconds, most=most)]


def lock_to_test(tx: Transaction, most: int) -> list[StreamRow]:
    """Return up to `most` streams that are to be tested, for this transaction alone."""
    sql: LiteralString = _SELECT + " WHERE test_due_at <= :now ORDER BY test_due_at LIMIT :most" + _LOCK[tx.engine]
    return [_stream(row) for row in tx.all(sql, now=tx.milliseconds, most=most)]


def is_due(tx: Transaction, grade: Grade) -> bool:
    """Return whether a stream of a grade is due."""
    row = tx.one(
        "SELECT 1 FROM audit_log_streams WHERE grade = :grade AND due_at <= :now ORDER BY due_at LIMIT 1",
        grade=grade,
        now=tx.milliseconds,
    )
    return row is not None


def is_to_test(tx: Transaction) -> bool:
    """Return whether a stream is to be tested now."""
    row = tx.one(
        "SELECT 1 FROM audit_log_streams WHERE test_due_at <= :now ORDER BY test_due_at LIMIT 1",
        now=tx.milliseconds,
    )
    return row is not None


def select_next_due(tx: Transaction) -> int | None:
    """Return when something is due next, in milliseconds; None when nothing is. Looks at all that is."""
    row = tx.one(
        "SELECT MIN(due) FROM (SELECT due_at AS due FROM audit_log_streams WHERE due_at IS NOT NULL"
        " UNION ALL SELECT test_due_at AS due FROM audit_log_streams WHERE test_due_at IS NOT NULL) AS all_due"
    )
    return row[0] if row else None


def select_end(tx: Transaction, trail: int) -> int:
    """Return the sequence of the last event of a trail's chain; 0 before the first."""
    row = tx.one("SELECT sequence FROM audit_log_chains WHERE trail = :trail", trail=trail)
    return row[0] if row else 0


def select_sizes(tx: Transaction, trail: int, after: int, most: int) -> list[tuple[int, int]]:
    """Return sequence and bytes of the first `most` events of a trail past `after`; no bytes for a removed one."""
    rows = tx.all(
        "SELECT s.sequence, LENGTH(e.wire) FROM audit_log_seals s"
        " LEFT JOIN audit_log_events e ON e.position = s.position AND e.occurred_at = s.occurred_at"
        " WHERE s.trail = :trail AND s.sequence > :after ORDER BY s.sequence LIMIT :most",
        trail=trail,
        after=after,
        most=most,
    )
    return [(row[0], row[1] or 0) for row in rows]


def select_events(tx: Transaction, trail: int, after: int, end: int) -> list[bytes]:
    """Return the JSON of a trail's events past the sequence `after` up to `end`, in order, but of removed ones."""
    rows = tx.all(
        "SELECT e.wire FROM audit_log_seals s"
        " JOIN audit_log_events e ON e.position = s.position AND e.occurred_at = s.occurred_at"
        " WHERE s.trail = :trail AND s.sequence > :after AND s.sequence <= :end ORDER BY s.sequence",
        trail=trail,
        after=after,
        end=end,
    )
    return [row[0] for row in rows]
