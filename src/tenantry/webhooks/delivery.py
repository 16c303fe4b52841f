"""The rules of deliveries, given a transaction: what is owed to whom, who sends it, what came of it.

A delivery is owed from the moment at which its row is there, in one transaction with the
place in the feed up to which rows were made; claiming it only puts it off. So whatever
dies at whatever point, it is sent at least once.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from tenantry.core.db import Transaction
from tenantry.core.ids import ulid
from tenantry.core.outgoing import Outcome
from tenantry.core.retry import retry_after_seconds
from tenantry.events import service as events
from tenantry.events.wire import EventName
from tenantry.webhooks import store
from tenantry.webhooks.schedule import is_given_up, wait_before_retry
from tenantry.webhooks.store import AttemptRow, DeliveryRow, EndpointRow
from tenantry.webhooks.wire import DisabledWebhookEndpoint

ATTEMPT_PREFIX = "wha"
DELIVERY_PREFIX = "whd"

AT_ONCE = {"sqlite": 40, "postgres": 80}
"""How many deliveries to make, claim or record in one transaction, by engine.

On SQLite requests wait meanwhile. On PostgreSQL they do not, but each transaction costs round trips.
"""
_DROPPED_AT_ONCE = 500
_PRUNED_AT_ONCE = 500
_GONE = 410


class Parcel(msgspec.Struct, frozen=True):
    """A claimed delivery: the bytes to send, where, and the secrets that sign them, the newest first."""

    delivery_id: str
    environment_id: str
    endpoint_id: str
    attempts: int
    url: str
    secrets: tuple[str, ...]
    body: bytes


class Result(msgspec.Struct, frozen=True):
    """A parcel's outcome, and `chance` in [0, 1) that spreads its next attempt."""

    parcel: Parcel
    outcome: Outcome
    chance: float


class Waiting(msgspec.Struct, frozen=True):
    """What there is to do: environments with events to make deliveries of, endpoints that are owed some."""

    environments: list[str]
    endpoints: list[str]


def waiting(tx: Transaction) -> Waiting:
    """Return what there is to do. Changes nothing."""
    places = store.select_places(tx).items()
    behind = [environment_id for environment_id, place in places if events.settled(tx, environment_id, place, 1)]
    return Waiting(behind, store.select_owed(tx))


def next_due(tx: Transaction) -> int | None:
    """Return when the next delivery is due, in milliseconds; None when nothing is owed. Looks at all that is."""
    return store.select_next_due(tx)


def fan_out(tx: Transaction, environment_id: str) -> None:
    """Make a delivery of each of an environment's next events for each enabled endpoint that is subscribed.

    The place moves on in the same transaction, so each event is passed once.
    """
    place = store.lock_place(tx, environment_id)
    if place is None:
        return
    passed = events.settled(tx, environment_id, place, AT_ONCE[tx.engine])
    if not passed:
        return
    subscriptions = [(each, _names(names)) for each, names in store.select_subscriptions(tx, environment_id)]
    owed = [
        store.NewDelivery(endpoint_id, event.id, event.event)
        for event in passed
        for endpoint_id, names in subscriptions
        if event.event in names
    ]
    store.insert_deliveries(tx, environment_id, owed)
    store.update_place(tx, environment_id, passed[-1].place)


@lru_cache(maxsize=1024)
def _names(encoded: str) -> frozenset[str]:
    return frozenset(msgspec.json.decode(encoded, type=list[str]))


def claim(tx: Transaction, rooms: Mapping[str, int], lease_milliseconds: int) -> list[Parcel]:
    """Take up to `rooms[endpoint_id]` deliveries due to each endpoint for the length of the lease.

    What is due to an endpoint that is disabled or gone is owed no longer.
    """
    targets = store.select_targets(tx, list(rooms)) if rooms else {}
    claimed: list[DeliveryRow] = []
    for endpoint_id, room in rooms.items():
        if endpoint_id not in targets:
            store.drop_due(tx, endpoint_id, _DROPPED_AT_ONCE)
        elif room > 0:
            claimed += store.claim(tx, endpoint_id, room, tx.milliseconds + lease_milliseconds)
    bodies = _bodies(tx, claimed)
    parcels = []
    for row in claimed:
        body = row.body or bodies.get((row.environment_id, row.event_id))
        if body is None:  # the event is older than events are kept
            store.update_failed(tx, row.id, row.attempts, None)
        else:
            parcels.append(_parcel(tx, row, targets[row.endpoint_id][1], body))
    return parcels


