"""Rows of the chains: seals, where each chain begins and ends, and up to where events are sealed."""

from typing import Any, LiteralString, NamedTuple

import msgspec

from tenantry.audit_logs.chain import Trail
from tenantry.core.db import Insertion, Transaction

# A transaction that is under way may yet show events before those of a later one that is committed
# already; so nothing is sealed past the oldest one under way (as `events` are served).
_SETTLED: dict[str, LiteralString] = {
    "sqlite": "",
    "postgres": " AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())::text::bigint",
}
_PAST: dict[str, LiteralString] = {
    "sqlite": " WHERE position > :position AND :transaction_id = 0",
    "postgres": " WHERE (transaction_id, position) > (:transaction_id, :position)",
}
_UP_TO: dict[str, LiteralString] = {
    "sqlite": " AND e.position <= :position AND :transaction_id = 0",
    "postgres": " AND (e.transaction_id, e.position) <= (:transaction_id, :position)",
}
_IN_ORDER: dict[str, LiteralString] = {
    "sqlite": " ORDER BY position LIMIT :most",
    "postgres": " ORDER BY transaction_id, position LIMIT :most",
}
_LOCK: dict[str, LiteralString] = {"sqlite": "", "postgres": " FOR UPDATE SKIP LOCKED"}


class Place(msgspec.Struct, frozen=True):
    """Where an event stands among all, in the order in which they are sealed."""

    transaction_id: int
    position: int


class Unsealed(msgspec.Struct, frozen=True):
    """An event that is to be sealed."""

    transaction_id: int
    position: int
    trail: int
    occurred_at: str
    wire: bytes


class NewSeal(msgspec.Struct, frozen=True, kw_only=True):
    """The seal of the event at a position."""

    position: int
    trail: int
    sequence: int
    occurred_at: str
    hash: bytes


class ChainRow(msgspec.Struct, frozen=True, kw_only=True):
    """Where a chain ends, and where it begins since retention removed what was before."""

    trail: int
    sequence: int
    hash: bytes
    first_sequence: int
    removed_before: str | None


def lock_sealing(tx: Transaction) -> Place | None:
    """Return up to where events are sealed, for this transaction alone; None while another one seals."""
    sql: LiteralString = "SELECT transaction_id, position FROM audit_log_sealing WHERE one = 1" + _LOCK[tx.engine]
    row = tx.one(sql)
    return Place(*row) if row else None


def select_sealing(tx: Transaction) -> Place:
    """Return up to where events are sealed."""
    row = tx.one("SELECT transaction_id, position FROM audit_log_sealing WHERE one = 1")
    assert row is not None, "a migration wrote it"
    return Place(*row)


def move_sealing(tx: Transaction, place: Place) -> None:
    """Write up to where events are sealed."""
    tx.run(
        "UPDATE audit_log_sealing SET transaction_id = :transaction_id, position = :position WHERE one = 1",
        **msgspec.structs.asdict(place),
    )


def has_unsealed(tx: Transaction, after: Place) -> bool:
    """Return whether there are events past a place that can be sealed."""
    sql: LiteralString = "SELECT 1 FROM audit_log_events" + _PAST[tx.engine] + _SETTLED[tx.engine]
    return tx.one(sql + _IN_ORDER[tx.engine], most=1, **msgspec.structs.asdict(after)) is not None


def select_unsealed(tx: Transaction, after: Place, most: int) -> list[Unsealed]:
    """Return the first `most` events past a place that can be sealed, in order."""
    sql: LiteralString = (
        "SELECT transaction_id, position, trail, occurred_at, wire FROM audit_log_events"
        + _PAST[tx.engine]
        + _SETTLED[tx.engine]
        + _IN_ORDER[tx.engine]
    )
    return [Unsealed(*row) for row in tx.all(sql, most=most, **msgspec.structs.asdict(after))]


def select_trails(tx: Transaction, numbers: list[int]) -> dict[int, Trail]:
    """Return whose each of the trails (at least one) is, by number."""
    rows = tx.all(
        "SELECT number, environment_id, organization_id FROM audit_log_trails WHERE number IN :numbers",
        numbers=numbers,
    )
    return {row[0]: Trail(row[1], row[2]) for row in rows}


