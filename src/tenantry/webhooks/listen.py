"""Following a server's events to send them on. Loaded by its command alone: the client costs some 15 MiB."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec

from tenantry.core.entropy import alphanumeric

_PAGE = 100
_WAIT_SECONDS = 25
_ANSWER_SECONDS = 15
_FAR = "9999-01-01T00:00:00.000Z"
_PAUSE_SECONDS = 1.0
_SECRET_LENGTH = 25


class FeedRefused(Exception):
    """The server does not give its events; the message says why. Trying again would not help."""


class Lost(msgspec.Struct, frozen=True):
    """The server cannot be reached now, for a reason; it is tried again."""

    reason: str


class Found(msgspec.Struct, frozen=True):
    """The server is reached, for the first time or again."""


class Event(msgspec.Struct, frozen=True):
    """An event, with the body that a webhook about it has."""

    id: str
    event: str
    body: bytes


def secret_of(base_url: str, key: str) -> str:
    """Return what whoever listens with a key signs with: the same each time, so that an app can keep it."""
    stream = hashlib.shake_256(f"tenantry webhooks listen\0{base_url}\0{key}".encode())
    digest = stream.digest(4096)
    taken = 0

    def entropy(count: int) -> bytes:
        nonlocal taken
        taken += count
        return digest[taken - count : taken]

    return f"whsec_{alphanumeric(entropy, _SECRET_LENGTH)}"


class Feed:
    """The events of a server past now, each once, whatever happens to the connection."""

    def __init__(self, base_url: str, key: str, names: list[str]) -> None:
        self._url = f"{base_url.rstrip('/')}/tenantry/events"
        self._key = key
        self._names = names

    async def follow(self) -> AsyncIterator[Event | Lost | Found]:
        """Yield what happens, for ever. Raises FeedRefused."""
        timeout = aiohttp.ClientTimeout(total=_WAIT_SECONDS + _ANSWER_SECONDS)
        headers = {"authorization": f"Bearer {self._key}"}
        place: str | None = None
        state: Lost | Found | None = None
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            while True:
                try:
                    if not isinstance(state, Found):
                        place = await self._begin(session, place)
                        yield (state := Found())
                    assert place is not None
                    events, place = await self._look(session, place)
                except (aiohttp.ClientError, TimeoutError, OSError, _Busy) as error:
                    if not isinstance(state, Lost):
                        yield (state := Lost(_told(error)))
                    await asyncio.sleep(_PAUSE_SECONDS)
                    continue
                for each in events:
                    yield each

    async def _begin(self, session: aiohttp.ClientSession, place: str | None) -> str:
        """Return the place to go on from: of two, the earlier of where it was and where the events end now.

        A server that has begun anew, in memory, ends before the place at which it was left.
        """
        _, end = await self._ask(session, [("range_start", _FAR), ("limit", "1")])
        return end if place is None else min(place, end)

    async def _look(self, session: aiohttp.ClientSession, place: str) -> tuple[list[Event], str]:
        """Return the events past a place, having waited for one, and where they end."""
        return await self._ask(session, [("after", place), ("limit", str(_PAGE)), ("wait", str(_WAIT_SECONDS))])

    async def _ask(self, session: aiohttp.ClientSession, query: list[tuple[str, str]]) -> tuple[list[Event], str]:
        query = [*query, *(("events", name) for name in self._names)]
        async with session.get(self._url, params=query) as answer:
            text = await answer.read()
        if answer.status >= 500 or answer.status == 429:
            raise _Busy(f"it answers {answer.status}")
        if answer.status != 200:
            raise FeedRefused(f"{self._url} answers {answer.status}: {_message(text)}")
        page = json.loads(text)
        return [_event(each) for each in page["data"]], page["list_metadata"]["after"]


class _Busy(Exception):
    """The server has answered that it cannot now."""


def _event(given: dict[str, Any]) -> Event:
    body = {name: value for name, value in given.items() if name != "position"}
    return Event(given["id"], given["event"], msgspec.json.encode(body))


def _message(text: bytes) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return "no Tenantry"


def _told(error: Exception) -> str:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(cause, ConnectionError | aiohttp.ClientConnectionError):
        return "the connection was lost"
    return "it does not answer in time" if isinstance(cause, TimeoutError) else str(cause) or type(cause).__name__
