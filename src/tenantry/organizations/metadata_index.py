"""Rows of declared metadata keys, and the values of these keys."""

from typing import LiteralString

import msgspec

from tenantry.core.db import Insertion, Row, Transaction, Values
from tenantry.core.db.statistics import analyze
from tenantry.organizations.wire import MetadataKeyState, Violation


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """One declared key. `indexed` says that all its values are in the index; `position` how far its check is."""

    key: str
    unique: bool
    values: list[str] | None
    state: MetadataKeyState
    indexed: bool
    declared_in: int
    position: str
    checked: int
    violation_count: int
    violations: list[Violation]
    created_at: str
    updated_at: str


_MANY = 500

_COLUMNS = (
    "key, is_unique, allowed, state, is_indexed, declared_in, position, checked, violation_count, violations,"
    " created_at, updated_at"
)
_VALUES = (
    ":key, :unique, :allowed, :state, :indexed, :declared_in, :position, :checked, :violation_count, :violations,"
    " :created_at, :updated_at"
)
_TRANSACTION: dict[str, LiteralString] = {
    "sqlite": "SELECT 0",
    "postgres": "SELECT pg_current_xact_id()::text::bigint",
}
# A transaction that began before the declaration was committed holds back this process's backend_xmin.
_OLDER = (
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND backend_type = 'client backend' AND age(backend_xmin) >= age((:declared_in)::text::xid8::xid) LIMIT 1"
)

_encode = msgspec.json.Encoder().encode
_decode_values = msgspec.json.Decoder(list[str]).decode
_decode_violations = msgspec.json.Decoder(list[Violation]).decode


def _key(row: Row) -> KeyRow:
    key, unique, allowed, state, indexed, declared_in, position, checked, count, violations, created, updated = row
    return KeyRow(
        key=key,
        unique=bool(unique),
        values=None if allowed is None else _decode_values(allowed),
        state=state,
        indexed=bool(indexed),
        declared_in=declared_in,
        position=position,
        checked=checked,
        violation_count=count,
        violations=_decode_violations(violations),
        created_at=created,
        updated_at=updated,
    )


def _parameters(environment_id: str, row: KeyRow) -> dict[str, object]:
    fields = msgspec.structs.asdict(row) | {
        "environment_id": environment_id,
        "allowed": None if row.values is None else _encode(row.values).decode(),
        "violations": _encode(row.violations).decode(),
    }
    del fields["values"]
    return fields


def this_transaction(tx: Transaction) -> int:
    """Return what `is_seen_by_all` needs of the transaction that declares a key."""
    row = tx.one(_TRANSACTION[tx.engine])
    assert row is not None, "a constant has a row"
    number: int = row[0]
    return number


def is_seen_by_all(tx: Transaction, declared_in: int) -> bool:
    """Return whether every transaction under way began after the one that declared a key was committed.

    SQLite has one writer, so there it is so. PostgreSQL shows the sessions of the same role.
    """
    return tx.engine == "sqlite" or tx.one(_OLDER, declared_in=declared_in) is None


def insert_key(tx: Transaction, environment_id: str, row: KeyRow) -> None:
    """Add one declared key."""
    tx.run(
        "INSERT INTO metadata_keys (environment_id, " + _COLUMNS + ") VALUES (:environment_id, " + _VALUES + ")",
        **_parameters(environment_id, row),
    )


def update_key(tx: Transaction, environment_id: str, row: KeyRow) -> None:
    """Write everything of `row` over the declared key."""
    tx.run(
        "UPDATE metadata_keys SET (" + _COLUMNS + ") = (" + _VALUES + ")"
        " WHERE environment_id = :environment_id AND key = :key",
        **_parameters(environment_id, row),
    )


def delete_key(tx: Transaction, environment_id: str, key: str) -> None:
    """Remove a declared key, whose values are gone already."""
    tx.run(
        "DELETE FROM metadata_keys WHERE environment_id = :environment_id AND key = :key",
        environment_id=environment_id,
        key=key,
    )


def select_keys(tx: Transaction, environment_id: str) -> list[KeyRow]:
    """Return the declared keys of an environment, those being removed too, by key."""
    rows = tx.all(
        "SELECT " + _COLUMNS + " FROM metadata_keys WHERE environment_id = :environment_id ORDER BY key",
        environment_id=environment_id,
    )
    return [_key(row) for row in rows]


def select_indexed(tx: Transaction, environment_id: str, keys: list[str]) -> set[str]:
    """Return which of `keys` (at least one) have all their values in the index."""
    rows = tx.all(
        "SELECT key FROM metadata_keys WHERE environment_id = :environment_id AND key IN :keys AND is_indexed",
        environment_id=environment_id,
        keys=keys,
    )
    return {row[0] for row in rows}


def select_at_work(tx: Transaction) -> list[tuple[str, str]]:
    """Return environment and key of all that are being checked or removed."""
    rows = tx.all("SELECT environment_id, key FROM metadata_keys WHERE state IN ('checking', 'removing')")
    return [(row[0], row[1]) for row in rows]


