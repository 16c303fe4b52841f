"""The routes of faults: ours, and those of the vendor's emulator for what it calls error hooks."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from tenantry.core.endpoints import Endpoint
from tenantry.core.page import ListMetadata, Page
from tenantry.lab import hooks
from tenantry.lab.fault_rules import FaultRule
from tenantry.lab.faults import MOST_RULES, FaultNotFound, PlacedFault
from tenantry.lab.routes import Visit, route

_ALL = "/tenantry/lab/faults"
_ONE = f"{_ALL}/{{fault}}"
_HOOKS = "/_emulate/hooks"

FaultList = Page[PlacedFault]


class ReplaceFaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body that puts other rules in the place of all: those that are tried first stand first."""

    faults: Annotated[list[FaultRule], Meta(max_length=MOST_RULES)]


class GivenHook(msgspec.Struct, frozen=True):
    """The body of an error hook, as it comes: what is wrong with it is told as the vendor's emulator does."""

    method: Any = None
    path: Any = None
    status: Any = None
    body: Any = None
    count: Any = None


def _listed(faults: list[PlacedFault]) -> FaultList:
    return Page(faults, ListMetadata(None, None))


async def _list(visit: Visit) -> FaultList:
    return _listed(visit.universe.faults.listed())


async def _add(visit: Visit) -> PlacedFault:
    return visit.universe.faults.add(visit.body)


async def _replace(visit: Visit) -> FaultList:
    return _listed(visit.universe.faults.replace(visit.body.faults))


async def _clear(visit: Visit) -> None:
    visit.universe.faults.clear()


async def _get(visit: Visit) -> PlacedFault:
    return visit.universe.faults.get(visit.path["fault"])


async def _put(visit: Visit) -> PlacedFault:
    return visit.universe.faults.put(visit.path["fault"], visit.body)


async def _remove(visit: Visit) -> None:
    visit.universe.faults.remove(visit.path["fault"])


async def _list_hooks(visit: Visit) -> list[hooks.PlacedHook]:
    return [hooks.shown(fault) for fault in visit.universe.faults.hooks()]


async def _add_hook(visit: Visit) -> hooks.PlacedHook:
    return hooks.shown(visit.universe.faults.add_hook(hooks.decode(msgspec.structs.asdict(visit.body))))


async def _remove_hook(visit: Visit) -> None:
    identity = visit.path["hook"]
    if identity not in {fault.id for fault in visit.universe.faults.hooks()}:
        raise hooks.HookNotFound
    visit.universe.faults.remove(identity)


ENDPOINTS: tuple[Endpoint, ...] = (
    route(
        _list,
        method="GET",
        path=_ALL,
        name="faults.list",
        summary="List faults, and how often each has hit",
        answer=FaultList,
    ),
    route(
        _add,
        method="POST",
        path=_ALL,
        name="faults.create",
        summary="Let requests go wrong",
        status=201,
        body=FaultRule,
        answer=PlacedFault,
    ),
    route(
        _replace,
        method="PUT",
        path=_ALL,
        name="faults.replace",
        summary="Put other faults in the place of all",
        body=ReplaceFaults,
        answer=FaultList,
    ),
    route(
        _clear,
        method="DELETE",
        path=_ALL,
        name="faults.clear",
        summary="Take all faults away",
        status=204,
    ),
    route(
        _get,
        method="GET",
        path=_ONE,
        name="faults.get",
        summary="Get a fault, and how often it has hit",
        answer=PlacedFault,
        errors=(FaultNotFound,),
    ),
    route(
        _put,
        method="PUT",
        path=_ONE,
        name="faults.update",
        summary="Put another fault in its place",
        body=FaultRule,
        answer=PlacedFault,
        errors=(FaultNotFound,),
    ),
    route(
        _remove,
        method="DELETE",
        path=_ONE,
        name="faults.delete",
        summary="Take a fault away",
        status=204,
        errors=(FaultNotFound,),
    ),
    route(
        _list_hooks,
        method="GET",
        path=_HOOKS,
        name="hooks.list",
        summary="List error hooks, as the vendor's emulator does",
        answer=list[hooks.PlacedHook],
    ),
    route(
        _add_hook,
        method="POST",
        path=_HOOKS,
        name="hooks.create",
        summary="Add an error hook, as the vendor's emulator does",
        status=201,
        body=GivenHook,
        answer=hooks.PlacedHook,
        errors=(hooks.HookIncomplete,),
    ),
    route(
        _remove_hook,
        method="DELETE",
        path=f"{_HOOKS}/{{hook}}",
        name="hooks.delete",
        summary="Take an error hook away, as the vendor's emulator does",
        status=204,
        errors=(hooks.HookNotFound,),
    ),
)
