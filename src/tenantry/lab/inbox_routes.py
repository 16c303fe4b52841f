"""The routes of a universe's inbox, and its URL, to which anybody may post."""

from typing import Annotated

import msgspec
from msgspec import Meta

from tenantry.core.clock import timestamp
from tenantry.core.endpoints import Endpoint, Request, Response
from tenantry.core.errors import ApiError
from tenantry.core.faces import ReadBody
from tenantry.core.signature import HEADER
from tenantry.lab.inbox import Arrival, Message, judge
from tenantry.lab.routes import Visit, route
from tenantry.lab.universe import Universe
from tenantry.lab.universes import Lab
from tenantry.lab.wire import OfUniverse
from tenantry.webhooks.service import signing_secrets

PATH = "/tenantry/lab/inbox"
_MOST_SECONDS = 25
_RECEIVED = b'{"message":"received"}'


class ReadInbox(OfUniverse, frozen=True, kw_only=True):
    """Which messages are asked for, and how long to wait for them."""

    events: Annotated[list[str], Meta(max_length=200, description="Names of events; all messages when none.")] = (
        msgspec.field(default_factory=list)
    )
    after: Annotated[str, Meta(description="Id of the last message seen.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=100, description="Most messages to return.")] = 100
    wait: Annotated[
        int, Meta(ge=0, le=_MOST_SECONDS, description="Seconds to wait until `count` messages are there.")
    ] = 0
    count: Annotated[int, Meta(ge=1, le=100, description="How many messages to wait for.")] = 1


class MessageCursor(msgspec.Struct, frozen=True):
    """The id of the last message shown, after which the inbox goes on."""

    after: str | None


class MessageList(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="list"):
    """What the inbox has, oldest first. `url` is where to send to."""

    url: str
    data: list[Message]
    list_metadata: MessageCursor


def url_of(lab: Lab, universe: Universe) -> str:
    """Return the URL of a universe's inbox, as this machine reaches it."""
    return f"{lab.base_url}{PATH}/{universe.id}"


def is_delivery(request: Request) -> bool:
    """Return whether a request is one to the URL of an inbox."""
    return request.method in {"POST", "PUT", "PATCH"} and request.path.startswith(f"{PATH}/")


async def receive(lab: Lab, request: Request, read_body: ReadBody) -> Response:
    """Put a request into the inbox that its path names, and answer it."""
    identity, _, rest = request.path.removeprefix(f"{PATH}/").partition("/")
    try:
        universe = lab.get(identity)
        body = await read_body()
    except ApiError as error:
        return Response(error.status, msgspec.json.encode(error.body()))
    secrets = await universe.node.database.read_soon(signing_secrets)
    now = universe.clock()
    verdict = judge(request.header(HEADER.lower()), body, secrets, now)
    arrival = Arrival(request.method, f"/{rest}" if rest else "", dict(request.fields()), body)
    universe.inbox.add(arrival, verdict, timestamp(now))
    return Response(200, _RECEIVED)


async def _read(visit: Visit) -> MessageList:
    query, inbox = visit.query, visit.universe.inbox
    if query.wait:
        await inbox.wait(query.events, query.after, query.count, query.wait)
    data = [
        message for _, message in zip(range(query.limit), inbox.messages(query.events, query.after), strict=False)
    ]
    after = data[-1].id if data else query.after
    return MessageList(url=url_of(visit.lab, visit.universe), data=data, list_metadata=MessageCursor(after))


async def _clear(visit: Visit) -> None:
    visit.universe.inbox.clear()


ENDPOINTS: tuple[Endpoint, ...] = (
    route(
        _read,
        method="GET",
        path=PATH,
        name="inbox.read",
        summary="Show what webhooks the inbox of the universe has got, or wait for them",
        query=ReadInbox,
        answer=MessageList,
    ),
    route(_clear, method="DELETE", path=PATH, name="inbox.clear", summary="Empty the inbox", status=204),
)
