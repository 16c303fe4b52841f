"""What is asked of the log of requests: which of them are meant, and why the others are not. Pure functions."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Annotated, Any, Self

import msgspec
from msgspec import UNSET, Meta

from tenantry.core import forms
from tenantry.core.errors import FieldError, ValidationFailed
from tenantry.core.parsing import Moment, ParsedText
from tenantry.lab import fault_rules
from tenantry.lab.request_log import Entry, is_since, number_of

MOST_NEAR_MISSES = 3
MOST_NAMED = 20

OperationOf = Callable[[str, str], str | None]
"""Returns the name of the operation that a method and a path are."""

_MOST_SHOWN = 80
_STATUS = re.compile(r"[1-5](\d\d|xx)\Z|none\Z", re.IGNORECASE)
_FORM = "application/x-www-form-urlencoded"


class Since(ParsedText):
    """A time, or the id of a request."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return it, a time as timestamps are kept. Raises ValueError."""
        if number_of(text) is not None:
            return cls(text)
        try:
            return cls(Moment.parse(text))
        except ValueError as error:
            raise ValueError("must be an ISO 8601 time in UTC, or the id of a request") from error


class Conditions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which requests are meant: those that meet all that is given.

    `status` is one, as `201`, or a class, as `2xx`; `none` is a request that went unanswered.
    `path` is a pattern as faults have it. `query`, `headers` and `body` name what must be there; there may be
    more. `since` is a time by the universe's clock, or a request's id: those at or after the one, after the
    other.
    """

    operation: Annotated[str, Meta(max_length=200)] | None = None
    method: Annotated[str, Meta(max_length=20)] | None = None
    path: Annotated[str, Meta(max_length=500)] | None = None
    status: Annotated[str, Meta(max_length=4)] | int | None = None
    fault: Annotated[str, Meta(max_length=40)] | None = None
    request_id: Annotated[str, Meta(max_length=100)] | None = None
    since: Since | None = None
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    body: Any = UNSET


def problems(wanted: Conditions, operations: Collection[str]) -> Iterator[FieldError]:
    """Yield what can be met by no request, whatever it is: a slip would make «never» true."""
    if wanted.operation is not None and wanted.operation not in operations:
        yield FieldError("operation", "operation must be the name of an operation, as organizations.create")
    if wanted.method is not None and wanted.method.upper() not in fault_rules.METHODS:
        yield FieldError("method", f"method must be one of the following values: {', '.join(fault_rules.METHODS)}")
    if wanted.path is not None and not fault_rules.is_pattern(wanted.path):
        yield FieldError("path", fault_rules.NO_PATTERN)
    if wanted.status is not None and not _STATUS.match(str(wanted.status)):
        yield FieldError("status", "status must be a status, as 201, or a class, as 2xx, or none")


def differences(wanted: Conditions, entry: Entry, operation_of: OperationOf) -> list[str]:
    """Return what keeps a request from being one that is meant, a sentence each; nothing if it is one."""
    found: list[str] = []
    if wanted.operation is not None:
        operation = operation_of(entry.method, entry.path)
        found += _unequal("operation", wanted.operation, operation)
    if wanted.method is not None:
        found += _unequal("method", wanted.method.upper(), entry.method)
    if wanted.path is not None and not fault_rules.path_matches(wanted.path, entry.path):
        found.append(f"path: expected {wanted.path}, was {entry.path}")
    if wanted.status is not None and not _has_status(entry, str(wanted.status)):
        found.append(f"status: expected {wanted.status}, was {entry.answer.status if entry.answer else 'none'}")
    if wanted.fault is not None:
        found += _unequal("fault", wanted.fault, entry.hit.rule.fault if entry.hit else None)
    if wanted.request_id is not None:
        found += _unequal("request_id", wanted.request_id, request_id(entry))
    if wanted.query:
        found += lacks(dict(wanted.query), _query(entry), "query")
    if wanted.headers:
        given = {name.lower(): value for name, value in wanted.headers.items()}
        found += lacks(given, dict(entry.fields), "headers")
    if wanted.body is not UNSET:
        found += _body_differences(wanted.body, entry)
    return found


def _unequal(name: str, expected: str, was: str | None) -> Iterator[str]:
    if expected != was:
        yield f"{name}: expected {expected}, was {was or 'none'}"


def _has_status(entry: Entry, wanted: str) -> bool:
    status = str(entry.answer.status) if entry.answer else "none"
    return wanted.lower() in (status, f"{status[0]}xx")


def request_id(entry: Entry) -> str | None:
    """Return the X-Request-ID of a request's answer."""
    fields = entry.answer.fields if entry.answer else ()
    return next((value for name, value in fields if name == "x-request-id"), None)


def _query(entry: Entry) -> dict[str, str]:
    try:
        return dict(forms.pairs(entry.query))
    except ValidationFailed:
        return {}


