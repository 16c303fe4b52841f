"""Rows of audit logs: actions and their schemas, events and their targets, and one trail an organization."""

from typing import LiteralString, NamedTuple

import msgspec

from tenantry.core.db import Insertion, Transaction
from tenantry.core.page import Bounds, behind, walk, walked
from tenantry.organizations import service as organizations


class SchemaRow(msgspec.Struct, frozen=True, kw_only=True):
    """One version of an action's schema. `wire` is the whole object as JSON."""

    id: str
    action: str
    version: int
    wire: bytes


class ActionRow(msgspec.Struct, frozen=True):
    """One action with the JSON of its newest schema."""

    id: str
    name: str
    created_at: str
    updated_at: str
    schema: bytes


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """One event. `wire` is the whole of it as canonical JSON, a KeptAuditLogEvent."""

    trail: int
    id: str
    occurred_at: str
    action: str
    version: int
    actor_type: str
    actor_id: str
    created_at: str
    wire: bytes


class TrailRow(msgspec.Struct, frozen=True):
    """An organization's trail, and how long its events are kept; None while nothing was set."""

    number: int
    environment_id: str
    organization_id: str
    retention_days: int | None


def insert_version(tx: Transaction, environment_id: str, action: str) -> int:
    """Count one more version of an action, which is made if there is none; return the version.

    Whoever does it at the same time waits for the other's commit, so no version is given twice.
    """
    row = tx.one(
        "INSERT INTO audit_log_actions (environment_id, name, id, version, created_at, updated_at)"
        " VALUES (:environment_id, :name, :id, 1, :now, :now)"
        " ON CONFLICT (environment_id, name) DO UPDATE"
        " SET version = audit_log_actions.version + 1, updated_at = excluded.updated_at"
        " RETURNING version",
        environment_id=environment_id,
        name=action,
        id=tx.new_id("ala"),
        now=tx.now,
    )
    assert row is not None
    version: int = row[0]
    return version


def insert_schema(tx: Transaction, environment_id: str, row: SchemaRow) -> None:
    """Add one version of an action's schema."""
    tx.run(
        "INSERT INTO audit_log_schemas (environment_id, id, action, version, wire)"
        " VALUES (:environment_id, :id, :action, :version, :wire)",
        environment_id=environment_id,
        **msgspec.structs.asdict(row),
    )


def select_schema(tx: Transaction, environment_id: str, action: str) -> tuple[int, bytes] | None:
    """Return version and JSON of an action's newest schema."""
    row = tx.one(
        "SELECT version, wire FROM audit_log_schemas"
        " WHERE environment_id = :environment_id AND action = :action ORDER BY version DESC LIMIT 1",
        environment_id=environment_id,
        action=action,
    )
    return (row[0], row[1]) if row else None


def select_schema_version(tx: Transaction, environment_id: str, action: str, version: int) -> bytes | None:
    """Return the JSON of one version of an action's schema."""
    row = tx.one(
        "SELECT wire FROM audit_log_schemas"
        " WHERE environment_id = :environment_id AND action = :action AND version = :version",
        environment_id=environment_id,
        action=action,
        version=version,
    )
    return row[0] if row else None


def select_schemas(tx: Transaction, environment_id: str, action: str, limits: Bounds) -> list[tuple[str, bytes]]:
    """Return id and JSON of an action's schemas within `limits`, in walking order, and one more if there is."""
    sql: LiteralString = (
        "SELECT id, wire FROM audit_log_schemas WHERE environment_id = :environment_id AND action = :action"
    )
    rows = tx.all(sql + walk(limits), environment_id=environment_id, action=action, **walked(limits))
    return [(row[0], row[1]) for row in rows]


def has_schema_behind(tx: Transaction, environment_id: str, action: str, limits: Bounds, first: str) -> bool:
    """Return whether there are schemas on the other side of `first` than the one `limits` walks to."""
    sql: LiteralString = (
        "SELECT 1 FROM audit_log_schemas WHERE environment_id = :environment_id AND action = :action"
    )
    row = tx.one(sql + behind(limits), environment_id=environment_id, action=action, first=first)
    return row is not None


