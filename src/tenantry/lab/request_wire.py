"""The log of requests as it crosses the network: ours alone, in the shapes of the rest of the API."""

from typing import Annotated, Any, Self

import msgspec
from msgspec import UNSET, Meta

from tenantry.core.clock import timestamp
from tenantry.core.errors import ApiError, EntityNotFound, FieldError, ValidationFailed
from tenantry.core.page import AFTER, BEFORE, Page, PageQuery
from tenantry.core.parsing import ParsedText
from tenantry.lab.questions import (
    MOST_NAMED,
    Conditions,
    Expectation,
    Finding,
    OperationOf,
    Since,
    content,
    request_id,
    wording,
)
from tenantry.lab.request_log import Answered, Entry, Fields, Kept, Sent, number_of


class RequestCursor(ParsedText):
    """A place in the log: the id of a request, which need not be kept any more."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the cursor. Raises ValueError for what is no id of a request."""
        if number_of(text) is None:
            raise ValueError("must be the id of a request")
        return cls(text)


class ListRequests(PageQuery, kw_only=True, frozen=True):
    """The parameters of the log: which requests are meant, as Conditions has it; `body` is JSON."""

    before: Annotated[RequestCursor, BEFORE] | None = None
    after: Annotated[RequestCursor, AFTER] | None = None
    universe: (
        Annotated[str, Meta(description="The universe, when it is another than the key's: an id, or `main`.")]
        | None
    ) = None
    operation: Annotated[str, Meta(description="The name of an operation, as organizations.create.")] | None = None
    method: str | None = None
    path: (
        Annotated[str, Meta(description="A pattern, as faults have it: /organizations/{id}, /events/*.")] | None
    ) = None
    status: Annotated[str, Meta(description="A status, as 201, or a class, as 2xx, or none.")] | None = None
    fault: Annotated[str, Meta(description="The fault that hit it, as drop.")] | None = None
    request_id: Annotated[str, Meta(description="The X-Request-ID of its answer.")] | None = None
    since: (
        Annotated[
            Since, Meta(description="A time by the universe's clock, or the id of the request that came before.")
        ]
        | None
    ) = None
    body: Annotated[str, Meta(description='JSON that the body must have: {"name": "Acme"}.')] | None = None


def conditions(query: ListRequests) -> Conditions:
    """Return which requests are meant. Raises ValidationFailed."""
    names = ("operation", "method", "path", "status", "fault", "request_id", "since")
    return Conditions(**{name: getattr(query, name) for name in names}, body=_json(query.body))


def _json(text: str | None) -> Any:
    if text is None:
        return UNSET
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise ValidationFailed([FieldError("body", f"body must be JSON: {error}")]) from error


class LoggedFault(msgspec.Struct, frozen=True):
    """The fault that hit a request: its id, which may be gone, and what it does."""

    id: str
    fault: str


class LoggedAnswer(msgspec.Struct, frozen=True):
    """What a request was answered. `body` is null where it was none or a stream; `body_bytes` is its length."""

    status: int
    headers: dict[str, str]
    body: Any
    body_bytes: int | None
    body_is_whole: bool


class LoggedRequest(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="request"):
    """A request and its answer. `at` is by the universe's clock; `sent` is how much of the answer went out."""

    id: str
    at: str
    operation: str | None
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Any
    body_bytes: int
    body_is_whole: bool
    answer: LoggedAnswer | None
    sent: Sent
    milliseconds: float
    request_id: str | None
    fault: LoggedFault | None


RequestList = Page[LoggedRequest]


class NamedRequest(msgspec.Struct, frozen=True):
    """A request in few words."""

    id: str
    method: str
    path: str
    status: int | None


class NearMiss(NamedRequest, frozen=True):
    """A request that was not meant, and what keeps it from being."""

    differences: list[str]


class RequestAssertion(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="request_assertion"):
    """What was expected is so. `requests` are those that were meant, the newest first, twenty at most."""

    expected: str
    found: int
    requests: list[NamedRequest]


class RequestNotFound(EntityNotFound):
    """The log of the universe has no request with this id, or not any more: 404."""

    def __init__(self, identity: str) -> None:
        super().__init__("Request", identity)


class AssertionFailed(ApiError):
    """The requests that were expected are not there, or too many of them: 409, with those that come nearest."""

    status = 409
    code = "assertion_failed"
    message = "The requests that were expected are not there."

    def __init__(self, wanted: Expectation, finding: Finding) -> None:
        found = len(finding.matching)
        self._body: dict[str, object] = {
            "expected": wording(wanted),
            "found": found,
            "matching": [named(entry) for entry in finding.matching[:MOST_NAMED]],
            "near_misses": [
                NearMiss(**msgspec.structs.asdict(named(miss.entry)), differences=miss.differences)
                for miss in finding.near_misses
            ],
        }
        super().__init__(f"Expected {wording(wanted)}; found {found}.{_nearest(finding)}")

    def body(self) -> dict[str, object]:
        return super().body() | self._body


def _nearest(finding: Finding) -> str:
    if finding.matching or not finding.near_misses:
        return ""
    miss = finding.near_misses[0]
    return f" The nearest, {miss.entry.id}, {miss.entry.method} {miss.entry.path}: {'; '.join(miss.differences)}."


class RequestsForgotten(ApiError):
    """The log has forgotten requests that the answer may depend on: 409."""

    status = 409
    code = "requests_forgotten"
    message = "The log has forgotten requests that the answer may depend on."

    def __init__(self, forgotten: int) -> None:
        super().__init__(
            f"The log has forgotten {forgotten} older requests, on which the answer may depend."
            " Ask with `since`, or empty the log before what is asked about: DELETE /tenantry/lab/requests."
        )


def named(entry: Entry) -> NamedRequest:
    """Return a request in few words."""
    return NamedRequest(entry.id, entry.method, entry.path, entry.answer.status if entry.answer else None)


def shown(entry: Entry, operation_of: OperationOf) -> LoggedRequest:
    """Return a request as it is shown."""
    return LoggedRequest(
        id=entry.id,
        at=timestamp(entry.at),
        operation=operation_of(entry.method, entry.path),
        method=entry.method,
        path=entry.path,
        query=entry.query,
        headers=_headers(entry.fields),
        body=_body(entry.body, entry.fields),
        body_bytes=entry.body.length,
        body_is_whole=entry.body.is_whole,
        answer=None if entry.answer is None else _shown_answer(entry.answer),
        sent=entry.sent,
        milliseconds=round(entry.milliseconds, 2),
        request_id=request_id(entry),
        fault=None if entry.hit is None else LoggedFault(entry.hit.id, entry.hit.rule.fault),
    )


def _shown_answer(answer: Answered) -> LoggedAnswer:
    body = answer.body
    return LoggedAnswer(
        status=answer.status,
        headers=_headers(answer.fields),
        body=None if body is None else _body(body, answer.fields),
        body_bytes=None if body is None else body.length,
        body_is_whole=body is not None and body.is_whole,
    )


def _headers(fields: Fields) -> dict[str, str]:
    """Return headers by name; those that came several times are one, as HTTP has it."""
    found: dict[str, str] = {}
    for name, value in fields:
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _body(body: Kept, fields: Fields) -> Any:
    """Return what a body stands for, as text when only its beginning was kept."""
    if not body.is_whole:
        return body.start.decode(errors="replace")
    return content(body.start, dict(fields).get("content-type"))