_CHAIN: LiteralString = "SELECT trail, sequence, hash, first_sequence, removed_before FROM audit_log_chains"


def _chain(row: tuple[int, int, bytes, int, str | None]) -> ChainRow:
    return ChainRow(trail=row[0], sequence=row[1], hash=row[2], first_sequence=row[3], removed_before=row[4])


def select_chains(tx: Transaction, trails: list[int]) -> dict[int, ChainRow]:
    """Return the chains of those of the trails (at least one) that have one, by trail."""
    rows = tx.all(_CHAIN + " WHERE trail IN :trails", trails=trails)
    return {row[0]: _chain(row) for row in rows}


def select_chain(tx: Transaction, trail: int) -> ChainRow | None:
    """Return a trail's chain; None before its first event is sealed."""
    row = tx.one(_CHAIN + " WHERE trail = :trail", trail=trail)
    return _chain(row) if row else None


_INSERTION = Insertion(
    "audit_log_seals", "position bigint, trail bigint, sequence bigint, occurred_at text, hash bytea"
)


def insert_seals(tx: Transaction, rows: list[NewSeal]) -> None:
    """Add seals (at least one)."""
    tx.insert_all(_INSERTION, [msgspec.structs.astuple(row) for row in rows])


def extend_chains(tx: Transaction, ends: list[tuple[int, int, bytes]], sign_at: int) -> None:
    """Write where chains end now, each a trail, a sequence and a hash; `sign_at` is when they are signed."""
    tx.run_all(
        "INSERT INTO audit_log_chains (trail, sequence, hash, first_sequence, sign_at)"
        " VALUES (:trail, :sequence, :hash, 1, :sign_at)"
        " ON CONFLICT (trail) DO UPDATE SET sequence = excluded.sequence, hash = excluded.hash,"
        " sign_at = COALESCE(audit_log_chains.sign_at, excluded.sign_at)",
        [
            {"trail": trail, "sequence": sequence, "hash": hash_, "sign_at": sign_at}
            for trail, sequence, hash_ in ends
        ],
    )


class StoredSeal(msgspec.Struct, frozen=True):
    """A seal with its event; `wire` is None where the event is not there."""

    position: int
    sequence: int
    occurred_at: str
    hash: bytes
    event_hash: bytes | None
    wire: bytes | None


def select_seals(tx: Transaction, trail: int, after: int, most: int) -> list[StoredSeal]:
    """Return the first `most` seals of a trail past the sequence `after`, in order."""
    # The number stands in it, and each event is looked up: so PostgreSQL plans once, as in `search`.
    sql: Any = (
        "SELECT s.position, s.sequence, s.occurred_at, s.hash, s.event_hash,"
        " (SELECT e.wire FROM audit_log_events e WHERE e.position = s.position AND e.occurred_at = s.occurred_at)"
        " FROM audit_log_seals s WHERE s.trail = :trail AND s.sequence > :after"
        f" ORDER BY s.sequence LIMIT {most:d}"
    )
    return [StoredSeal(*row) for row in tx.all(sql, trail=trail, after=after)]


def select_hashes(tx: Transaction, trail: int, sequences: list[int]) -> dict[int, bytes]:
    """Return the hashes of those of the sequences (at least one) that a trail has, by sequence."""
    rows = tx.all(
        "SELECT sequence, hash FROM audit_log_seals WHERE trail = :trail AND sequence IN :sequences",
        trail=trail,
        sequences=sequences,
    )
    return {row[0]: row[1] for row in rows}


def keep_event_hashes(tx: Transaction, removed: list[tuple[int, bytes]]) -> None:
    """Write into seals the hashes of their events, which are about to be removed, by position."""
    tx.run_all(
        "UPDATE audit_log_seals SET event_hash = :event_hash WHERE position = :position",
        [{"position": position, "event_hash": hash_} for position, hash_ in removed],
    )


def select_first_kept(tx: Transaction, trail: int, first: int, before: int) -> int | None:
    """Return the first sequence whose event is kept, from `first` on and before `before`."""
    row = tx.one(
        "SELECT sequence FROM audit_log_seals WHERE trail = :trail AND sequence >= :first AND sequence < :before"
        " AND event_hash IS NULL ORDER BY sequence LIMIT 1",
        trail=trail,
        first=first,
        before=before,
    )
    return row[0] if row else None