def _body_differences(wanted: Any, entry: Entry) -> Iterator[str]:
    if not entry.body.is_whole:
        yield f"body: only the first {len(entry.body.start)} of its {entry.body.length} bytes are kept"
    else:
        yield from lacks(wanted, content(entry.body.start, dict(entry.fields).get("content-type")), "body")


def content(body: bytes, kind: str | None) -> Any:
    """Return what a body stands for: the value of JSON, the object of a form, else its text; None if empty."""
    if not body:
        return None
    if kind is not None and kind.partition(";")[0].strip().lower() == _FORM:
        try:
            return forms.nested(forms.pairs(body.decode()))
        except (ValidationFailed, UnicodeDecodeError):
            return body.decode(errors="replace")
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body.decode(errors="replace")


def lacks(expected: Any, actual: Any, path: str) -> Iterator[str]:
    """Yield where `actual` has not what `expected` has: objects may have more keys, all else must be equal."""
    if isinstance(expected, dict):
        if not isinstance(actual, dict):
            yield _differs(expected, actual, path)
            return
        for key, value in expected.items():
            below = f"{path}.{key}"
            if key in actual:
                yield from lacks(value, actual[key], below)
            else:
                yield f"{below}: expected {_brief(value)}, was not given"
    elif isinstance(expected, list):
        if not isinstance(actual, list) or len(actual) != len(expected):
            yield _differs(expected, actual, path)
            return
        for index, (value, was) in enumerate(zip(expected, actual, strict=True)):
            yield from lacks(value, was, f"{path}.{index}")
    elif expected != actual or isinstance(expected, bool) != isinstance(actual, bool):
        yield _differs(expected, actual, path)


def _differs(expected: Any, actual: Any, path: str) -> str:
    return f"{path}: expected {_brief(expected)}, was {_brief(actual)}"


def _brief(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


class Expectation(Conditions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often requests are to be there: `times`, 0 for never; `at_least`, `at_most`; or else once or more."""

    times: Annotated[int, Meta(ge=0)] | None = None
    at_least: Annotated[int, Meta(ge=0)] | None = None
    at_most: Annotated[int, Meta(ge=0)] | None = None


class Miss(msgspec.Struct, frozen=True):
    """A request that is not meant, and what keeps it from being."""

    entry: Entry
    differences: list[str]


class Finding(msgspec.Struct, frozen=True):
    """What was found: the requests that are meant, the newest first, and those that come nearest to them."""

    matching: list[Entry]
    near_misses: list[Miss]


def find(wanted: Conditions, entries: Iterable[Entry], operation_of: OperationOf) -> Finding:
    """Look through those of `entries`, the newest first, that are not too old."""
    matching: list[Entry] = []
    misses: list[Miss] = []
    for entry in entries:
        if not is_since(entry.number, entry.at, wanted.since):
            continue
        if found := differences(wanted, entry, operation_of):
            misses.append(Miss(entry, found))
        else:
            matching.append(entry)
    misses.sort(key=lambda miss: len(miss.differences))
    return Finding(matching, misses[:MOST_NEAR_MISSES])


def least_and_most(wanted: Expectation) -> tuple[int, int | None]:
    """Return how many requests there are to be at least, and at most."""
    if wanted.times is not None:
        return wanted.times, wanted.times
    if wanted.at_least is None and wanted.at_most is None:
        return 1, None
    return wanted.at_least or 0, wanted.at_most


def holds(wanted: Expectation, found: int) -> bool:
    """Return whether `found` requests are as many as were to be."""
    least, most = least_and_most(wanted)
    return least <= found and (most is None or found <= most)


def is_certain(wanted: Expectation, found: int) -> bool:
    """Return whether `found` requests settle it, however many more there may have been before."""
    least, most = least_and_most(wanted)
    return found > most if most is not None else found >= least


def wording(wanted: Expectation) -> str:
    """Return what was expected, in words."""
    least, most = least_and_most(wanted)
    if most == 0:
        count = "no request"
    elif least == most:
        count = f"exactly {least} {_plural(least)}"
    elif most is None:
        count = f"at least {least} {_plural(least)}"
    elif not least:
        count = f"at most {most} {_plural(most)}"
    else:
        count = f"{least} to {most} {_plural(most)}"
    given = {field.name: getattr(wanted, field.name) for field in msgspec.structs.fields(Conditions)}
    body = given.pop("body")
    said = [f"{name} {_said(value)}" for name, value in given.items() if value]
    said += [] if body is UNSET else [f"body {_brief(body)}"]
    return f"{count} with {', '.join(said)}" if said else f"{count} of any kind"


def _said(value: Any) -> str:
    return value if isinstance(value, str) else _brief(value)


def _plural(count: int) -> str:
    return "request" if count == 1 else "requests"
