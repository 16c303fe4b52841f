"""The routes of the lab.

What they do happens on the event loop, outside any transaction, so each is a coroutine that is given a `Visit`.
It goes on when the client goes away: nothing is left half done.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from tenantry.core.clock import timestamp
from tenantry.core.endpoints import Call, Endpoint, Later, Outside, Resource
from tenantry.core.errors import ApiError, Forbidden
from tenantry.core.page import Page, bounds, envelope, window
from tenantry.lab import wire
from tenantry.lab.errors import NotAUniverse, TooManyUniverses, TooMuchDue, UniverseNotFound
from tenantry.lab.universe import Universe
from tenantry.lab.universes import Guest, Lab, expires_at

_ONE = "/tenantry/lab/universes/{id}"


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


def _shown(lab: Lab, universe: Universe) -> wire.Universe:
    is_main = universe is lab.main
    return wire.Universe(
        id=universe.id,
        name=universe.name,
        api_key=lab.key_of(universe),
        base_url=lab.base_url,
        forked_from=universe.origin.name if universe.origin else universe.id,
        clock=_shown_clock(universe),
        idle_seconds=None if is_main else universe.idle_seconds,
        created_at=timestamp(universe.created_at),
        expires_at=None if is_main else timestamp(expires_at(universe)),
    )


def _shown_clock(universe: Universe) -> wire.LabClock:
    return wire.LabClock(universe=universe.id, now=timestamp(universe.clock()), frozen=universe.clock.frozen)


async def _create(visit: Visit) -> wire.Universe:
    return _shown(visit.lab, await visit.lab.create(visit.body))


async def _list(visit: Visit) -> Page[wire.Universe]:
    """Return the forks; a fork's own key sees itself alone."""
    lab, limits = visit.lab, bounds(visit.query)
    seen = lab.forks() if visit.universe is lab.main else [visit.universe]
    rows = sorted(((each.id, each) for each in seen), key=lambda row: row[0], reverse=limits.descending)

    def is_past(identity: str, place: str) -> bool:
        return identity < place if limits.descending else identity > place

    walked = [row for row in rows if limits.cursor is None or is_past(row[0], limits.cursor)]
    shown = [(identity, _shown(lab, each)) for identity, each in walked[: limits.limit + 1]]
    return envelope(
        visit.query, window(limits, shown, lambda first: any(is_past(first, identity) for identity, _ in rows))
    )


async def _get(visit: Visit) -> wire.Universe:
    return _shown(visit.lab, visit.universe)


async def _delete(visit: Visit) -> None:
    visit.lab.drop(visit.universe)


async def _reset(visit: Visit) -> wire.Universe:
    await visit.lab.reset(visit.universe)
    return _shown(visit.lab, visit.universe)


def _clocks(visit: Visit) -> list[Universe]:
    """Return the universes whose clocks are meant. Raises UniverseNotFound for `all`, but of the main key."""
    if visit.query.universe != wire.ALL:
        return [visit.universe]
    if visit.universe is not visit.lab.main:
        raise UniverseNotFound(wire.ALL)
    return visit.lab.every()


def _to_each(act: Callable[[Visit, Universe], Awaitable[None]]) -> Act:
    async def to_each(visit: Visit) -> wire.LabClock:
        for universe in _clocks(visit):
            await act(visit, universe)
        return await _read_clock(visit)

    return to_each


async def _read_clock(visit: Visit) -> wire.LabClock:
    return _shown_clock(visit.universe)


async def _freeze(_visit: Visit, universe: Universe) -> None:
    async with universe.changing:
        universe.clock.freeze()


async def _unfreeze(_visit: Visit, universe: Universe) -> None:
    async with universe.changing:
        universe.clock.unfreeze()


async def _advance(visit: Visit, universe: Universe) -> None:
    await visit.lab.advance(universe, visit.body)


RESOURCE = Resource(
    name="lab",
    title="Lab",
    endpoints=(
        route(
            _create,
            method="POST",
            path="/tenantry/lab/universes",
            name="universes.create",
            summary="Fork a universe",
            status=201,
            body=wire.CreateUniverse,
            answer=wire.Universe,
            errors=(TooManyUniverses, NotAUniverse),
        ),
        route(
            _list,
            method="GET",
            path="/tenantry/lab/universes",
            name="universes.list",
            summary="List universes",
            query=wire.ListUniverses,
            answer=wire.UniverseList,
        ),
        route(
            _get,
            method="GET",
            path=_ONE,
            name="universes.get",
            summary="Get a universe",
            answer=wire.Universe,
        ),
        route(
            _delete,
            method="DELETE",
            path=_ONE,
            name="universes.delete",
            summary="Drop a universe",
            status=204,
            errors=(NotAUniverse,),
        ),
        route(
            _reset,
            method="POST",
            path=f"{_ONE}/reset",
            name="universes.reset",
            summary="Give a universe the state that it had at first",
            answer=wire.Universe,
            errors=(NotAUniverse,),
        ),
        route(
            _read_clock,
            method="GET",
            path="/tenantry/lab/clock",
            name="clock.get",
            summary="Read the clock",
            answer=wire.LabClock,
        ),
        route(
            _to_each(_freeze),
            method="POST",
            path="/tenantry/lab/clock/freeze",
            name="clock.freeze",
            summary="Let the clock stand still",
            query=wire.OfUniverses,
            answer=wire.LabClock,
        ),
        route(
            _to_each(_unfreeze),
            method="POST",
            path="/tenantry/lab/clock/unfreeze",
            name="clock.unfreeze",
            summary="Let the clock run on",
            query=wire.OfUniverses,
            answer=wire.LabClock,
        ),
        route(
            _to_each(_advance),
            method="POST",
            path="/tenantry/lab/clock/advance",
            name="clock.advance",
            summary="Put the clock forward, and do all that falls due on the way",
            query=wire.OfUniverses,
            body=wire.Advance,
            answer=wire.LabClock,
            errors=(TooMuchDue,),
        ),
    ),
)
