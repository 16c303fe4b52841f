"""Rows of webhook endpoints, of what is owed to them, and of each attempt."""

from typing import LiteralString

import msgspec

from tenantry.core.db import Insertion, Row, Transaction, Values
from tenantry.core.page import Bounds, behind, walk, walked
from tenantry.events.positions import Place


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
    rows = tx.all(sql + walk(limits), environment_id=environment_id, **walked(limits))
    return [_endpoint(row) for row in rows]


def select_every_endpoint(tx: Transaction, environment_id: str) -> list[EndpointRow]:
    """Return all endpoints of an environment, oldest first."""
    rows = tx.all(
        "SELECT " + _ENDPOINT + " FROM webhook_endpoints WHERE environment_id = :environment_id ORDER BY id",
        environment_id=environment_id,
    )
    return [_endpoint(row) for row in rows]


def select_signing(tx: Transaction, most: int) -> list[EndpointRow]:
    """Return the newest `most` endpoints of all environments."""
    return [
        _endpoint(row)
        for row in tx.all(
            "SELECT " + _ENDPOINT + " FROM webhook_endpoints ORDER BY id DESC LIMIT :most", most=most
        )
    ]


def has_endpoint_behind(tx: Transaction, environment_id: str, limits: Bounds, first: str) -> bool:
    """Return whether there are endpoints on the other side of `first` than the one `limits` walks to."""
    sql: LiteralString = "SELECT 1 FROM webhook_endpoints WHERE environment_id = :environment_id"
    return tx.one(sql + behind(limits), environment_id=environment_id, first=first) is not None


def _endpoint(row: Row) -> EndpointRow:
    return msgspec.convert(dict(zip(EndpointRow.__struct_fields__, row, strict=True)), EndpointRow)


class DeliveryRow(msgspec.Struct, frozen=True):
    """What a claimed delivery is about. `attempts` counts the one it was claimed for."""

    id: str
    environment_id: str
    endpoint_id: str
    event_id: str
    attempts: int
    body: bytes | None


