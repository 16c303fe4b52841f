"""Rows of events."""

from tenantry.core.db import Transaction


def insert(
    tx: Transaction,
    *,
    environment_id: str,
    event_id: str,
    event: str,
    organization_id: str,
    created_at: str,
    wire: bytes,
) -> None:
    """Add one event; its position follows those of all events committed before."""
    tx.run(
        "INSERT INTO events (environment_id, id, event, organization_id, created_at, wire)"
        " VALUES (:environment_id, :id, :event, :organization_id, :created_at, :wire)",
        environment_id=environment_id,
        id=event_id,
        event=event,
        organization_id=organization_id,
        created_at=created_at,
        wire=wire,
    )