def select_metadata(tx: Transaction, environment_id: str, after: str, most: int) -> list[tuple[str, str]]:
    """Return id and metadata, as JSON, of the first `most` organizations past the id `after`, by id."""
    rows = tx.all(
        "SELECT id, metadata FROM organizations WHERE environment_id = :environment_id AND id > :after"
        " ORDER BY id LIMIT :most",
        environment_id=environment_id,
        after=after,
        most=most,
    )
    return [(row[0], row[1]) for row in rows]


_HOLDER = (
    " FROM organization_metadata WHERE environment_id = :environment_id AND key = :key AND value = asked.value)"
)
_ASKED: dict[str, LiteralString] = {
    "sqlite": "json_each(:texts) AS asked",
    "postgres": "jsonb_array_elements_text((:texts)::jsonb) AS asked (value)",
}


def select_holders(tx: Transaction, environment_id: str, key: str, values: list[str]) -> dict[str, set[str]]:
    """Return which organizations have each of the values, by value: the first and the last where many do."""
    rows = tx.all(
        "SELECT asked.value, (SELECT MIN(organization_id)"
        + _HOLDER
        + ", (SELECT MAX(organization_id)"
        + _HOLDER
        + " FROM "
        + _ASKED[tx.engine],
        environment_id=environment_id,
        key=key,
        texts=_encode(values).decode(),
    )
    return {row[0]: {holder for holder in row[1:] if holder is not None} for row in rows}


def select_earlier_holder(
    tx: Transaction, environment_id: str, key: str, value: str, organization_id: str
) -> str | None:
    """Return the first organization that has the value of a key and a smaller id than this one."""
    row = tx.one(
        "SELECT MIN(organization_id) FROM organization_metadata"
        " WHERE environment_id = :environment_id AND key = :key AND value = :value"
        " AND organization_id < :organization_id",
        environment_id=environment_id,
        key=key,
        value=value,
        organization_id=organization_id,
    )
    return row[0] if row else None


def take_unique_values(tx: Transaction, environment_id: str, key: str, holders: dict[str, str]) -> None:
    """Have nobody but the organization that each value leads to keep that value as unique."""
    # One by one: of a list of values PostgreSQL, without statistics, looks at all that the key has.
    tx.run_all(
        "UPDATE organization_metadata SET unique_value = NULL"
        " WHERE environment_id = :environment_id AND key = :key AND unique_value = :value"
        " AND organization_id <> :organization_id",
        [
            {"environment_id": environment_id, "key": key, "value": value, "organization_id": organization_id}
            for value, organization_id in holders.items()
        ],
    )


_INSERTION = Insertion(
    "organization_metadata",
    "environment_id text, organization_id text, key text, value text, unique_value text",
    otherwise=" ON CONFLICT (environment_id, organization_id, key)"
    " DO UPDATE SET value = excluded.value, unique_value = excluded.unique_value",
)


class Value(msgspec.Struct, frozen=True):
    """An organization's value of a declared key; `unique_value` is the value if no other may have it."""

    organization_id: str
    value: str | None
    unique_value: str | None


def put_value(tx: Transaction, environment_id: str, key: str, value: Value) -> None:
    """Keep an organization's value of a declared key."""
    tx.insert(_INSERTION, _new_row(environment_id, key, value))


def put_values(tx: Transaction, environment_id: str, key: str, values: list[Value]) -> None:
    """Keep the values (at least one) that organizations have of a declared key, one of each."""
    tx.insert_all(_INSERTION, [_new_row(environment_id, key, value) for value in values])


def _new_row(environment_id: str, key: str, value: Value) -> Values:
    return (environment_id, value.organization_id, key, value.value, value.unique_value)


def analyze_if_many(tx: Transaction, organizations: int) -> None:
    """Have the planner know of a key whose values are in the index now, unless they are of few organizations.

    By what it knew before, all values are those of other keys, and it may take a way through all that a key has.
    """
    if organizations >= _MANY:
        analyze(tx, "organization_metadata")


def delete_value(tx: Transaction, environment_id: str, organization_id: str, key: str) -> None:
    """Forget an organization's value of a declared key."""
    tx.run_later(
        "DELETE FROM organization_metadata"
        " WHERE environment_id = :environment_id AND organization_id = :organization_id AND key = :key",
        environment_id=environment_id,
        organization_id=organization_id,
        key=key,
    )


def delete_values(tx: Transaction, environment_id: str, key: str, organization_ids: list[str]) -> None:
    """Forget the values that these organizations (at least one) have of a key."""
    tx.run(
        "DELETE FROM organization_metadata"
        " WHERE environment_id = :environment_id AND key = :key AND organization_id IN :organization_ids",
        environment_id=environment_id,
        key=key,
        organization_ids=organization_ids,
    )