def select_actions(tx: Transaction, environment_id: str, limits: Bounds) -> list[ActionRow]:
    """Return the actions within `limits`, in walking order, and one more if there is one."""
    sql: LiteralString = (
        "SELECT id, name, created_at, updated_at, (SELECT wire FROM audit_log_schemas s"
        "  WHERE s.environment_id = a.environment_id AND s.action = a.name AND s.version = a.version)"
        " FROM audit_log_actions a WHERE environment_id = :environment_id"
    )
    rows = tx.all(sql + walk(limits), environment_id=environment_id, **walked(limits))
    return [ActionRow(*row) for row in rows]


def has_action_behind(tx: Transaction, environment_id: str, limits: Bounds, first: str) -> bool:
    """Return whether there are actions on the other side of `first` than the one `limits` walks to."""
    sql: LiteralString = "SELECT 1 FROM audit_log_actions WHERE environment_id = :environment_id"
    return tx.one(sql + behind(limits), environment_id=environment_id, first=first) is not None


class Standing(NamedTuple):
    """What an event is checked by: its organization, its trail if there is one, its action's newest schema."""

    has_organization: bool
    trail: int | None
    retention_days: int | None
    version: int | None
    schema_id: str | None


def select_standing(tx: Transaction, environment_id: str, organization_id: str, action: str) -> Standing:
    """Return what an event of an action is checked by. There is no such action if `version` is None."""
    row = tx.one_in_place(
        "SELECT " + organizations.EXISTS + ", t.number, t.retention_days, s.version, s.id FROM (SELECT 1) one"
        " LEFT JOIN audit_log_trails t"
        " ON t.environment_id = :environment_id AND t.organization_id = :organization_id"
        " LEFT JOIN audit_log_actions a ON a.environment_id = :environment_id AND a.name = :action"
        " LEFT JOIN audit_log_schemas s"
        " ON s.environment_id = a.environment_id AND s.action = a.name AND s.version = a.version",
        environment_id=environment_id,
        organization_id=organization_id,
        action=action,
    )
    assert row is not None
    return Standing(*row)


_EVENT: LiteralString = (
    "trail bigint, id text, occurred_at text, action text, version integer, actor_type text, actor_id text,"
    " created_at text, wire bytea"
)
_PLACED_EVENTS = Insertion("audit_log_events", "position bigint, " + _EVENT, leads=True)
_PLACED_TARGETS = Insertion(
    "audit_log_targets",
    "trail bigint, target_id text, occurred_at text, position bigint, target_type text",
)
_INSERT_AT_ONCE: LiteralString = (
    "WITH made AS (" + Insertion("audit_log_events", _EVENT).one + " RETURNING position)"
    " INSERT INTO audit_log_targets (trail, target_id, occurred_at, position, target_type)"
    " SELECT :trail, t.target_id, :occurred_at, made.position, t.target_type"
    " FROM made,"
    " unnest(CAST(:target_ids AS TEXT[]), CAST(:target_types AS TEXT[])) t (target_id, target_type)"
)


def insert_event(tx: Transaction, row: EventRow, targets: set[tuple[str, str]]) -> None:
    """Add one event with its targets, each an id and a type."""
    insert = _insert_placed if tx.engine == "sqlite" else _insert_at_once
    insert(tx, row, targets)


def _insert_placed(tx: Transaction, row: EventRow, targets: set[tuple[str, str]]) -> None:
    """Add one event and its targets, which the events of other requests then need not wait for."""
    position = _next_position(tx)
    tx.insert(_PLACED_EVENTS, (position, *msgspec.structs.astuple(row)))
    for target_id, target_type in targets:
        tx.insert(_PLACED_TARGETS, (row.trail, target_id, row.occurred_at, position, target_type))


def _next_position(tx: Transaction) -> int:
    """Return the position past all that an event ever had; requests that share a transaction look once."""
    last: int | None = tx.known.get(_next_position) if tx.known is not None else None
    if last is None:
        found = tx.one("SELECT seq FROM sqlite_sequence WHERE name = 'audit_log_events'")
        last = found[0] if found else 0
    if tx.known is not None:
        tx.known[_next_position] = last + 1
    return last + 1


def _insert_at_once(tx: Transaction, row: EventRow, targets: set[tuple[str, str]]) -> None:
    """Add one event and its targets by one statement."""
    tx.run_later(
        _INSERT_AT_ONCE,
        target_ids=[target_id for target_id, _ in targets],
        target_types=[target_type for _, target_type in targets],
        **msgspec.structs.asdict(row),
    )


