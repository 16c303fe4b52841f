"""Rows of places: up to where an environment's events are written to audit logs."""

from typing import LiteralString

from tenantry.core.db import Transaction
from tenantry.events.positions import START, Place

BEGUN = ""
"""Stands for no environment: its row says that places were begun."""

_LOCK: dict[str, LiteralString] = {"sqlite": "", "postgres": " FOR UPDATE SKIP LOCKED"}


def select_places(tx: Transaction) -> dict[str, Place]:
    """Return every place, by environment; that of no environment is among them once they are begun."""
    rows = tx.all("SELECT environment_id, transaction_id, position FROM audit_log_places")
    return {row[0]: Place(row[1], row[2]) for row in rows}


def begin(tx: Transaction) -> bool:
    """Note that places are begun; return whether they were not before."""
    return insert_place(tx, BEGUN, START)


def insert_place(tx: Transaction, environment_id: str, place: Place) -> bool:
    """Begin an environment's place, unless that was begun before; return whether it was not."""
    made = tx.run(
        "INSERT INTO audit_log_places (environment_id, transaction_id, position)"
        " VALUES (:environment_id, :transaction_id, :position) ON CONFLICT (environment_id) DO NOTHING",
        environment_id=environment_id,
        transaction_id=place.transaction_id,
        position=place.position,
    )
    return made == 1


def lock_place(tx: Transaction, environment_id: str) -> Place | None:
    """Return an environment's place for this transaction alone; None when another has it."""
    sql: LiteralString = (
        "SELECT transaction_id, position FROM audit_log_places"
        " WHERE environment_id = :environment_id" + _LOCK[tx.engine]
    )
    row = tx.one(sql, environment_id=environment_id)
    return Place(*row) if row else None


def update_place(tx: Transaction, environment_id: str, place: Place) -> None:
    """Move an environment's place."""
    tx.run(
        "UPDATE audit_log_places SET transaction_id = :transaction_id, position = :position"
        " WHERE environment_id = :environment_id",
        environment_id=environment_id,
        transaction_id=place.transaction_id,
        position=place.position,
    )


def delete_places(tx: Transaction) -> None:
    """Forget all places: whoever begins anew begins with what happens then."""
    tx.run("DELETE FROM audit_log_places")
