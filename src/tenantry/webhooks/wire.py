"""Webhook endpoints as they cross the network (wire.md section 5.3)."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tenantry.core.page import AFTER, BEFORE, Cursor, ListMetadata, PageQuery
from tenantry.core.parsing import Moment
from tenantry.events.wire import EventId

PREFIX = "we"

_MOST_EVENTS = 200

Status = Literal["enabled", "disabled"]
Url = Annotated[
    str,
    Meta(
        description="Where events are sent: an https URL at a public address.",
        examples=["https://receiver.example/webhooks"],
    ),
]
EventNames = Annotated[
    list[str],
    Meta(
        max_length=_MOST_EVENTS,
        description="Names of the events to send; at least one.",
        examples=[["organization.created", "organization.updated"]],
    ),
]


class WebhookEndpoint(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="webhook_endpoint"):
    """A place that events are sent to. `secret` signs what is sent."""

    id: str
    endpoint_url: str
    secret: str
    status: Status
    events: list[str]
    created_at: str
    updated_at: str


class DisabledWebhookEndpoint(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="webhook_endpoint"
):
    """The data of `webhook_endpoint.disabled`: an endpoint that Tenantry gave up, without its secret, and why."""

    id: str
    endpoint_url: str
    status: Status
    events: list[str]
    created_at: str
    updated_at: str
    reason: str


class CreateWebhookEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a create."""

    endpoint_url: Url
    events: EventNames


class UpdateWebhookEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an update: what is absent or null stays."""

    status: Status | None = None
    endpoint_url: Url | None = None
    events: EventNames | None = None


class WebhookEndpointCursor(Cursor):
    """A place in the list of webhook endpoints."""

    __slots__ = ()
    prefix = PREFIX


class ListWebhookEndpoints(PageQuery, kw_only=True, frozen=True):
    """The query of a list."""

    before: Annotated[WebhookEndpointCursor, BEFORE] | None = None
    after: Annotated[WebhookEndpointCursor, AFTER] | None = None


class WebhookEndpointList(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """A page of webhook endpoints."""

    data: list[WebhookEndpoint]
    list_metadata: ListMetadata


MOST_OVERLAP_SECONDS = 7 * 24 * 60 * 60


class WebhookDelivery(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="webhook_delivery"):
    """An event that is owed to an endpoint, was delivered, or has failed for good."""

    id: str
    webhook_endpoint_id: str
    event_id: str
    event: str
    status: Literal["pending", "delivered", "failed"]
    attempts: int
    next_attempt_at: str | None
    created_at: str
    updated_at: str


class WebhookAttempt(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="webhook_attempt"):
    """One attempt to deliver: the answer's status and the first 4 KiB of its body, or what went wrong."""

    id: str
    webhook_delivery_id: str
    response_status: int | None
    response_body: str
    latency_ms: int
    error: str | None
    created_at: str


class DeliveryCursor(Cursor):
    """A place in the list of deliveries."""

    __slots__ = ()
    prefix = "whd"


class AttemptCursor(Cursor):
    """A place in the list of attempts."""

    __slots__ = ()
    prefix = "wha"


class ListDeliveries(PageQuery, kw_only=True, frozen=True):
    """The query of a list of deliveries."""

    before: Annotated[DeliveryCursor, BEFORE] | None = None
    after: Annotated[DeliveryCursor, AFTER] | None = None


class ListAttempts(PageQuery, kw_only=True, frozen=True):
    """The query of a list of attempts."""

    before: Annotated[AttemptCursor, BEFORE] | None = None
    after: Annotated[AttemptCursor, AFTER] | None = None


class WebhookDeliveryList(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """A page of deliveries."""

    data: list[WebhookDelivery]
    list_metadata: ListMetadata


class WebhookAttemptList(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """A page of attempts."""

    data: list[WebhookAttempt]
    list_metadata: ListMetadata


class RotateSecret(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a rotation: how long the old secret still signs what the new one was refused for."""

    overlap_seconds: Annotated[
        int, Meta(ge=0, le=MOST_OVERLAP_SECONDS, description="How long the old secret counts beside the new one.")
    ] = 86_400


class ReplayEvents(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a replay: the events of a range of time, both ends included."""

    range_start: Annotated[
        Moment, Meta(description="Earliest time, ISO 8601 in UTC.", examples=["2026-01-15T12:00:00Z"])
    ]
    range_end: Annotated[Moment, Meta(description="Latest time, ISO 8601 in UTC.")] | None = None
    after: Annotated[EventId, Meta(description="Where the answer before said that it goes on.")] | None = None


class RecoverDeliveries(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a recovery: what has failed since a time, of this endpoint or another one."""

    since: Annotated[
        Moment, Meta(description="Earliest time, ISO 8601 in UTC.", examples=["2026-01-15T12:00:00Z"])
    ]
    source: (
        Annotated[str, Meta(description="The endpoint whose failed deliveries are meant, if another.")] | None
    ) = None
    after: Annotated[DeliveryCursor, Meta(description="Where the answer before said that it goes on.")] | None = (
        None
    )


class Requeued(msgspec.Struct, frozen=True, tag_field="object", tag="webhook_requeue"):
    """How many deliveries one request made due. While `after` is not null there is more: ask again with it."""

    count: int
    after: str | None
