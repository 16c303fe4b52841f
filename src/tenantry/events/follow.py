"""Following the feed: pages that are waited for, and a stream of Server-Sent Events.

Between two looks nothing is held: no thread, no connection, no transaction.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from functools import partial
from typing import Any

import msgspec

from tenantry.core.caller import Caller
from tenantry.core.db import Transaction
from tenantry.core.endpoints import Later, Outside, Stream
from tenantry.core.errors import ApiError
from tenantry.core.watch import News, Subject
from tenantry.events import service, store
from tenantry.events.positions import Place, text_of
from tenantry.events.service import Followed
from tenantry.events.store import EventFilter, EventRow, Happened
from tenantry.events.wire import FeedCursor, FollowEvents, PositionedEventPage, StreamEvents

MEDIA = "text/event-stream"
HEADERS = (("cache-control", "no-store"), ("x-accel-buffering", "no"))
HEARTBEAT_SECONDS = 15.0
# granian takes all it is given, however slow the client: so a stream ends after this
# much, which is then the most that a slow client costs. The client resumes.
MOST_BYTES = 1 << 19

_PAGE = 100
_LOOKED_AT = 100
# How long a stream may outlive its key.
_CHECK_SECONDS = 5.0
_RETRY_MILLISECONDS = 500


class _Feed(msgspec.Struct, frozen=True):
    """One caller's share of the feed."""

    outside: Outside
    subject: Subject
    chosen: EventFilter
    limit: int

    async def wait(self, place: Place, seconds: float) -> None:
        await self.outside.watch.wait(self.subject, place, partial(matches, self.chosen), seconds)

    async def look(self, place: Place) -> Followed:
        """Return what stands past `place`. Raises Unauthorized once the key is revoked."""
        found: Followed = await self.outside.read(
            lambda tx, caller: service.follow(tx, caller, self.chosen, place, self.limit)
        )
        return found


def page(tx: Transaction, caller: Caller, query: FollowEvents) -> PositionedEventPage | Later:
    """Return the events past `query.after`; when there are none, what waits for one. Raises ValidationFailed."""
    chosen = service.chosen_by(query)
    found = service.follow(tx, caller, chosen, service.start_of(tx, caller, query), query.limit)
    if found.events or not query.wait:
        return _page_of(found)

    async def rest(outside: Outside) -> PositionedEventPage:
        return await _wait(_Feed(outside, _subject(caller), chosen, query.limit), found, query.wait)

    return Later(rest)


async def _wait(feed: _Feed, found: Followed, seconds: int) -> PositionedEventPage:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not found.events and not feed.outside.watch.stopped and (left := deadline - loop.time()) > 0:
        await feed.wait(found.end, left)
        found = await feed.look(found.end)
    return _page_of(found)


def stream(tx: Transaction, caller: Caller, query: StreamEvents) -> Later:
    """Return what streams the events past `query.after`, those to come too. Raises ValidationFailed."""
    chosen = service.chosen_by(query)
    found = service.follow(tx, caller, chosen, service.start_of(tx, caller, query), _PAGE)

    async def rest(outside: Outside) -> Stream:
        feed = _Feed(outside, _subject(caller), chosen, _PAGE)
        return Stream(_messages(feed, found), MEDIA, HEADERS)

    return Later(rest)


async def _messages(feed: _Feed, found: Followed) -> AsyncGenerator[bytes, None]:
    loop = asyncio.get_running_loop()
    sent, spoken = 0, loop.time()
    yield b"retry: %d\n\n" % _RETRY_MILLISECONDS
    while sent < MOST_BYTES and not feed.outside.watch.stopped:
        if found.events:
            messages = b"".join(_up_to(MOST_BYTES - sent, found.events))
            sent, spoken = sent + len(messages), loop.time()
            yield messages
        elif loop.time() - spoken >= HEARTBEAT_SECONDS:
            spoken = loop.time()
            yield b":\n\n"
        if not found.more:
            await feed.wait(found.end, min(_CHECK_SECONDS, spoken + HEARTBEAT_SECONDS - loop.time()))
        try:
            found = await feed.look(found.end)
        except ApiError:
            return  # the key is revoked, or the database cannot be reached: the next request is told


def _up_to(most: int, rows: list[EventRow]) -> Iterator[bytes]:
    """Yield messages until they hold `most` bytes; the last one is whole all the same."""
    for row in rows:
        if most <= 0:
            return
        text = message(row)
        most -= len(text)
        yield text


def message(row: EventRow) -> bytes:
    """Return an event as a Server-Sent Event: its id is the position, its data the JSON on one line."""
    name = msgspec.json.decode(row.wire, type=_Named).event
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (text_of(row.place).encode(), name.encode(), with_position(row))


class _Named(msgspec.Struct, frozen=True):
    event: str


def with_position(row: EventRow) -> bytes:
    """Return the event's JSON with its position at the end."""
    return b'%s,"position":"%s"}' % (row.wire[:-1], text_of(row.place).encode())


def matches(chosen: EventFilter, happened: Happened) -> bool:
    """Return whether `chosen` asks for this event; SQL says the same of its row."""
    return (
        (not chosen.names or happened.event in chosen.names)
        and (chosen.organization_id is None or happened.organization_id == chosen.organization_id)
        and (chosen.earliest is None or happened.created_at >= chosen.earliest)
        and (chosen.latest is None or happened.created_at <= chosen.latest)
    )


def _page_of(found: Followed) -> PositionedEventPage:
    data = [msgspec.Raw(with_position(row)) for row in found.events]
    return PositionedEventPage(data, FeedCursor(text_of(found.end)))


def _subject(caller: Caller) -> Subject:
    """Return the events of the caller's environment as what can be waited for."""

    def look(tx: Transaction, place: Any) -> News:
        happened = store.select_happened(tx, caller.environment_id, place, _LOOKED_AT)
        return News(happened, happened[-1].place if happened else place, more=len(happened) == _LOOKED_AT)

    return Subject(("events", caller.environment_id), look)