def _bodies(tx: Transaction, claimed: list[DeliveryRow]) -> dict[tuple[str, str], bytes]:
    wanted: dict[str, list[str]] = {}
    for row in claimed:
        if row.body is None:
            wanted.setdefault(row.environment_id, []).append(row.event_id)
    return {
        (environment_id, event_id): wire
        for environment_id, ids in wanted.items()
        for event_id, wire in events.wires(tx, environment_id, list(dict.fromkeys(ids))).items()
    }


def _parcel(tx: Transaction, row: DeliveryRow, endpoint: EndpointRow, body: bytes) -> Parcel:
    return Parcel(
        delivery_id=row.id,
        environment_id=row.environment_id,
        endpoint_id=row.endpoint_id,
        attempts=row.attempts,
        url=endpoint.endpoint_url,
        secrets=_secrets(endpoint, tx.milliseconds),
        body=body,
    )


def _secrets(endpoint: EndpointRow, milliseconds: int) -> tuple[str, ...]:
    previous, until = endpoint.previous_secret, endpoint.previous_secret_until
    if previous is None or until is None or milliseconds >= until:
        return (endpoint.secret,)
    return (endpoint.secret, previous)


def release(tx: Transaction, parcels: Sequence[Parcel]) -> None:
    """Give back claimed deliveries of which nothing was sent: they are due now, as if never claimed."""
    store.release(tx, [(parcel.delivery_id, parcel.attempts) for parcel in parcels])


def record(tx: Transaction, results: Sequence[Result], waits: Sequence[float]) -> None:
    """Keep what came of attempts: each delivery is made, due again by the schedule, or given up.

    An endpoint that answers 410, or has only failed for five days, is disabled, with an event.
    """
    by_endpoint: dict[tuple[str, str], list[Result]] = {}
    store.insert_attempts(tx, [_attempt(tx, result) for result in results])
    store.update_delivered(tx, [each.parcel.delivery_id for each in results if each.outcome.delivered])
    for result in results:
        parcel = result.parcel
        if not result.outcome.delivered:
            store.update_failed(tx, parcel.delivery_id, parcel.attempts, _due_again(tx, result, waits))
        by_endpoint.setdefault((parcel.environment_id, parcel.endpoint_id), []).append(result)
    for (environment_id, endpoint_id), of_endpoint in by_endpoint.items():
        _judge(tx, environment_id, endpoint_id, of_endpoint)


def _attempt(tx: Transaction, result: Result) -> AttemptRow:
    outcome = result.outcome
    return AttemptRow(
        id=tx.new_id(ATTEMPT_PREFIX),
        delivery_id=result.parcel.delivery_id,
        status=outcome.status,
        latency_ms=outcome.latency_ms,
        answer=outcome.answer,
        error=outcome.error,
        created_at=tx.now,
    )


def _due_again(tx: Transaction, result: Result, waits: Sequence[float]) -> int | None:
    asked = retry_after_seconds(result.outcome.retry_after, tx.milliseconds)
    wait = wait_before_retry(waits, result.parcel.attempts, result.chance, asked)
    if wait is None or result.outcome.status == _GONE:
        return None
    return tx.milliseconds + round(wait * 1000)


def _judge(tx: Transaction, environment_id: str, endpoint_id: str, results: list[Result]) -> None:
    """Note how an endpoint does, and disable it when it has to be."""
    if any(result.outcome.delivered for result in results):
        store.update_recovered(tx, endpoint_id)
        return
    store.update_failing(tx, endpoint_id)
    endpoint = store.select_endpoint(tx, environment_id, endpoint_id)
    if endpoint is None or endpoint.status != "enabled":
        return
    if any(result.outcome.status == _GONE for result in results):
        _disable(tx, environment_id, endpoint, "The endpoint answered 410 Gone.")
    elif is_given_up(endpoint.failing_since, tx.milliseconds):
        _disable(tx, environment_id, endpoint, "Every attempt of the last five days has failed.")


def _disable(tx: Transaction, environment_id: str, endpoint: EndpointRow, reason: str) -> None:
    store.update_disabled(tx, endpoint.id)
    data = DisabledWebhookEndpoint(
        id=endpoint.id,
        endpoint_url=endpoint.endpoint_url,
        status="disabled",
        events=msgspec.json.decode(endpoint.events, type=list[str]),
        created_at=endpoint.created_at,
        updated_at=tx.now,
        reason=reason,
    )
    events.record_by_system(tx, environment_id, EventName.WEBHOOK_ENDPOINT_DISABLED, data)


def prune(tx: Transaction, retention_days: int) -> int:
    """Delete some hundred deliveries older than the retention, with their attempts; return how many."""
    oldest = max(0, tx.milliseconds - retention_days * 24 * 60 * 60 * 1000)
    return store.delete_old(tx, f"{DELIVERY_PREFIX}_{ulid(oldest, 0)}", _PRUNED_AT_ONCE)
