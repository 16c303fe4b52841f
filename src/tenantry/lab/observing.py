"""What the lab does around each request of a universe: it may go wrong on purpose, and it is logged."""

import asyncio
import time
import uuid
from contextlib import aclosing
from functools import lru_cache

import structlog

from tenantry.core.clock import Clock
from tenantry.core.endpoints import Answer, Download, Request, Response, Stream
from tenantry.core.errors import BodyTooLarge
from tenantry.core.faces import AnswerRequest, ClientGone, ReadBody, drop, fields_of, unless_gone
from tenantry.lab import fault_rules
from tenantry.lab.connections import Broken, Dropped, Truncated
from tenantry.lab.faults import Faults, Strike
from tenantry.lab.request_log import Answered, Entry, Hit, RequestLog, Sent, kept, lines

_UNSEEN = frozenset({"/health", "/ready", "/docs", "/openapi.json"})
"""Pages: no part of the API, and asked for over and over by whoever waits for a server."""

_BODILESS = frozenset({"GET", "HEAD"})
_NO_BODY = kept(b"")
_CLIENT_GONE = 499
_MASKED = 8

log = structlog.get_logger("tenantry.lab")


class Observed:
    """Answers the requests of one universe: through its faults, into its log."""

    def __init__(self, answer: AnswerRequest, clock: Clock, faults: Faults, requests: RequestLog) -> None:
        """`answer` is the universe's own; `clock` is too."""
        self._answer = answer
        self._clock = clock
        self._faults = faults
        self._requests = requests

    async def __call__(self, request: Request, read_body: ReadBody) -> Answer:
        """Answer one request. Raises Broken where its connection is to end instead."""
        if request.path in _UNSEEN:
            return await self._answer(request, read_body)
        started, at = time.perf_counter(), self._clock()
        strike = self._faults.strike(request.method, request.path) if self._faults else None
        body, read = await _taken(request, read_body)
        if strike is None:
            made: Answer | None = await self._answer(request, read)
            broken = None
        else:
            made, broken = await self._struck(strike, request, read)
        milliseconds = (time.perf_counter() - started) * 1000
        if strike is not None:
            _tell(strike, request, made, broken, milliseconds)
        self._requests.add(
            Entry(
                number=self._requests.next_number(),
                at=at,
                method=request.method,
                path=request.path,
                query=request.query,
                head=_masked(request.fields()),
                body=kept(body) if body else _NO_BODY,
                answer=None if made is None else _answered(made),
                sent=_sent(made, broken),
                milliseconds=milliseconds,
                hit=None if strike is None else Hit(strike.id, strike.rule),
            )
        )
        if broken is not None:
            raise broken
        assert made is not None
        return made

    async def _struck(
        self, strike: Strike, request: Request, read: ReadBody
    ) -> tuple[Answer | None, Broken | None]:
        """Return what a request is answered that a fault hits, if it comes to that, and what breaks instead."""
        rule = strike.rule
        if strike.delay:
            await asyncio.sleep(strike.delay / 1000)
        match rule.fault:
            case "drop":
                return None, Dropped()
            case "status" | "rate_limit":
                return _with_request_id(fault_rules.answer(rule)), None
        made = await self._answer(request, read)
        match rule.fault:
            case "lose":
                await drop(made)
                return made, Dropped()
            case "truncate":
                return made, await _truncated(made, request, rule.bytes)
        return made, None


def _tell(
    strike: Strike, request: Request, made: Answer | None, broken: Broken | None, milliseconds: float
) -> None:
    """Write a line of the server's log, in which a broken connection has no status."""
    answered = None if made is None else dict(made.headers).get("x-request-id")
    log.info(
        "request",
        request_id=answered or "-",
        operation=f"fault {strike.rule.fault}",
        method=request.method,
        status="---" if broken is not None or made is None else made.status,
        duration_ms=round(milliseconds, 2),
        key=strike.id,
    )


async def _taken(request: Request, read_body: ReadBody) -> tuple[bytes, ReadBody]:
    """Take the body in, for the log, and return it with what reads it once more."""
    if request.method in _BODILESS:
        return b"", read_body
    try:
        body = await read_body()
    except BodyTooLarge as error:
        refusal = error

        async def refuse() -> bytes:
            raise refusal

        return b"", refuse

    async def again() -> bytes:
        return body

    return body, again


def _masked(fields: list[tuple[str, str]]) -> str:
    """Return headers without the key that they hold, as they are kept."""
    return lines([(name, mask(value) if name == "authorization" else value) for name, value in fields])


@lru_cache(maxsize=256)
def mask(authorization: str) -> str:
    """Return an `Authorization` header of which only the beginning is left."""
    scheme, _, secret = authorization.partition(" ")
    return f"{scheme} {secret[: min(_MASKED, len(secret) // 2)]}…" if secret else "…"


def _answered(made: Answer) -> Answered:
    body = kept(made.body) if isinstance(made, Response) else None
    return Answered(made.status, lines(fields_of(made)), body)


def _sent(made: Answer | None, broken: Broken | None) -> Sent:
    if made is not None and made.status == _CLIENT_GONE:
        return "none"
    if broken is None:
        return "all"
    return "part" if isinstance(broken, Truncated) else "none"


def _with_request_id(made: Response) -> Response:
    """Return an answer with the id that every answer of the API carries."""
    headers = (("x-request-id", str(uuid.uuid4())), *made.headers)
    return Response(made.status, made.body, made.content_type, headers)


async def _truncated(made: Answer, request: Request, wanted: int | None) -> Broken:
    """Return what sends the beginning of an answer. One that has no body cannot be cut: it is lost."""
    fields = fields_of(made)
    try:
        start, length = await unless_gone(_beginning(made, wanted), request.gone)
    except ClientGone:
        return Dropped()
    if request.method == "HEAD" or made.status in fault_rules.BODILESS:
        return Dropped()
    sent, announced = fault_rules.cut(length, wanted)
    fields = [field for field in fields if field[0] != "content-length"]
    return Truncated(made.status, [*fields, ("content-length", str(announced))], start[:sent])


async def _beginning(made: Answer, wanted: int | None) -> tuple[bytes, int]:
    """Return the beginning of an answer's body, at least what is wanted of it, and its length if known."""
    if isinstance(made, Response):
        return made.body, len(made.body)
    if isinstance(made, Download):
        with made.file:
            body = made.file.read() if wanted is None else made.file.read(wanted + 1)
        return body, len(body)
    return await _beginning_of_stream(made, wanted)


async def _beginning_of_stream(made: Stream, wanted: int | None) -> tuple[bytes, int]:
    start = bytearray()
    async with aclosing(made.chunks) as chunks:
        async for chunk in chunks:
            start += chunk
            if len(start) > (wanted or 0):
                break
    return bytes(start), len(start)
