"""Rows of webhook endpoints, of what is owed to them, and of each attempt."""

from typing import LiteralString

import msgspec

from tenantry.core.db import Row, Transaction
from tenantry.core.page import Bounds


class EndpointRow(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint's row. `events` is a JSON list; times are milliseconds where they are numbers."""

    id: str
    endpoint_url: str
    secret: str
    previous_secret: str | None
    previous_secret_until: int | None
    status: str
    events: str
    failing_since: int | None
    created_at: str
    updated_at: str


_ENDPOINT: LiteralString = (
    "id, endpoint_url, secret, previous_secret, previous_secret_until, status, events, failing_since,"
    " created_at, updated_at"
)


def insert_endpoint(tx: Transaction, environment_id: str, row: EndpointRow) -> None:
    """Add one endpoint."""
    tx.run(
        "INSERT INTO webhook_endpoints (environment_id, " + _ENDPOINT + ")"
        " VALUES (:environment_id, :id, :endpoint_url, :secret, :previous_secret, :previous_secret_until,"
        " :status, :events, :failing_since, :created_at, :updated_at)",
        environment_id=environment_id,
        **msgspec.structs.asdict(row),
    )


def update_endpoint(tx: Transaction, environment_id: str, row: EndpointRow) -> None:
    """Write everything of `row` over the endpoint with its id."""
    values = msgspec.structs.asdict(row)
    del values["created_at"]
    tx.run(
        "UPDATE webhook_endpoints SET endpoint_url = :endpoint_url, secret = :secret,"
        " previous_secret = :previous_secret, previous_secret_until = :previous_secret_until,"
        " status = :status, events = :events, failing_since = :failing_since, updated_at = :updated_at"
        " WHERE environment_id = :environment_id AND id = :id",
        environment_id=environment_id,
        **values,
    )


def delete_endpoint(tx: Transaction, environment_id: str, endpoint_id: str) -> int:
    """Remove one endpoint; return how many there were."""
    return tx.run(
        "DELETE FROM webhook_endpoints WHERE environment_id = :environment_id AND id = :id",
        environment_id=environment_id,
        id=endpoint_id,
    )


def select_endpoint(tx: Transaction, environment_id: str, endpoint_id: str) -> EndpointRow | None:
    """Return one endpoint."""
    row = tx.one(
        "SELECT " + _ENDPOINT + " FROM webhook_endpoints WHERE environment_id = :environment_id AND id = :id",
        environment_id=environment_id,
        id=endpoint_id,
    )
    return _endpoint(row) if row else None


def select_endpoint_id_by_url(tx: Transaction, environment_id: str, endpoint_url: str) -> str | None:
    """Return the id of the endpoint with that URL."""
    row = tx.one(
        "SELECT id FROM webhook_endpoints WHERE environment_id = :environment_id AND endpoint_url = :endpoint_url",
        environment_id=environment_id,
        endpoint_url=endpoint_url,
    )
    return row[0] if row else None


def select_endpoints(tx: Transaction, environment_id: str, limits: Bounds) -> list[EndpointRow]:
    """Return the endpoints within `limits`, in walking order, and one more if there is one."""
    sql: LiteralString = "SELECT " + _ENDPOINT + " FROM webhook_endpoints WHERE environment_id = :environment_id"
    parameters: dict[str, object] = {"environment_id": environment_id, "most": limits.limit + 1}
    if limits.cursor is not None:
        sql += " AND id < :cursor" if limits.descending else " AND id > :cursor"
        parameters["cursor"] = limits.cursor
    sql += " ORDER BY id DESC LIMIT :most" if limits.descending else " ORDER BY id LIMIT :most"
    return [_endpoint(row) for row in tx.all(sql, **parameters)]


def has_endpoint_behind(tx: Transaction, environment_id: str, limits: Bounds, first: str) -> bool:
    """Return whether there are endpoints on the other side of `first` than the one `limits` walks to."""
    sql: LiteralString = "SELECT 1 FROM webhook_endpoints WHERE environment_id = :environment_id"
    sql += " AND id > :first LIMIT 1" if limits.descending else " AND id < :first LIMIT 1"
    return tx.one(sql, environment_id=environment_id, first=first) is not None


def _endpoint(row: Row) -> EndpointRow:
    return msgspec.convert(dict(zip(EndpointRow.__struct_fields__, row, strict=True)), EndpointRow)
