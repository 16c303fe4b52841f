"""Numbered SQL, run forward only; each file in one transaction with its own record."""

import re
from dataclasses import dataclass
from functools import partial
from importlib.resources import files

from tenantry.core.db.base import Database, Transaction

_FILE = re.compile(r"(\d{4})_(\w+?)(?:\.(sqlite|postgres))?\.sql")
_CREATE_RECORD = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        number INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        applied_at TEXT NOT NULL
    )
"""


class SchemaTooNew(Exception):
    """The database was migrated by a newer Tenantry than this one."""


@dataclass(frozen=True)
class Migration:
    """One numbered step of the schema."""

    number: int
    name: str
    sql: str


def migrations(engine: str) -> list[Migration]:
    """Return all steps for `engine` ("sqlite" or "postgres"), in order."""
    found = []
    for file in files("tenantry").joinpath("migrations").iterdir():
        match = _FILE.fullmatch(file.name)
        if match and match[3] in {None, engine}:
            found.append(Migration(int(match[1]), match[2], file.read_text("utf-8")))
    return sorted(found, key=lambda migration: migration.number)


def pending(database: Database) -> list[Migration]:
    """Return the steps that the database has not had yet. Changes nothing.

    Raises SchemaTooNew when it has had one that this Tenantry does not know.
    """
    return _missing(database.engine, database.read(_applied_if_any))


def is_behind(tx: Transaction, engine: str) -> bool:
    """Return whether the database still needs a migration. Raises SchemaTooNew."""
    return bool(_missing(engine, _applied_if_any(tx)))


def apply(database: Database) -> list[Migration]:
    """Bring the database's schema up to date; return the steps that this took.

    Safe to run from several processes at once. Raises SchemaTooNew.
    """
    database.write(_create_record)
    missing = _missing(database.engine, database.read(_applied_if_any))
    return [step for step in missing if database.write(partial(_apply_one, step=step))]


def _create_record(tx: Transaction) -> None:
    tx.run(_CREATE_RECORD)


def _apply_one(tx: Transaction, step: Migration) -> bool:
    """Run `step` unless another process just did; return whether it ran."""
    if step.number in _applied_if_any(tx):
        return False
    # The record first: a second process waits at its key until this one is through.
    tx.run(
        "INSERT INTO schema_migrations (number, name, applied_at) VALUES (:number, :name, :applied_at)",
        number=step.number,
        name=step.name,
        applied_at=tx.now,
    )
    tx.script(step.sql)
    return True


def _missing(engine: str, applied: set[int]) -> list[Migration]:
    known = migrations(engine)
    unknown = applied - {migration.number for migration in known}
    if unknown:
        raise SchemaTooNew(
            f"The database has migration {max(unknown)}, which this Tenantry does not know: "
            "a newer one made it. Start that version, or a newer one."
        )
    return [migration for migration in known if migration.number not in applied]


def _applied_if_any(tx: Transaction) -> set[int]:
    if not tx.has_table("schema_migrations"):
        return set()
    return {row[0] for row in tx.all("SELECT number FROM schema_migrations")}
