"""The routes of events."""

from tenantry.core.endpoints import Call, Endpoint, Resource
from tenantry.events import service
from tenantry.events.service import EventNamesMissing
from tenantry.events.wire import EventList, EventPage, ListEvents


def _list(call: Call) -> EventPage:
    return service.list_page(call.tx, call.caller, call.query)


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
    ),
)
