"""Events as they cross the network (wire.md sections 5.1 and 5.2)."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

_MOST_NAMES = 200


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


class ListEvents(msgspec.Struct, frozen=True, kw_only=True):
    """The query of the events list. Its order is always oldest first: `order` and `before` are ignored."""

    events: Annotated[
        list[str],
        Meta(
            max_length=_MOST_NAMES,
            description="Names of the events to return; at least one.",
            examples=[["organization.created", "organization.updated"]],
        ),
    ] = msgspec.field(default_factory=list)
    after: Annotated[str, Meta(description="Id of the last event seen.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=100, description="Most events to return.")] = 10
    range_start: Annotated[str, Meta(description="Earliest time, ISO 8601 UTC; not with `after`.")] | None = None
    range_end: Annotated[str, Meta(description="Latest time, ISO 8601 in UTC.")] | None = None
    organization_id: Annotated[str, Meta(description="Only events of this organization.")] | None = None


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
