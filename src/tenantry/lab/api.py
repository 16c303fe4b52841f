"""The routes of the lab: those of universes and their clocks, and all others."""

from collections.abc import Awaitable, Callable

from tenantry.core.clock import timestamp
from tenantry.core.endpoints import Resource
from tenantry.core.page import Page
from tenantry.lab import dns_routes, fault_routes, inbox_routes, request_routes, seed_routes, wire
from tenantry.lab.errors import NotAUniverse, TooManyUniverses, TooMuchDue, UniverseNotFound
from tenantry.lab.pages import page_of
from tenantry.lab.routes import Act, Visit, route
from tenantry.lab.universe import Universe
from tenantry.lab.universes import Lab, expires_at

_ONE = "/tenantry/lab/universes/{id}"


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
    seen = visit.lab.forks() if visit.universe is visit.lab.main else [visit.universe]
    return page_of(visit.query, [(each.id, _shown(visit.lab, each)) for each in seen])


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
        *dns_routes.ENDPOINTS,
        *fault_routes.ENDPOINTS,
        *inbox_routes.ENDPOINTS,
        *request_routes.ENDPOINTS,
        *seed_routes.ENDPOINTS,
    ),
)
