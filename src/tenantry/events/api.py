"""The routes of events."""

from tenantry.core.endpoints import Call, Endpoint, Later, Resource
from tenantry.events import follow, service
from tenantry.events.service import EventNamesMissing
from tenantry.events.wire import (
    EventList,
    EventPage,
    FollowEvents,
    ListEvents,
    PositionedEvent,
    PositionedEventList,
    PositionedEventPage,
    StreamEvents,
)


def _list(call: Call) -> EventPage:
    return service.list_page(call.tx, call.caller, call.query)


def _follow(call: Call) -> PositionedEventPage | Later:
    return follow.page(call.tx, call.caller, call.query)


def _stream(call: Call) -> Later:
    return follow.stream(call.tx, call.caller, call.query)


RESOURCE = Resource(
    name="events",
    title="Events",
    endpoints=(
        Endpoint(
            method="GET",
            path="/events",
            name="events.list",
            summary="List events, oldest first",
            query=ListEvents,
            answer=EventList,
            errors=(EventNamesMissing,),
            handler=_list,
        ),
        Endpoint(
            method="GET",
            path="/tenantry/events",
            name="tenantry.events.follow",
            summary="List events with their positions, oldest first, or wait for the next one",
            query=FollowEvents,
            answer=PositionedEventList,
            handler=_follow,
        ),
        Endpoint(
            method="GET",
            path="/tenantry/events/stream",
            name="tenantry.events.stream",
            summary="Stream events as Server-Sent Events, each message a PositionedEvent",
            query=StreamEvents,
            headers={"last-event-id": "after"},
            media=follow.MEDIA,
            answer=PositionedEvent,
            handler=_stream,
        ),
    ),
)
