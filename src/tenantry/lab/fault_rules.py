"""What goes wrong, as values: which requests a rule means, and what becomes of them. No clock, no I/O."""

import math
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tenantry.core.endpoints import Response
from tenantry.core.errors import FieldError, RateLimitExceeded

Chance = Callable[[], float]
"""Returns a random number of [0, 1)."""

Effect = Literal["status", "rate_limit", "drop", "lose", "truncate", "latency"]
Distribution = Literal["fixed", "uniform", "normal", "exponential"]

MOST_MILLISECONDS = 120_000
"""The longest wait: twice the time after which the most patient of the official clients gives up."""

_ANY = "*"
METHODS = (_ANY, "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
NO_PATTERN = "path must begin with / or be *"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_SERVERS_OWN = frozenset({"connection", "content-length", "transfer-encoding"})
BODILESS = frozenset({204, 205, 304})
"""Statuses of answers that have no body."""

Milliseconds = Annotated[float, Meta(ge=0, le=MOST_MILLISECONDS)]


class Latency(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How long an answer takes longer, in milliseconds.

    `fixed` is always `milliseconds`; `uniform` is drawn between `least` and `most`; `normal`
    around `mean` with a standard deviation of `deviation`, `exponential` with a mean of `mean`, and
    what falls outside `least` and `most` is brought to them.
    """

    distribution: Distribution = "fixed"
    milliseconds: Milliseconds | None = None
    mean: Milliseconds | None = None
    deviation: Milliseconds | None = None
    least: Milliseconds = 0.0
    most: Milliseconds = float(MOST_MILLISECONDS)


class FaultRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which requests go wrong, and how.

    `path` is a pattern: `*` is every path; `{name}` is one segment; `/*` at the end is
    all that is left, nothing included. The first `skip` requests that match are let through,
    then `times` of them are hit, or all where it is not given; `share` of them, by a
    generator that `seed` starts, so that the same rule hits the same ones each time.
    """

    fault: Effect
    method: Annotated[str, Meta(max_length=20)] = _ANY
    path: Annotated[str, Meta(max_length=500)] = _ANY
    skip: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    times: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    share: Annotated[float, Meta(ge=0, le=1)] = 1.0
    seed: Annotated[int, Meta(ge=0, le=2_147_483_647)] = 0
    latency: Latency | None = None
    status: Annotated[int, Meta(ge=200, le=599)] | None = None
    body: Any = UNSET
    headers: Annotated[dict[str, str], Meta(max_length=50)] | UnsetType = UNSET
    retry_after: Annotated[int, Meta(ge=0, le=86_400)] | None = None
    bytes: Annotated[int, Meta(ge=0, le=100_000_000)] | None = None


_EXTRAS: dict[Effect, frozenset[str]] = {
    "status": frozenset({"status", "body", "headers"}),
    "rate_limit": frozenset({"retry_after", "headers"}),
    "truncate": frozenset({"bytes"}),
    "drop": frozenset(),
    "lose": frozenset(),
    "latency": frozenset(),
}
"""The fields that belong to some faults only."""

_SHAPES: dict[Distribution, frozenset[str]] = {
    "fixed": frozenset({"milliseconds"}),
    "uniform": frozenset({"least", "most"}),
    "normal": frozenset({"mean", "deviation", "least", "most"}),
    "exponential": frozenset({"mean", "least", "most"}),
}
_NEEDED = frozenset({"milliseconds", "mean", "deviation"})


def problems(rule: FaultRule) -> Iterator[FieldError]:
    """Yield what is wrong with `rule` beyond the types of its fields, a sentence a field."""
    if rule.method.upper() not in METHODS:
        yield FieldError("method", f"method must be one of the following values: {', '.join(METHODS)}")
    if not is_pattern(rule.path):
        yield FieldError("path", NO_PATTERN)
    yield from _needless(rule)
    if rule.fault == "status" and rule.status is None:
        yield FieldError("status", "status should not be empty")
    if rule.fault == "latency" and rule.latency is None:
        yield FieldError("latency", "latency should not be empty")
    if rule.latency is not None:
        yield from _latency_problems(rule.latency)
    for name, value in given_headers(rule).items():
        yield from _header_problems(name, value)


def _needless(rule: FaultRule) -> Iterator[FieldError]:
    for name in sorted(frozenset().union(*_EXTRAS.values()) - _EXTRAS[rule.fault]):
        if getattr(rule, name) not in (None, UNSET):
            faults = " or ".join(sorted(fault for fault, names in _EXTRAS.items() if name in names))
            yield FieldError(name, f"{name} is for the fault {faults}, not for {rule.fault}")


def _latency_problems(latency: Latency) -> Iterator[FieldError]:
    shape = _SHAPES[latency.distribution]
    for name in sorted(_NEEDED):
        given = getattr(latency, name) is not None
        if given and name not in shape:
            yield FieldError(f"latency.{name}", f"latency.{name} is not for a {latency.distribution} latency")
        if not given and name in shape:
            yield FieldError(f"latency.{name}", f"latency.{name} should not be empty")
    if latency.least > latency.most:
        yield FieldError("latency.least", "latency.least must not be greater than latency.most")


def _header_problems(name: str, value: str) -> Iterator[FieldError]:
    field = f"headers.{name}"
    if not _TOKEN.match(name):
        yield FieldError(field, f"{field} must be the name of a header")
    elif name.lower() in _SERVERS_OWN:
        yield FieldError(field, f"{field} is the server's own; take the fault truncate to send too little")
    if not value.isascii() or not value.isprintable():
        yield FieldError(field, f"{field} must be printable ASCII characters")


def given_headers(rule: FaultRule) -> dict[str, str]:
    """Return the headers that `rule` sends."""
    return {} if isinstance(rule.headers, UnsetType) else rule.headers


def matches(rule: FaultRule, method: str, path: str) -> bool:
    """Return whether `rule` is about a request with this method and decoded path."""
    return rule.method.upper() in (_ANY, method) and path_matches(rule.path, path)


@lru_cache(maxsize=1024)
def _segments(pattern: str) -> tuple[tuple[str | None, ...], bool]:
    """Return the segments of a pattern, None for any one, and whether more may follow."""
    segments = pattern[1:].split("/")
    open_end = segments[-1] == _ANY
    if open_end:
        segments.pop()
    return tuple(None if _is_free(segment) else segment.lower() for segment in segments), open_end


def _is_free(segment: str) -> bool:
    return segment == _ANY or (segment.startswith("{") and segment.endswith("}"))


def is_pattern(path: str) -> bool:
    """Return whether `path` is a pattern of paths."""
    return path == _ANY or path.startswith("/")


def path_matches(pattern: str, path: str) -> bool:
    """Return whether the decoded `path` is one that `pattern` means, as FaultRule has it.

    Letters match without regard to case, as they do where requests are routed.
    """
    if pattern == _ANY:
        return True
    wanted, open_end = _segments(pattern)
    found = path[1:].split("/")
    if len(found) < len(wanted) or (len(found) > len(wanted) and not open_end):
        return False
    pairs = zip(wanted, found, strict=False)
    return all(segment != "" if want is None else want == segment.lower() for want, segment in pairs)


def is_spent(rule: FaultRule, fired: int) -> bool:
    """Return whether `rule` has hit as many requests as it was to."""
    return rule.times is not None and fired >= rule.times


def fires(rule: FaultRule, seen: int, fired: int, chance: float) -> bool:
    """Return whether `rule` hits a request that matches.

    `seen` is how many that matched it has let through or hit before, `fired` how many it has hit.
    """
    return seen >= rule.skip and not is_spent(rule, fired) and chance < rule.share


def delay(latency: Latency | None, chance: Chance) -> float:
    """Return for how many milliseconds an answer is held back."""
    if latency is None:
        return 0.0
    drawn = _drawn(latency, chance)
    if latency.distribution == "fixed":
        return drawn
    return min(max(drawn, latency.least), latency.most)


def _drawn(latency: Latency, chance: Chance) -> float:
    mean, deviation = latency.mean or 0.0, latency.deviation or 0.0
    match latency.distribution:
        case "fixed":
            return latency.milliseconds or 0.0
        case "uniform":
            return latency.least + chance() * (latency.most - latency.least)
        case "normal":
            radius = math.sqrt(-2 * math.log(1 - chance()))
            return mean + deviation * radius * math.cos(math.tau * chance())
        case "exponential":
            return -mean * math.log(1 - chance())


def answer(rule: FaultRule) -> Response:
    """Return what a request is answered that `rule` hits, for the faults that are an answer.

    A text stands as it is, anything else as JSON; without a body there is one that the status
    commonly has.
    """
    extra = tuple((name.lower(), value) for name, value in given_headers(rule).items())
    if rule.fault == "rate_limit":
        limited = RateLimitExceeded(1 if rule.retry_after is None else rule.retry_after)
        return Response(limited.status, msgspec.json.encode(limited.body()), headers=(*limited.headers(), *extra))
    assert rule.status is not None, "problems() tells"
    given = dict(extra)
    kind = given.pop("content-type", None)
    body = default_body(rule.status) if rule.body is UNSET else rule.body
    headers = tuple(given.items())
    if body is None or rule.status in BODILESS:
        return Response(rule.status, b"", headers=headers)
    if isinstance(body, str):
        return Response(rule.status, body.encode(), kind or "text/plain; charset=utf-8", headers)
    return Response(rule.status, msgspec.json.encode(body), kind or "application/json; charset=utf-8", headers)


_BODIES = {
    400: ("Bad Request", "bad_request"),
    401: ("Unauthorized", "unauthorized"),
    403: ("Forbidden", "forbidden"),
    404: ("Not Found", "not_found"),
    409: ("Conflict", "conflict"),
    422: ("Unprocessable Entity", "unprocessable_entity"),
    429: ("Too Many Requests", "rate_limit_exceeded"),
    500: ("Internal Server Error", "server_error"),
    503: ("Service Unavailable", "service_unavailable"),
}


def default_body(status: int) -> dict[str, str] | None:
    """Return the body of an answer that is given none: for a failure what the vendor's emulator says for it."""
    if status < 400:
        return None
    message, code = _BODIES.get(status, (f"Error {status}", "error"))
    return {"message": message, "code": code}


def cut(length: int, wanted: int | None) -> tuple[int, int]:
    """Return how many bytes of a body of `length` are sent, and how many are announced: always more."""
    sent = length // 2 if wanted is None else min(wanted, max(length - 1, 0))
    return sent, max(length, sent + 1)
