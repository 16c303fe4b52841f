"""Rows of environments and API keys."""

import msgspec

from tenantry.core.caller import Caller, DomainPolicy
from tenantry.core.db import Row, Transaction


class EnvironmentRow(msgspec.Struct, frozen=True):
    """One environment: a space of its own, which nothing crosses."""

    id: str
    name: str
    slug: str
    domain_policy: DomainPolicy
    created_at: str


class KeyRow(msgspec.Struct, frozen=True):
    """One API key as it may be shown: the secret itself is not kept."""

    id: str
    environment: str
    name: str
    prefix: str
    read_only: bool
    created_at: str
    last_used_at: str | None
    revoked_at: str | None


_ENVIRONMENT_COLUMNS = "id, name, slug, domain_policy, created_at"
_KEY_COLUMNS = (
    "api_keys.id, environments.name, api_keys.name, prefix, read_only,"
    " api_keys.created_at, last_used_at, revoked_at"
)


def _environment(row: Row) -> EnvironmentRow:
    return EnvironmentRow(*row)


def insert_environment(tx: Transaction, row: EnvironmentRow) -> None:
    """Add one environment."""
    tx.run(
        "INSERT INTO environments (id, name, slug, domain_policy, created_at)"
        " VALUES (:id, :name, :slug, :domain_policy, :created_at)",
        id=row.id,
        name=row.name,
        slug=row.slug,
        domain_policy=row.domain_policy,
        created_at=row.created_at,
    )


def select_environment_by_name(tx: Transaction, name: str) -> EnvironmentRow | None:
    """Return the environment of that name."""
    row = tx.one("SELECT " + _ENVIRONMENT_COLUMNS + " FROM environments WHERE name = :name", name=name)
    return _environment(row) if row else None


def update_environment_policy(tx: Transaction, name: str, domain_policy: DomainPolicy) -> bool:
    """Change who may have a domain in an environment; return whether there is one of that name."""
    changed = tx.run(
        "UPDATE environments SET domain_policy = :domain_policy WHERE name = :name",
        domain_policy=domain_policy,
        name=name,
    )
    return changed == 1


def select_environments(tx: Transaction) -> list[EnvironmentRow]:
    """Return all environments, oldest first."""
    return [
        _environment(row) for row in tx.all("SELECT " + _ENVIRONMENT_COLUMNS + " FROM environments ORDER BY id")
    ]


def insert_key(tx: Transaction, environment_id: str, row: KeyRow, secret_hash: bytes) -> None:
    """Add one key to an environment."""
    tx.run(
        "INSERT INTO api_keys (id, environment_id, name, prefix, hash, read_only, created_at)"
        " VALUES (:id, :environment_id, :name, :prefix, :hash, :read_only, :created_at)",
        id=row.id,
        environment_id=environment_id,
        name=row.name,
        prefix=row.prefix,
        hash=secret_hash,
        read_only=row.read_only,
        created_at=row.created_at,
    )


def select_caller(tx: Transaction, secret_hash: bytes, assumed: Caller | None = None) -> Caller | None:
    """Return who calls with the key of that hash, unless it is revoked; see `one_assumed`."""
    row = tx.one_assumed(
        msgspec.structs.astuple(assumed) if assumed else None,
        "SELECT environment_id, slug, domain_policy, api_keys.id, api_keys.name, read_only"
        " FROM api_keys JOIN environments ON environments.id = environment_id"
        " WHERE hash = :hash AND revoked_at IS NULL",
        hash=secret_hash,
    )
    return Caller(row[0], row[1], row[2], row[3], row[4], bool(row[5])) if row else None


def select_keys(tx: Transaction) -> list[KeyRow]:
    """Return all keys, by environment, oldest first."""
    rows = tx.all(
        "SELECT " + _KEY_COLUMNS + " FROM api_keys"
        " JOIN environments ON environments.id = environment_id ORDER BY environment_id, api_keys.id"
    )
    return [KeyRow(row[0], row[1], row[2], row[3], bool(row[4]), *row[5:]) for row in rows]


def has_key(tx: Transaction, secret_hash: bytes) -> bool:
    """Return whether a key of that hash was ever made, revoked or not."""
    return tx.one("SELECT 1 FROM api_keys WHERE hash = :hash", hash=secret_hash) is not None


def update_key_revoked(tx: Transaction, key_id: str) -> bool:
    """Mark a key revoked now; return whether there was such a key, not revoked yet."""
    changed = tx.run(
        "UPDATE api_keys SET revoked_at = :now WHERE id = :id AND revoked_at IS NULL", now=tx.now, id=key_id
    )
    return changed == 1


def update_key_used(tx: Transaction, key_id: str, used_at: str) -> None:
    """Note when a key was used last; never an earlier time than the one noted."""
    tx.run(
        "UPDATE api_keys SET last_used_at = :used_at"
        " WHERE id = :id AND (last_used_at IS NULL OR last_used_at < :used_at)",
        id=key_id,
        used_at=used_at,
    )