def begin_chain(tx: Transaction, trail: int, first: int, removed_before: str) -> None:
    """Have a chain begin at the sequence `first`. Of what is before, the last seal stays: its hash leads on."""
    tx.run("DELETE FROM audit_log_seals WHERE trail = :trail AND sequence < :last", trail=trail, last=first - 1)
    tx.run(
        "UPDATE audit_log_chains SET first_sequence = :first, removed_before = :removed_before"
        " WHERE trail = :trail",
        trail=trail,
        first=first,
        removed_before=removed_before,
    )


class CheckpointRow(msgspec.Struct, frozen=True):
    """A signed checkpoint: `statement` is the JSON that was signed, up to `sequence`."""

    sequence: int
    statement: bytes
    signature: bytes


def lock_due_chains(tx: Transaction, most: int) -> list[int]:
    """Return up to `most` trails whose chains are to be signed now, for this transaction alone."""
    sql: LiteralString = (
        "SELECT trail FROM audit_log_chains WHERE sign_at <= :now ORDER BY sign_at LIMIT :most" + _LOCK[tx.engine]
    )
    return [row[0] for row in tx.all(sql, now=tx.milliseconds, most=most)]


def insert_checkpoint(tx: Transaction, trail: int, row: CheckpointRow) -> None:
    """Add a checkpoint, in place of one of the same sequence; the chain is signed then."""
    tx.run(
        "INSERT INTO audit_log_checkpoints (trail, sequence, statement, signature)"
        " VALUES (:trail, :sequence, :statement, :signature)"
        " ON CONFLICT (trail, sequence) DO UPDATE"
        " SET statement = excluded.statement, signature = excluded.signature",
        trail=trail,
        **msgspec.structs.asdict(row),
    )
    tx.run("UPDATE audit_log_chains SET sign_at = NULL WHERE trail = :trail", trail=trail)


def select_last_checkpoint(tx: Transaction, trail: int) -> CheckpointRow | None:
    """Return a chain's newest checkpoint."""
    row = tx.one(
        "SELECT sequence, statement, signature FROM audit_log_checkpoints WHERE trail = :trail"
        " ORDER BY sequence DESC LIMIT 1",
        trail=trail,
    )
    return CheckpointRow(*row) if row else None


def select_checkpoints(tx: Transaction, trail: int) -> list[CheckpointRow]:
    """Return a chain's checkpoints, oldest first."""
    rows = tx.all(
        "SELECT sequence, statement, signature FROM audit_log_checkpoints WHERE trail = :trail ORDER BY sequence",
        trail=trail,
    )
    return [CheckpointRow(*row) for row in rows]


def delete_checkpoint(tx: Transaction, trail: int, sequence: int) -> None:
    """Delete one checkpoint."""
    tx.run(
        "DELETE FROM audit_log_checkpoints WHERE trail = :trail AND sequence = :sequence",
        trail=trail,
        sequence=sequence,
    )


def delete_checkpoints(tx: Transaction, trail: int, before: int) -> None:
    """Delete a chain's checkpoints of before a sequence, but for the newest of all."""
    tx.run(
        "DELETE FROM audit_log_checkpoints WHERE trail = :trail AND sequence < :before AND sequence <"
        " (SELECT MAX(sequence) FROM audit_log_checkpoints WHERE trail = :trail)",
        trail=trail,
        before=before,
    )


class KeyRow(msgspec.Struct, frozen=True):
    """A key that was signed with: its public half."""

    id: str
    public_key: bytes
    created_at: str


def insert_key(tx: Transaction, row: KeyRow, private: bytes | None) -> None:
    """Add a key; `private` only of the one that was made here."""
    tx.run(
        "INSERT INTO audit_log_keys (id, public_key, private_key, created_at)"
        " VALUES (:id, :public_key, :private_key, :created_at)",
        private_key=private,
        **msgspec.structs.asdict(row),
    )


def select_made_key(tx: Transaction) -> bytes | None:
    """Return the private key that was made here."""
    row = tx.one("SELECT private_key FROM audit_log_keys WHERE private_key IS NOT NULL")
    return row[0] if row else None