class AttemptRow(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt: the answer's status, its latency, its first bytes, and what went wrong."""

    id: str
    delivery_id: str
    status: int | None
    latency_ms: int
    answer: bytes
    error: str | None
    created_at: str


def insert_place(tx: Transaction, environment_id: str, place: Place) -> None:
    """Begin to make deliveries of an environment's events past `place`, unless that was begun before."""
    tx.run(
        "INSERT INTO webhook_places (environment_id, transaction_id, position)"
        " VALUES (:environment_id, :transaction_id, :position) ON CONFLICT (environment_id) DO NOTHING",
        environment_id=environment_id,
        transaction_id=place.transaction_id,
        position=place.position,
    )


_LOCK: dict[str, LiteralString] = {"sqlite": "", "postgres": " FOR UPDATE SKIP LOCKED"}


def select_places(tx: Transaction) -> dict[str, Place]:
    """Return up to where deliveries were made, by environment: of each that has had an endpoint."""
    rows = tx.all("SELECT environment_id, transaction_id, position FROM webhook_places")
    return {row[0]: Place(row[1], row[2]) for row in rows}


def lock_place(tx: Transaction, environment_id: str) -> Place | None:
    """Return an environment's place for this transaction alone; None when another has it."""
    sql: LiteralString = (
        "SELECT transaction_id, position FROM webhook_places"
        " WHERE environment_id = :environment_id" + _LOCK[tx.engine]
    )
    row = tx.one(sql, environment_id=environment_id)
    return Place(*row) if row else None


def update_place(tx: Transaction, environment_id: str, place: Place) -> None:
    """Move an environment's place."""
    tx.run_later(
        "UPDATE webhook_places SET transaction_id = :transaction_id, position = :position"
        " WHERE environment_id = :environment_id",
        environment_id=environment_id,
        transaction_id=place.transaction_id,
        position=place.position,
    )


def select_subscriptions(tx: Transaction, environment_id: str) -> list[tuple[str, str]]:
    """Return id and events, a JSON list, of each enabled endpoint of an environment."""
    rows = tx.all(
        "SELECT id, events FROM webhook_endpoints WHERE environment_id = :environment_id AND status = 'enabled'",
        environment_id=environment_id,
    )
    return [(row[0], row[1]) for row in rows]


class NewDelivery(msgspec.Struct, frozen=True):
    """An event to owe to an endpoint. `body` is what is sent instead of the event."""

    endpoint_id: str
    event_id: str
    event: str
    body: bytes | None = None


_INSERT_DELIVERY = Insertion(
    "webhook_deliveries",
    "id text, environment_id text, endpoint_id text, event_id text, event text, status text, attempts int4,"
    " due_at int8, body bytea, created_at text, updated_at text",
    otherwise=" ON CONFLICT (endpoint_id, event_id) DO UPDATE"
    " SET status = 'pending', attempts = 0, due_at = excluded.due_at, updated_at = excluded.updated_at",
)
_INSERT_ATTEMPT = Insertion(
    "webhook_attempts",
    "id text, delivery_id text, status int4, latency_ms int4, answer bytea, error text, created_at text",
)


def insert_delivery(
    tx: Transaction, environment_id: str, endpoint_id: str, event_id: str, event: str, body: bytes | None = None
) -> str:
    """Owe an event to an endpoint, from now on; return the delivery's id.

    One that is owed or was made before keeps its id and is owed anew.
    """
    delivery = NewDelivery(endpoint_id, event_id, event, body)
    values = _INSERT_DELIVERY.named(_delivery_row(tx, environment_id, delivery))
    row = tx.one(_INSERT_DELIVERY.one + " RETURNING id", **values)
    assert row is not None
    identity: str = row[0]
    return identity


def insert_deliveries(tx: Transaction, environment_id: str, deliveries: list[NewDelivery]) -> None:
    """Owe many, as `insert_delivery` does each."""
    if deliveries:
        tx.insert_all(_INSERT_DELIVERY, [_delivery_row(tx, environment_id, each) for each in deliveries])


def _delivery_row(tx: Transaction, environment_id: str, delivery: NewDelivery) -> Values:
    return (
        tx.new_id("whd"),
        environment_id,
        delivery.endpoint_id,
        delivery.event_id,
        delivery.event,
        "pending",
        0,
        tx.milliseconds,
        delivery.body,
        tx.now,
        tx.now,
    )


def select_owed(tx: Transaction) -> list[str]:
    """Return the ids of the endpoints to which something is due now.

    The index is walked from one endpoint to the next, however much is owed to each.
    """
    rows = tx.all(
        "WITH RECURSIVE owed (endpoint_id) AS ("
        " SELECT (SELECT MIN(endpoint_id) FROM webhook_deliveries WHERE due_at IS NOT NULL)"
        " UNION ALL SELECT (SELECT MIN(d.endpoint_id) FROM webhook_deliveries d"
        "  WHERE d.due_at IS NOT NULL AND d.endpoint_id > owed.endpoint_id)"
        " FROM owed WHERE owed.endpoint_id IS NOT NULL)"
        " SELECT endpoint_id FROM owed WHERE endpoint_id IS NOT NULL"
        " AND (SELECT MIN(d.due_at) FROM webhook_deliveries d"
        "  WHERE d.endpoint_id = owed.endpoint_id AND d.due_at IS NOT NULL) <= :now",
        now=tx.milliseconds,
    )
    return [row[0] for row in rows]


def select_next_due(tx: Transaction) -> int | None:
    """Return when the next delivery is due, in milliseconds; None when nothing is owed."""
    row = tx.one("SELECT MIN(due_at) FROM webhook_deliveries WHERE due_at IS NOT NULL")
    return row[0] if row else None


def claim(tx: Transaction, endpoint_id: str, most: int, lease_until: int) -> list[DeliveryRow]:
    """Take up to `most` deliveries that are due to an endpoint; they are due again at the end of the lease."""
    sql: LiteralString = (
        "UPDATE webhook_deliveries SET due_at = :lease_until, attempts = attempts + 1 WHERE id IN"
        " (SELECT id FROM webhook_deliveries WHERE endpoint_id = :endpoint_id AND due_at IS NOT NULL"
        " AND due_at <= :now ORDER BY due_at LIMIT :most" + _LOCK[tx.engine] + ")"
        " RETURNING id, environment_id, endpoint_id, event_id, attempts, body"
    )
    rows = tx.all(sql, endpoint_id=endpoint_id, now=tx.milliseconds, most=most, lease_until=lease_until)
    return [DeliveryRow(*row) for row in sorted(rows)]  # by id: in the order in which they were made


def drop_due(tx: Transaction, endpoint_id: str, most: int) -> int:
    """Let up to `most` deliveries that are due to an endpoint be owed no longer; return how many."""
    return tx.run(
        "UPDATE webhook_deliveries SET status = 'failed', due_at = NULL, updated_at = :now WHERE id IN"
        " (SELECT id FROM webhook_deliveries WHERE endpoint_id = :endpoint_id AND due_at IS NOT NULL"
        " AND due_at <= :milliseconds ORDER BY due_at LIMIT :most)",
        endpoint_id=endpoint_id,
        milliseconds=tx.milliseconds,
        most=most,
        now=tx.now,
    )


def select_targets(tx: Transaction, endpoint_ids: list[str]) -> dict[str, tuple[str, EndpointRow]]:
    """Return environment and row of those endpoints that are enabled, by id."""
    rows = tx.all(
        "SELECT environment_id, " + _ENDPOINT + " FROM webhook_endpoints"
        " WHERE id IN :endpoint_ids AND status = 'enabled'",
        endpoint_ids=endpoint_ids,
    )
    return {row[1]: (row[0], _endpoint(row[1:])) for row in rows}


def insert_attempts(tx: Transaction, rows: list[AttemptRow]) -> None:
    """Keep some attempts, at least one."""
    tx.insert_all(_INSERT_ATTEMPT, [msgspec.structs.astuple(row) for row in rows])


def update_delivered(tx: Transaction, delivery_ids: list[str]) -> None:
    """Mark deliveries as made, whoever holds their leases."""
    if delivery_ids:
        tx.run_later(
            "UPDATE webhook_deliveries SET status = 'delivered', due_at = NULL, updated_at = :now"
            " WHERE id IN :ids",
            ids=delivery_ids,
            now=tx.now,
        )


def release(tx: Transaction, claims: list[tuple[str, int]]) -> None:
    """Undo claims, of which each is a delivery's id and its attempts, unless its lease has gone to another."""
    tx.run_all(
        "UPDATE webhook_deliveries SET due_at = :now, attempts = attempts - 1"
        " WHERE id = :id AND attempts = :attempts AND due_at IS NOT NULL",
        [{"id": each, "attempts": attempts, "now": tx.milliseconds} for each, attempts in claims],
    )


def update_failed(tx: Transaction, delivery_id: str, attempts: int, due_at: int | None) -> None:
    """Let a delivery be due at that time, or never again, unless its lease has gone to another."""
    tx.run_later(
        "UPDATE webhook_deliveries SET status = :status, due_at = :due_at, updated_at = :now"
        " WHERE id = :id AND attempts = :attempts AND due_at IS NOT NULL",
        id=delivery_id,
        attempts=attempts,
        due_at=due_at,
        status="failed" if due_at is None else "pending",
        now=tx.now,
    )


def update_recovered(tx: Transaction, endpoint_id: str) -> None:
    """Note that an endpoint takes deliveries."""
    tx.run_later(
        "UPDATE webhook_endpoints SET failing_since = NULL WHERE id = :id AND failing_since IS NOT NULL",
        id=endpoint_id,
    )


def update_failing(tx: Transaction, endpoint_id: str) -> None:
    """Note that an endpoint fails from now on, unless it did before."""
    tx.run_later(
        "UPDATE webhook_endpoints SET failing_since = :now WHERE id = :id AND failing_since IS NULL",
        id=endpoint_id,
        now=tx.milliseconds,
    )


def update_disabled(tx: Transaction, endpoint_id: str) -> None:
    """Disable an endpoint."""
    tx.run(
        "UPDATE webhook_endpoints SET status = 'disabled', updated_at = :now WHERE id = :id",
        id=endpoint_id,
        now=tx.now,
    )


def delete_old(tx: Transaction, before_id: str, most: int) -> int:
    """Delete up to `most` deliveries made before that id, owed to nobody, with their attempts; return how many."""
    rows = tx.all(
        "SELECT id FROM (SELECT id, due_at FROM webhook_deliveries WHERE id < :before_id ORDER BY id LIMIT :most)"
        " AS oldest WHERE due_at IS NULL",
        before_id=before_id,
        most=most,
    )
    ids = [row[0] for row in rows]
    if ids:
        tx.run("DELETE FROM webhook_attempts WHERE delivery_id IN :ids", ids=ids)
        tx.run("DELETE FROM webhook_deliveries WHERE id IN :ids", ids=ids)
    return len(ids)


class KeptDelivery(msgspec.Struct, frozen=True):
    """One delivery's row as it is shown."""

    id: str
    endpoint_id: str
    event_id: str
    event: str
    status: str
    attempts: int
    due_at: int | None
    body: bytes | None
    created_at: str
    updated_at: str


_DELIVERY: LiteralString = (
    "id, endpoint_id, event_id, event, status, attempts, due_at, body, created_at, updated_at"
)
_ATTEMPT: LiteralString = "id, delivery_id, status, latency_ms, answer, error, created_at"


def select_delivery(tx: Transaction, environment_id: str, delivery_id: str) -> KeptDelivery | None:
    """Return one delivery."""
    row = tx.one(
        "SELECT " + _DELIVERY + " FROM webhook_deliveries WHERE id = :id AND environment_id = :environment_id",
        id=delivery_id,
        environment_id=environment_id,
    )
    return KeptDelivery(*row) if row else None


def select_deliveries(tx: Transaction, endpoint_id: str, limits: Bounds) -> list[KeptDelivery]:
    """Return an endpoint's deliveries within `limits`, in walking order, and one more if there is one."""
    sql: LiteralString = "SELECT " + _DELIVERY + " FROM webhook_deliveries WHERE endpoint_id = :endpoint_id"
    rows = tx.all(sql + walk(limits), endpoint_id=endpoint_id, **walked(limits))
    return [KeptDelivery(*row) for row in rows]


def has_delivery_behind(tx: Transaction, endpoint_id: str, limits: Bounds, first: str) -> bool:
    """Return whether there are deliveries on the other side of `first` than the one `limits` walks to."""
    sql: LiteralString = "SELECT 1 FROM webhook_deliveries WHERE endpoint_id = :endpoint_id"
    return tx.one(sql + behind(limits), endpoint_id=endpoint_id, first=first) is not None


def select_attempts(tx: Transaction, delivery_id: str, limits: Bounds) -> list[AttemptRow]:
    """Return a delivery's attempts within `limits`, in walking order, and one more if there is one."""
    sql: LiteralString = "SELECT " + _ATTEMPT + " FROM webhook_attempts WHERE delivery_id = :delivery_id"
    rows = tx.all(sql + walk(limits), delivery_id=delivery_id, **walked(limits))
    return [msgspec.convert(dict(zip(AttemptRow.__struct_fields__, row, strict=True)), AttemptRow) for row in rows]


def has_attempt_behind(tx: Transaction, delivery_id: str, limits: Bounds, first: str) -> bool:
    """Return whether there are attempts on the other side of `first` than the one `limits` walks to."""
    sql: LiteralString = "SELECT 1 FROM webhook_attempts WHERE delivery_id = :delivery_id"
    return tx.one(sql + behind(limits), delivery_id=delivery_id, first=first) is not None
