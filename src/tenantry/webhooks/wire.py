"""Webhook endpoints as they cross the network (wire.md section 5.3)."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tenantry.core.page import AFTER, BEFORE, Cursor, ListMetadata, PageQuery

PREFIX = "we"

_MOST_EVENTS = 200

Status = Literal["enabled", "disabled"]
Url = Annotated[str, Meta(description="Where events are sent: an https URL at a public address.")]
EventNames = Annotated[
    list[str], Meta(max_length=_MOST_EVENTS, description="Names of the events to send; at least one.")
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

    endpoint_url: Url | None = None
    status: Status | None = None
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