def select_public_key(tx: Transaction, key_id: str) -> bytes | None:
    """Return the public half of a key."""
    row = tx.one("SELECT public_key FROM audit_log_keys WHERE id = :id", id=key_id)
    return row[0] if row else None


def select_keys(tx: Transaction) -> list[KeyRow]:
    """Return all keys, oldest first."""
    return [
        KeyRow(*row)
        for row in tx.all("SELECT id, public_key, created_at FROM audit_log_keys ORDER BY created_at, id")
    ]


def select_trail_number(tx: Transaction, environment_id: str, organization_id: str) -> int | None:
    """Return the number of an organization's trail."""
    row = tx.one(
        "SELECT number FROM audit_log_trails"
        " WHERE environment_id = :environment_id AND organization_id = :organization_id",
        environment_id=environment_id,
        organization_id=organization_id,
    )
    return row[0] if row else None


def select_places_in_chain(tx: Transaction, positions: list[int]) -> dict[int, tuple[int, bytes]]:
    """Return sequence and hash of those of the events at `positions` (at least one) that are sealed."""
    rows = tx.all(
        "SELECT position, sequence, hash FROM audit_log_seals WHERE position IN :positions", positions=positions
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def select_waiting(tx: Transaction, trail: int, after: Place, most: int) -> list[tuple[Place, bytes]]:
    """Return the first `most` of a trail's events past a place that are not sealed, settled or not, in order."""
    # The plus keeps a planner from the indexes of the trail, in which it would read all of its events.
    sql: LiteralString = (
        "SELECT e.transaction_id, e.position, e.wire FROM audit_log_events e"
        + _PAST[tx.engine]
        + " AND +e.trail = :trail AND NOT EXISTS (SELECT 1 FROM audit_log_seals s WHERE s.position = e.position)"
    )
    rows = tx.all(
        sql + _IN_ORDER[tx.engine],
        trail=trail,
        transaction_id=after.transaction_id,
        position=after.position,
        most=most,
    )
    return [(Place(row[0], row[1]), row[2]) for row in rows]


class TrailNumber(msgspec.Struct, frozen=True):
    """A trail: its number, whose it is, and how many seals it has."""

    number: int
    environment_id: str
    organization_id: str
    length: int


def select_trail_numbers(
    tx: Transaction, environment_id: str | None, organization_id: str | None
) -> list[TrailNumber]:
    """Return the trails of an environment and an organization; of all where None is given."""
    sql: LiteralString = (
        "SELECT t.number, t.environment_id, t.organization_id, COALESCE(c.sequence - c.first_sequence + 1, 0)"
        " FROM audit_log_trails t LEFT JOIN audit_log_chains c ON c.trail = t.number WHERE 1 = 1"
    )
    given: dict[str, object] = {}
    if environment_id is not None:
        sql += " AND t.environment_id = :environment_id"
        given["environment_id"] = environment_id
    if organization_id is not None:
        sql += " AND t.organization_id = :organization_id"
        given["organization_id"] = organization_id
    return [TrailNumber(*row) for row in tx.all(sql + " ORDER BY t.number", **given)]


class EventColumns(NamedTuple):
    """What stands beside an event's JSON, and is found by."""

    id: str
    occurred_at: str
    created_at: str
    action: str
    version: int
    actor_type: str
    actor_id: str


def select_whole(
    tx: Transaction, trail: int, after: int, most: int
) -> list[tuple[StoredSeal, EventColumns | None]]:
    """Return seals as `select_seals` does, each with what stands beside its event, if that is there."""
    rows = tx.all(
        "SELECT s.position, s.sequence, s.occurred_at, s.hash, s.event_hash, e.wire,"
        " e.id, e.occurred_at, e.created_at, e.action, e.version, e.actor_type, e.actor_id"
        " FROM audit_log_seals s LEFT JOIN audit_log_events e"
        " ON e.position = s.position AND e.occurred_at = s.occurred_at AND e.trail = s.trail"
        " WHERE s.trail = :trail AND s.sequence > :after ORDER BY s.sequence LIMIT :most",
        trail=trail,
        after=after,
        most=most,
    )
    return [(StoredSeal(*row[:6]), None if row[5] is None else EventColumns(*row[6:])) for row in rows]


def select_stray(tx: Transaction, trail: int, sealed: Place) -> str | None:
    """Return the id of an event of a trail that has no seal although events are sealed past it."""
    sql: LiteralString = (
        "SELECT e.id FROM audit_log_events e WHERE e.trail = :trail"
        " AND NOT EXISTS (SELECT 1 FROM audit_log_seals s WHERE s.position = e.position)"
    )
    rows = tx.one(
        sql + _UP_TO[tx.engine] + " LIMIT 1",
        trail=trail,
        transaction_id=sealed.transaction_id,
        position=sealed.position,
    )
    return rows[0] if rows else None


class TargetRow(NamedTuple):
    """What an event is found by as one that has a target: its place, the target's id and type."""

    target_id: str
    occurred_at: str
    position: int
    target_type: str


# Each is looked up by the whole key of the table: a join would read all of it.
_NOT_THERE: dict[str, LiteralString] = {
    "sqlite": (
        "SELECT * FROM (SELECT json_extract(value, '$[0]') AS target_id,"
        " json_extract(value, '$[1]') AS occurred_at, json_extract(value, '$[2]') AS position,"
        " json_extract(value, '$[3]') AS target_type"
        " FROM json_each(:wanted)) w"
        " WHERE (SELECT COUNT(*) FROM audit_log_targets t WHERE t.trail = :trail AND t.target_id = w.target_id"
        " AND t.occurred_at = w.occurred_at AND t.position = w.position AND t.target_type = w.target_type) = 0"
        " LIMIT 1"
    ),
    "postgres": (
        "SELECT w.* FROM unnest(CAST(:ids AS TEXT[]), CAST(:times AS TEXT[]), CAST(:positions AS BIGINT[]),"
        " CAST(:types AS TEXT[])) w (target_id, occurred_at, position, target_type)"
        " WHERE (SELECT COUNT(*) FROM audit_log_targets t WHERE t.trail = :trail AND t.target_id = w.target_id"
        " AND t.occurred_at = w.occurred_at AND t.position = w.position AND t.target_type = w.target_type) = 0"
        " LIMIT 1"
    ),
}


def select_target_not_there(tx: Transaction, trail: int, wanted: list[TargetRow]) -> TargetRow | None:
    """Return one of `wanted` that is not stored."""
    if tx.engine == "sqlite":
        row = tx.one(_NOT_THERE["sqlite"], trail=trail, wanted=msgspec.json.encode(wanted).decode())
    else:
        ids, times, positions, types = ([each[column] for each in wanted] for column in range(4))
        row = tx.one(_NOT_THERE["postgres"], trail=trail, ids=ids, times=times, positions=positions, types=types)
    return TargetRow(*row) if row else None


def count_targets(tx: Transaction, trail: int) -> int:
    """Return how many targets a trail's events are found by."""
    row = tx.one("SELECT COUNT(*) FROM audit_log_targets WHERE trail = :trail", trail=trail)
    assert row is not None
    count: int = row[0]
    return count


def select_targets(
    tx: Transaction, trail: int, after: TargetRow, most: int
) -> list[tuple[TargetRow, bytes | None]]:
    """Return the first `most` targets of a trail past one, each with its event's JSON, if that is there."""
    rows = tx.all(
        "SELECT t.target_id, t.occurred_at, t.position, t.target_type, e.wire FROM audit_log_targets t"
        " LEFT JOIN audit_log_events e"
        " ON e.position = t.position AND e.occurred_at = t.occurred_at AND e.trail = t.trail"
        " WHERE t.trail = :trail AND (t.target_id, t.occurred_at, t.position, t.target_type)"
        " > (:target_id, :occurred_at, :position, :target_type)"
        " ORDER BY t.target_id, t.occurred_at, t.position, t.target_type LIMIT :most",
        trail=trail,
        most=most,
        **after._asdict(),
    )
    return [(TargetRow(*row[:4]), row[4]) for row in rows]


def select_time(tx: Transaction, trail: int, position: int) -> str | None:
    """Return when the event at a position occurred, as it is stored."""
    row = tx.one(
        "SELECT occurred_at FROM audit_log_events WHERE position = :position AND trail = :trail",
        position=position,
        trail=trail,
    )
    return row[0] if row else None
