"""What was sent to an endpoint, and sending it again: under our own prefix, the hosted API has none of it."""

from functools import partial

import msgspec

from tenantry.core.caller import Caller
from tenantry.core.clock import milliseconds_of, timestamp
from tenantry.core.db import Transaction
from tenantry.core.errors import EntityNotFound
from tenantry.core.ids import ulid
from tenantry.core.page import Bounds, Page, bounds, envelope, window
from tenantry.events import service as events
from tenantry.events.wire import Actor, Context, Event, EventName, ListEvents
from tenantry.webhooks import store
from tenantry.webhooks.delivery import DELIVERY_PREFIX
from tenantry.webhooks.service import get_row, new_secret, shown
from tenantry.webhooks.store import AttemptRow, KeptDelivery
from tenantry.webhooks.wire import (
    ListAttempts,
    ListDeliveries,
    RecoverDeliveries,
    ReplayEvents,
    Requeued,
    RotateSecret,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
)

_AT_ONCE = 500

_encode = msgspec.json.Encoder().encode


class DeliveryNotFound(EntityNotFound):
    """The caller's environment has no such delivery: 404."""

    def __init__(self, identity: str) -> None:
        super().__init__("Webhook delivery", identity)


class _Named(msgspec.Struct, frozen=True):
    """What is read of an event to owe it to somebody."""

    id: str
    event: str


class Tested(msgspec.Struct, frozen=True):
    """The data of a test: the endpoint that it is sent to."""

    id: str
    endpoint_url: str


def list_deliveries(
    tx: Transaction, caller: Caller, endpoint_id: str, query: ListDeliveries
) -> Page[WebhookDelivery]:
    """Return one page of what an endpoint was and is owed. Raises WebhookEndpointNotFound."""
    get_row(tx, caller, endpoint_id)
    limits = bounds(query)
    walked = [(row.id, shown_delivery(row)) for row in store.select_deliveries(tx, endpoint_id, limits)]
    has_behind = partial(store.has_delivery_behind, tx, endpoint_id, limits)
    return envelope(query, window(limits, walked, has_behind))


def list_attempts(tx: Transaction, caller: Caller, delivery_id: str, query: ListAttempts) -> Page[WebhookAttempt]:
    """Return one page of the attempts to make a delivery. Raises DeliveryNotFound."""
    _delivery(tx, caller, delivery_id)
    limits = bounds(query)
    walked = [(row.id, _shown_attempt(row)) for row in store.select_attempts(tx, delivery_id, limits)]
    has_behind = partial(store.has_attempt_behind, tx, delivery_id, limits)
    return envelope(query, window(limits, walked, has_behind))


def resend(tx: Transaction, caller: Caller, delivery_id: str) -> WebhookDelivery:
    """Make a delivery due now, with all its attempts ahead of it again; return it. Raises DeliveryNotFound."""
    row = _delivery(tx, caller, delivery_id)
    store.insert_delivery(tx, caller.environment_id, row.endpoint_id, row.event_id, row.event, row.body)
    return shown_delivery(_delivery(tx, caller, delivery_id))


def replay(tx: Transaction, caller: Caller, endpoint_id: str, body: ReplayEvents) -> Requeued:
    """Owe an endpoint the next five hundred of the events of a range of time that it is subscribed to.

    Raises WebhookEndpointNotFound, ValidationFailed.
    """
    endpoint = get_row(tx, caller, endpoint_id)
    query = ListEvents(
        events=msgspec.json.decode(endpoint.events, type=list[str]),
        after=body.after,
        range_start=None if body.after else body.range_start,
        range_end=body.range_end,
        limit=_AT_ONCE,
    )
    page = events.list_page(tx, caller, query)
    for raw in page.data:
        event = msgspec.json.decode(raw, type=_Named)
        store.insert_delivery(tx, caller.environment_id, endpoint_id, event.id, event.event)
    return Requeued(len(page.data), page.list_metadata.after)


def recover(tx: Transaction, caller: Caller, endpoint_id: str, body: RecoverDeliveries) -> Requeued:
    """Owe an endpoint what has failed since a time, of its own or of another endpoint's; looks at five hundred.

    Raises WebhookEndpointNotFound.
    """
    get_row(tx, caller, endpoint_id)
    source = body.source or endpoint_id
    get_row(tx, caller, source)
    start = body.after or f"{DELIVERY_PREFIX}_{ulid(max(0, milliseconds_of(body.since) - 1), (1 << 80) - 1)}"
    looked_at = store.select_deliveries(tx, source, Bounds(start, descending=False, reverse=False, limit=_AT_ONCE))
    failed = [row for row in looked_at[:_AT_ONCE] if row.status == "failed"]
    for row in failed:
        store.insert_delivery(tx, caller.environment_id, endpoint_id, row.event_id, row.event, row.body)
    return Requeued(len(failed), looked_at[_AT_ONCE - 1].id if len(looked_at) > _AT_ONCE else None)


def rotate_secret(tx: Transaction, caller: Caller, endpoint_id: str, body: RotateSecret) -> WebhookEndpoint:
    """Give an endpoint a new secret; return it. The one before counts beside it for the overlap.

    The header has room for one signature only (wire.md section 5.4). So each delivery is
    signed by the new secret and, when that is refused during the overlap, sent once more
    signed by the old: a receiver that holds either takes it. Raises WebhookEndpointNotFound.
    """
    before = get_row(tx, caller, endpoint_id)
    after = msgspec.structs.replace(
        before,
        secret=new_secret(tx),
        previous_secret=before.secret,
        previous_secret_until=tx.milliseconds + body.overlap_seconds * 1000,
        updated_at=tx.now,
    )
    store.update_endpoint(tx, caller.environment_id, after)
    return shown(after)


def send_test(tx: Transaction, caller: Caller, endpoint_id: str) -> WebhookDelivery:
    """Owe an endpoint an event that stands for nothing and is in no feed; return the delivery.

    Raises WebhookEndpointNotFound.
    """
    endpoint = get_row(tx, caller, endpoint_id)
    event_id, name = tx.new_id("event"), EventName.WEBHOOK_ENDPOINT_TEST.value
    event = Event(
        id=event_id,
        event=name,
        data=Tested(endpoint.id, endpoint.endpoint_url),
        created_at=tx.now,
        context=Context(actor=Actor(id=caller.key_id, source="api", name=caller.key_name)),
    )
    delivery_id = store.insert_delivery(tx, caller.environment_id, endpoint_id, event_id, name, _encode(event))
    return shown_delivery(_delivery(tx, caller, delivery_id))


def _delivery(tx: Transaction, caller: Caller, delivery_id: str) -> KeptDelivery:
    row = store.select_delivery(tx, caller.environment_id, delivery_id)
    if row is None:
        raise DeliveryNotFound(delivery_id)
    return row


def shown_delivery(row: KeptDelivery) -> WebhookDelivery:
    """Return a delivery as the API has it."""
    return WebhookDelivery(
        id=row.id,
        webhook_endpoint_id=row.endpoint_id,
        event_id=row.event_id,
        event=row.event,
        status="delivered" if row.status == "delivered" else "failed" if row.due_at is None else "pending",
        attempts=row.attempts,
        next_attempt_at=None if row.due_at is None else timestamp(row.due_at),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _shown_attempt(row: AttemptRow) -> WebhookAttempt:
    return WebhookAttempt(
        id=row.id,
        webhook_delivery_id=row.delivery_id,
        response_status=row.status,
        response_body=bytes(row.answer).decode("utf-8", "replace"),
        latency_ms=row.latency_ms,
        error=row.error,
        created_at=row.created_at,
    )