def select_trail(tx: Transaction, environment_id: str, organization_id: str) -> TrailRow | None:
    """Return an organization's trail; None before its first event and its first setting."""
    row = tx.one(
        "SELECT number, environment_id, organization_id, retention_days FROM audit_log_trails"
        " WHERE environment_id = :environment_id AND organization_id = :organization_id",
        environment_id=environment_id,
        organization_id=organization_id,
    )
    return TrailRow(*row) if row else None


def insert_trail(tx: Transaction, environment_id: str, organization_id: str, prune_at: int) -> int:
    """Begin an organization's trail, unless other work in the same transaction just has; return its number."""
    row = tx.one(
        "INSERT INTO audit_log_trails (environment_id, organization_id, retention_days, prune_at)"
        " VALUES (:environment_id, :organization_id, NULL, :prune_at)"
        " ON CONFLICT (environment_id, organization_id) DO UPDATE SET prune_at = audit_log_trails.prune_at"
        " RETURNING number",
        environment_id=environment_id,
        organization_id=organization_id,
        prune_at=prune_at,
    )
    assert row is not None
    number: int = row[0]
    return number


def set_retention(tx: Transaction, environment_id: str, organization_id: str, days: int) -> None:
    """Write how long an organization's events are kept; those past it are due to be deleted now."""
    tx.run(
        "INSERT INTO audit_log_trails (environment_id, organization_id, retention_days, prune_at)"
        " VALUES (:environment_id, :organization_id, :days, :now)"
        " ON CONFLICT (environment_id, organization_id) DO UPDATE"
        " SET retention_days = excluded.retention_days, prune_at = excluded.prune_at",
        environment_id=environment_id,
        organization_id=organization_id,
        days=days,
        now=tx.milliseconds,
    )


_LOCK: dict[str, LiteralString] = {"sqlite": "", "postgres": " FOR UPDATE SKIP LOCKED"}


def lock_due_trails(tx: Transaction, most: int) -> list[TrailRow]:
    """Return up to `most` trails to be looked through now, for this transaction alone."""
    sql: LiteralString = (
        "SELECT number, environment_id, organization_id, retention_days FROM audit_log_trails"
        " WHERE prune_at <= :now ORDER BY prune_at LIMIT :most" + _LOCK[tx.engine]
    )
    return [TrailRow(*row) for row in tx.all(sql, now=tx.milliseconds, most=most)]


def postpone(tx: Transaction, trail: int, prune_at: int) -> None:
    """Look through a trail again at `prune_at`, in milliseconds."""
    tx.run(
        "UPDATE audit_log_trails SET prune_at = :prune_at WHERE number = :number", prune_at=prune_at, number=trail
    )


class OldEvent(msgspec.Struct, frozen=True):
    """A sealed event whose retention has ended."""

    position: int
    occurred_at: str
    wire: bytes


def select_oldest(tx: Transaction, trail: int, occurred_before: str, most: int) -> list[OldEvent]:
    """Return up to `most` of a trail's oldest events that are sealed, if of before that time."""
    rows = tx.all(
        "SELECT e.position, e.occurred_at, e.wire FROM audit_log_events e"
        " WHERE e.trail = :trail AND e.occurred_at < :occurred_before"
        " AND EXISTS (SELECT 1 FROM audit_log_seals s WHERE s.position = e.position)"
        " ORDER BY e.occurred_at LIMIT :most",
        trail=trail,
        occurred_before=occurred_before,
        most=most,
    )
    return [OldEvent(*row) for row in rows]


def delete_events(
    tx: Transaction, trail: int, events: list[OldEvent], targets: list[tuple[str, OldEvent]]
) -> None:
    """Delete events (at least one, of a trail, oldest first) with their targets, each an id and its event."""
    tx.run_all(
        "DELETE FROM audit_log_targets WHERE trail = :trail AND target_id = :target_id"
        " AND occurred_at = :occurred_at AND position = :position",
        [
            {"trail": trail, "target_id": target_id, "occurred_at": of.occurred_at, "position": of.position}
            for target_id, of in targets
        ],
    )
    tx.run(
        # The times say in which partitions they are.
        "DELETE FROM audit_log_events WHERE position IN :positions AND occurred_at BETWEEN :first AND :last",
        positions=[event.position for event in events],
        first=events[0].occurred_at,
        last=events[-1].occurred_at,
    )
