"""Events as they cross the network (wire.md sections 5.1 and 5.2)."""

from enum import StrEnum
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import Meta

from tenantry.core.page import Cursor
from tenantry.core.parsing import Moment, ParsedText
from tenantry.events.positions import is_position

PREFIX = "event"
MOST_SECONDS = 25

_MOST_NAMES = 200
_EXAMPLES = [["organization.created", "organization.updated"]]


class EventName(StrEnum):
    """The name of every event that Tenantry makes, wherever it goes: one that is not here cannot be made."""

    ORGANIZATION_CREATED = "organization.created"
    ORGANIZATION_UPDATED = "organization.updated"
    ORGANIZATION_DELETED = "organization.deleted"
    ORGANIZATION_DOMAIN_CREATED = "organization_domain.created"
    ORGANIZATION_DOMAIN_UPDATED = "organization_domain.updated"
    ORGANIZATION_DOMAIN_VERIFIED = "organization_domain.verified"
    ORGANIZATION_DOMAIN_VERIFICATION_FAILED = "organization_domain.verification_failed"
    ORGANIZATION_DOMAIN_DELETED = "organization_domain.deleted"

    ORGANIZATION_DOMAIN_AT_RISK = "organization_domain.at_risk"
    """Our own: the record of a verified domain has been gone for days."""

    ORGANIZATION_DOMAIN_RISK_ENDED = "organization_domain.risk_ended"
    """Our own: the record is there again."""

    ORGANIZATION_DOMAIN_CONTESTED = "organization_domain.contested"
    """Our own: another organization has proved a domain that one has."""

    ORGANIZATION_DOMAIN_CONTEST_ENDED = "organization_domain.contest_ended"
    """Our own: it is decided whose the domain is, or there is nothing to decide any more."""

    WEBHOOK_ENDPOINT_DISABLED = "webhook_endpoint.disabled"
    """Our own, the hosted API has none: Tenantry has stopped delivering to an endpoint."""

    WEBHOOK_ENDPOINT_TEST = "webhook_endpoint.test"
    """Our own: what a test send sends. It is in no feed and cannot be subscribed to."""


FEED_NAMES = frozenset(each.value for each in EventName if each is not EventName.WEBHOOK_ENDPOINT_TEST)
"""The names of the events that Tenantry makes and keeps."""


class EventId(Cursor):
    """The id of an event, which need not be kept any more."""

    __slots__ = ()
    prefix = PREFIX


class PositionOrId(ParsedText):
    """A position, or the id of an event."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the text as it is. Raises ValueError for what is neither."""
        if not is_position(text):
            try:
                EventId.parse(text)
            except ValueError as error:
                raise ValueError(f"must be a position, or an id that begins with {PREFIX}_") from error
        return cls(text)


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who made the change."""

    id: str
    source: Literal["api", "dashboard", "admin_portal", "system"]
    name: str | None


class Context(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the change came about; `previous_attributes` holds what it replaced, on updates."""

    actor: Actor
    previous_attributes: dict[str, Any] | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="event"):
    """One change. `data` is the whole object after it (before it, for a deletion)."""

    id: str
    event: str
    data: Any
    created_at: str
    context: Context


class PositionedEvent(Event, frozen=True, kw_only=True, tag_field="object", tag="event"):
    """An event with its position in the order served: of two the later has the greater text."""

    position: str


class EventQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which events are asked for."""

    events: Annotated[
        list[str],
        Meta(max_length=_MOST_NAMES, description="Names of the events to return; all when there are none."),
    ] = msgspec.field(default_factory=list)
    range_start: Annotated[Moment, Meta(description="Earliest time, ISO 8601 in UTC.")] | None = None
    range_end: Annotated[Moment, Meta(description="Latest time, ISO 8601 in UTC.")] | None = None
    organization_id: Annotated[str, Meta(description="Only events of this organization.")] | None = None


class ListEvents(EventQuery, frozen=True, kw_only=True):
    """The query of the events list. Its order is always oldest first: `order` and `before` are ignored."""

    events: Annotated[
        list[str],
        Meta(
            max_length=_MOST_NAMES,
            description="Names of the events to return; at least one.",
            examples=_EXAMPLES,
        ),
    ] = msgspec.field(default_factory=list)
    after: Annotated[EventId, Meta(description="Id of the last event seen.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=100, description="Most events to return.")] = 10
    range_start: Annotated[Moment, Meta(description="Earliest time, ISO 8601 UTC; not with `after`.")] | None = (
        None
    )


class StreamEvents(EventQuery, frozen=True, kw_only=True):
    """The query of the stream: it begins past `after`, or with the oldest event kept."""

    after: Annotated[PositionOrId, Meta(description="Position (or event id) of the last event seen.")] | None = (
        None
    )


class FollowEvents(StreamEvents, frozen=True, kw_only=True):
    """The query of the feed that can be waited for."""

    limit: Annotated[int, Meta(ge=1, le=100, description="Most events to return.")] = 10
    wait: Annotated[
        int,
        Meta(ge=0, le=MOST_SECONDS, description="Seconds to wait for an event when there is none."),
    ] = 0


class EventCursor(msgspec.Struct, frozen=True):
    """Where the list goes on; None at its end."""

    after: str | None


class EventList(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """A page of events."""

    data: list[Event]
    list_metadata: EventCursor


class EventPage(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """A page of events whose JSON is ready."""

    data: list[msgspec.Raw]
    list_metadata: EventCursor


class FeedCursor(msgspec.Struct, frozen=True):
    """The position past which the feed goes on; it is there at the end too."""

    after: str


class PositionedEventList(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """A page of the feed."""

    data: list[PositionedEvent]
    list_metadata: FeedCursor


class PositionedEventPage(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """A page of the feed whose JSON is ready."""

    data: list[msgspec.Raw]
    list_metadata: FeedCursor
