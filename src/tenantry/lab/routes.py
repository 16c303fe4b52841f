"""How the lab declares a route.

What routes do happens on the event loop, outside any transaction, so each is a coroutine that is given a `Visit`.
It goes on when the client goes away: nothing is left half done.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from tenantry.core.endpoints import Call, Endpoint, Later, Outside
from tenantry.core.errors import ApiError, Forbidden
from tenantry.lab import wire
from tenantry.lab.errors import UniverseNotFound
from tenantry.lab.universe import Universe
from tenantry.lab.universes import Guest, Lab


class Visit(msgspec.Struct, frozen=True):
    """A request of the lab: decoded, authenticated. `universe` is the one that it is about."""

    lab: Lab
    universe: Universe
    path: dict[str, str]
    query: Any
    body: Any


Act = Callable[[Visit], Awaitable[object]]


def route(
    act: Act,
    *,
    method: str,
    path: str,
    name: str,
    summary: str,
    status: int = 200,
    query: type[msgspec.Struct] = wire.OfUniverse,
    body: type[msgspec.Struct] | None = None,
    answer: Any = None,
    media: str = "application/json",
    errors: tuple[type[ApiError], ...] = (),
) -> Endpoint:
    """Return an operation of the lab, which answers what `act` returns: JSON, or a Response or a Stream as it is.

    It is about the universe of the key, or for the main key about the one that the path's `id` or else the
    query's `universe` names.
    """

    def handler(call: Call) -> Later:
        guest = call.caller
        assert isinstance(guest, Guest)
        if method != "GET" and guest.read_only:
            raise Forbidden
        visit = Visit(guest.lab, _meant(guest, call), call.path, call.query, call.body)

        async def rest(_outside: Outside) -> object:
            return await asyncio.shield(asyncio.ensure_future(act(visit)))

        return Later(rest)

    return Endpoint(
        method=method,
        path=path,
        name=f"tenantry.lab.{name}",
        summary=summary,
        handler=handler,
        status=status,
        query=query,
        body=body,
        answer=answer,
        media=media,
        errors=(UniverseNotFound, *errors),
        changes=False,
    )


def _meant(guest: Guest, call: Call) -> Universe:
    """Return the universe that a request is about. Raises UniverseNotFound."""
    identity = call.path.get("id") or getattr(call.query, "universe", None)
    if identity is None or (identity == wire.ALL and isinstance(call.query, wire.OfUniverses)):
        return guest.universe
    found = guest.lab.get(identity)
    if guest.universe not in {found, guest.lab.main}:
        raise UniverseNotFound(identity)
    return found
