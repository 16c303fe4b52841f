"""Rows of exports, and of the parts of their files."""

from typing import Literal, LiteralString

import msgspec

from tenantry.audit_logs.wire import ExportState
from tenantry.core.db import Transaction

Kind = Literal["csv", "ndjson", "chain"]
"""What a file is made of: rows, lines of the events that a filter finds, or those of the whole chain."""


class ExportRow(msgspec.Struct, frozen=True, kw_only=True):
    """One export. `filter` is JSON; `place` is up to where it is made, in `steps` steps; times are milliseconds.

    `next_at` is when it is to be worked at next while it is pending, and when it expires after that.
    """

    environment_id: str
    id: str
    organization_id: str
    trail: int | None
    format: Kind
    filter: bytes
    secret: str
    state: ExportState
    place: str | None
    steps: int
    attempts: int
    next_at: int
    created_at: str
    updated_at: str


_COLUMNS: LiteralString = (
    "environment_id, id, organization_id, trail, format, filter, secret, state, place, steps, attempts, next_at,"
    " created_at, updated_at"
)
_LOCK: dict[str, LiteralString] = {"sqlite": "", "postgres": " FOR UPDATE SKIP LOCKED"}


def _export(row: tuple[object, ...]) -> ExportRow:
    return msgspec.convert(dict(zip(ExportRow.__struct_fields__, row, strict=True)), ExportRow)


def insert_export(tx: Transaction, row: ExportRow) -> None:
    """Add one export."""
    tx.run(
        "INSERT INTO audit_log_exports (" + _COLUMNS + ")"
        " VALUES (:environment_id, :id, :organization_id, :trail, :format, :filter, :secret, :state, :place,"
        " :steps, :attempts, :next_at, :created_at, :updated_at)",
        **msgspec.structs.asdict(row),
    )


def select_export(tx: Transaction, environment_id: str, export_id: str) -> ExportRow | None:
    """Return one export."""
    row = tx.one(
        "SELECT " + _COLUMNS + " FROM audit_log_exports WHERE id = :id AND environment_id = :environment_id",
        id=export_id,
        environment_id=environment_id,
    )
    return _export(row) if row else None


def select_export_of_any(tx: Transaction, export_id: str) -> ExportRow | None:
    """Return one export, whichever environment it is of: for whoever has a link."""
    row = tx.one("SELECT " + _COLUMNS + " FROM audit_log_exports WHERE id = :id", id=export_id)
    return _export(row) if row else None


def has_pending(tx: Transaction) -> bool:
    """Return whether an export is not made yet, be it due or not."""
    return tx.one("SELECT 1 FROM audit_log_exports WHERE state = 'pending' LIMIT 1") is not None


def has_due(tx: Transaction) -> bool:
    """Return whether a pending export is to be worked at now."""
    return (
        tx.one(
            "SELECT 1 FROM audit_log_exports WHERE state = 'pending' AND next_at <= :now ORDER BY next_at LIMIT 1",
            now=tx.milliseconds,
        )
        is not None
    )


def lock_due(tx: Transaction) -> ExportRow | None:
    """Return the pending export that has waited the longest, for this transaction alone."""
    sql: LiteralString = (
        "SELECT " + _COLUMNS + " FROM audit_log_exports WHERE state = 'pending' AND next_at <= :now"
        " ORDER BY next_at LIMIT 1" + _LOCK[tx.engine]
    )
    row = tx.one(sql, now=tx.milliseconds)
    return _export(row) if row else None


def update_claimed(tx: Transaction, export_id: str, lease_until: int) -> None:
    """Count one more attempt at an export's next step, to be made again at the end of the lease."""
    tx.run(
        "UPDATE audit_log_exports SET attempts = attempts + 1, next_at = :lease_until WHERE id = :id",
        id=export_id,
        lease_until=lease_until,
    )


def update_failed(tx: Transaction, export_id: str, steps: int, next_at: int) -> None:
    """Try an export's next step again at that time, unless another has made it."""
    tx.run(
        "UPDATE audit_log_exports SET next_at = :next_at WHERE id = :id AND steps = :steps AND state = 'pending'",
        id=export_id,
        steps=steps,
        next_at=next_at,
    )


def update_made(
    tx: Transaction, export_id: str, steps: int, *, place: str | None, state: ExportState, next_at: int
) -> bool:
    """Write that a step is made which `steps` were before; return False where another made it."""
    changed = tx.run(
        "UPDATE audit_log_exports SET place = :place, steps = steps + 1, attempts = 0, state = :state,"
        " next_at = :next_at, updated_at = :now WHERE id = :id AND steps = :steps AND state = 'pending'",
        id=export_id,
        steps=steps,
        place=place,
        state=state,
        next_at=next_at,
        now=tx.now,
    )
    return changed == 1


def update_state(tx: Transaction, export_id: str, state: ExportState, next_at: int) -> None:
    """Write an export's state, and when it comes to the next one."""
    tx.run(
        "UPDATE audit_log_exports SET state = :state, next_at = :next_at, updated_at = :now WHERE id = :id",
        id=export_id,
        state=state,
        next_at=next_at,
        now=tx.now,
    )


def insert_part(tx: Transaction, export_id: str, number: int, content: bytes) -> None:
    """Add one part of a file."""
    tx.run(
        "INSERT INTO audit_log_export_parts (export_id, number, content) VALUES (:export_id, :number, :content)",
        export_id=export_id,
        number=number,
        content=content,
    )


def select_part_past(tx: Transaction, export_id: str, number: int) -> tuple[int, bytes] | None:
    """Return number and content of a file's first part past `number`."""
    row = tx.one(
        "SELECT number, content FROM audit_log_export_parts WHERE export_id = :export_id AND number > :number"
        " ORDER BY number LIMIT 1",
        export_id=export_id,
        number=number,
    )
    return (row[0], row[1]) if row else None


def lock_past(tx: Transaction, state: ExportState) -> ExportRow | None:
    """Return an export whose time in a state is over, for this transaction alone."""
    sql: LiteralString = (
        "SELECT " + _COLUMNS + " FROM audit_log_exports WHERE state = :state AND next_at <= :now"
        " ORDER BY next_at LIMIT 1" + _LOCK[tx.engine]
    )
    row = tx.one(sql, state=state, now=tx.milliseconds)
    return _export(row) if row else None


def update_next(tx: Transaction, export_id: str, next_at: int) -> None:
    """Write when an export comes to what is next, and nothing else."""
    tx.run("UPDATE audit_log_exports SET next_at = :next_at WHERE id = :id", id=export_id, next_at=next_at)


def delete_parts(tx: Transaction, export_id: str, most: int) -> int:
    """Delete up to `most` parts of a file; return how many."""
    return tx.run(
        "DELETE FROM audit_log_export_parts WHERE export_id = :export_id AND number IN"
        " (SELECT number FROM audit_log_export_parts WHERE export_id = :export_id ORDER BY number LIMIT :most)",
        export_id=export_id,
        most=most,
    )


def delete_export(tx: Transaction, export_id: str) -> None:
    """Remove an export, whose parts are gone."""
    tx.run("DELETE FROM audit_log_exports WHERE id = :id", id=export_id)
