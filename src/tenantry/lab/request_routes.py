"""The routes of the log of requests."""

from tenantry.core.endpoints import Endpoint, Response
from tenantry.core.errors import ValidationFailed
from tenantry.lab import questions
from tenantry.lab.pages import page_of
from tenantry.lab.questions import Conditions, Expectation
from tenantry.lab.rendering import BodyNotKept, as_curl, as_pytest
from tenantry.lab.request_log import Entry, number_of
from tenantry.lab.request_wire import (
    AssertionFailed,
    ListRequests,
    LoggedRequest,
    RequestAssertion,
    RequestList,
    RequestNotFound,
    RequestsForgotten,
    conditions,
    named,
    shown,
)
from tenantry.lab.routes import Visit, route

_ALL = "/tenantry/lab/requests"
_ONE = f"{_ALL}/{{request}}"


def _check(visit: Visit, wanted: Conditions) -> None:
    if errors := list(questions.problems(wanted, visit.universe.node.app.operations)):
        raise ValidationFailed(errors)


def _entry(visit: Visit) -> Entry:
    identity = visit.path["request"]
    number = number_of(identity)
    entry = None if number is None else visit.universe.requests.find(number)
    if entry is None:
        raise RequestNotFound(identity)
    return entry


async def _list(visit: Visit) -> RequestList:
    wanted, operation_of = conditions(visit.query), visit.universe.node.app.operation
    _check(visit, wanted)
    found = questions.find(wanted, visit.universe.requests.newest_first(), operation_of).matching
    page = page_of(visit.query, [(entry.id, entry) for entry in found])
    return RequestList([shown(entry, operation_of) for entry in page.data], page.list_metadata)


async def _clear(visit: Visit) -> None:
    visit.universe.requests.clear()


async def _get(visit: Visit) -> LoggedRequest:
    return shown(_entry(visit), visit.universe.node.app.operation)


async def _assert(visit: Visit) -> RequestAssertion:
    wanted: Expectation = visit.body
    _check(visit, wanted)
    log = visit.universe.requests
    finding = questions.find(wanted, log.newest_first(), visit.universe.node.app.operation)
    found = len(finding.matching)
    if not questions.is_certain(wanted, found) and not log.remembers(wanted.since):
        raise RequestsForgotten(log.forgotten)
    if not questions.holds(wanted, found):
        raise AssertionFailed(wanted, finding)
    matching = [named(entry) for entry in finding.matching[: questions.MOST_NAMED]]
    return RequestAssertion(expected=questions.wording(wanted), found=found, requests=matching)


async def _curl(visit: Visit) -> Response:
    return Response(200, as_curl(_entry(visit), visit.lab.base_url).encode(), "text/plain; charset=utf-8")


async def _pytest(visit: Visit) -> Response:
    entry = _entry(visit)
    operation = visit.universe.node.app.operation(entry.method, entry.path) or f"{entry.method} {entry.path}"
    return Response(200, as_pytest(entry, operation, visit.lab.base_url).encode(), "text/plain; charset=utf-8")


ENDPOINTS: tuple[Endpoint, ...] = (
    route(
        _list,
        method="GET",
        path=_ALL,
        name="requests.list",
        summary="List requests and their answers",
        query=ListRequests,
        answer=RequestList,
    ),
    route(
        _clear,
        method="DELETE",
        path=_ALL,
        name="requests.clear",
        summary="Empty the log of requests",
        status=204,
    ),
    route(
        _assert,
        method="POST",
        path=f"{_ALL}/assert",
        name="requests.assert",
        summary="Say whether requests were made, and how often",
        body=Expectation,
        answer=RequestAssertion,
        errors=(AssertionFailed, RequestsForgotten),
    ),
    route(
        _get,
        method="GET",
        path=_ONE,
        name="requests.get",
        summary="Get a request and its answer",
        answer=LoggedRequest,
        errors=(RequestNotFound,),
    ),
    route(
        _curl,
        method="GET",
        path=f"{_ONE}/curl",
        name="requests.curl",
        summary="Get a request as a command of curl",
        answer=str,
        media="text/plain",
        errors=(RequestNotFound, BodyNotKept),
    ),
    route(
        _pytest,
        method="GET",
        path=f"{_ONE}/pytest",
        name="requests.pytest",
        summary="Get a request as a test for pytest",
        answer=str,
        media="text/plain",
        errors=(RequestNotFound, BodyNotKept),
    ),
)
