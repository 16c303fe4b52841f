"""Rows of places: up to where an environment's events are written to audit logs."""

from typing import LiteralString

import msgspec

from tenantry.core.db import Transaction

BEGUN = ""
"""Stands for no environment: its row says that places were begun."""

_LOCK: dict[str, LiteralString] = {"sqlite": "", "postgres": " FOR UPDATE SKIP LOCKED"}


class PlaceRow(msgspec.Struct, frozen=True):
    """Up to where an environment's events are written."""

    environment_id: str
    transaction_id: int
    position: int


def select_places(tx: Transaction) -> dict[str, tuple[int, int]]:
    """Return every place, by environment; that of no environment is among them once they are begun."""
    rows = tx.all("SELECT environment_id, transaction_id, position FROM audit_log_places")
    return {row[0]: (row[1], row[2]) for row in rows}


def begin(tx: Transaction) -> bool:
    """Note that places are begun; return whether they were not before."""
    return insert_place(tx, PlaceRow(BEGUN, -1, -1))


def insert_place(tx: Transaction, place: PlaceRow) -> bool:
    """Begin an environment's place, unless that was begun before; return whether it was not."""
    made = tx.run(
        "INSERT INTO audit_log_places (environment_id, transaction_id, position)"
        " VALUES (:environment_id, :transaction_id, :position) ON CONFLICT (environment_id) DO NOTHING",
        **msgspec.structs.asdict(place),
    )
    return made == 1


def lock_place(tx: Transaction, environment_id: str) -> PlaceRow | None:
    """Return an environment's place for this transaction alone; None when another has it."""
    sql: LiteralString = (
        "SELECT environment_id, transaction_id, position FROM audit_log_places"
        " WHERE environment_id = :environment_id" + _LOCK[tx.engine]
    )
    row = tx.one(sql, environment_id=environment_id)
    return PlaceRow(*row) if row else None


def update_place(tx: Transaction, place: PlaceRow) -> None:
    """Move an environment's place."""
    tx.run(
        "UPDATE audit_log_places SET transaction_id = :transaction_id, position = :position"
        " WHERE environment_id = :environment_id",
        **msgspec.structs.asdict(place),
    )


def delete_places(tx: Transaction) -> None:
    """Forget all places: whoever begins anew begins with what happens then."""
    tx.run("DELETE FROM audit_log_places")
