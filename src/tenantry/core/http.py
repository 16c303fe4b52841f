"""The edge: from an endpoint table to an application for ASGI and RSGI servers.

A request is matched, decoded, authenticated, run in one transaction, encoded, logged.
Handlers are plain functions; only this file knows the event loop.
"""

import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any, TypeAlias

import msgspec
import structlog
from msgspec import UNSET

from tenantry.core import idempotency, log
from tenantry.core.caller import Caller
from tenantry.core.db import Database, Transaction, Work
from tenantry.core.endpoints import Answer, Call, Endpoint, Later, Outside, Partly, Request, Response, Stream
from tenantry.core.errors import ApiError, InternalError, RouteNotFound
from tenantry.core.exchange import Authenticate, Exchange
from tenantry.core.faces import ClientGone, ReadBody, serve_asgi, serve_rsgi, unless_gone
from tenantry.core.routing import Router
from tenantry.core.throttle import Throttle
from tenantry.core.watch import Watch

OpenPage: TypeAlias = Callable[[], Awaitable[Response]]
"""Answers a GET without a key: a probe or a page."""

_UUID_MASK = ~(0xF000 << 64 | 0xC000 << 48)
_UUID_VERSION_4 = 0x4000 << 64 | 0x8000 << 48
_LULL_SECONDS = 0.05
_SHOWN_CHARACTERS = 200  # of a path that is no operation's
_CLIENT_GONE = 499  # for the log: nobody is there to read it
_RECORDED_FAILURES = frozenset({400, 404, 409, 422})

logger = structlog.get_logger("tenantry.http")


def _no_such_route(_call: Call) -> object:
    raise RouteNotFound


_UNKNOWN = Endpoint(
    method="GET", path="", name="unknown", summary="", handler=_no_such_route, errors=(RouteNotFound,)
)


class Api:
    """The application: what a server calls, and tests."""

    def __init__(
        self,
        *,
        database: Database,
        router: Router[Endpoint],
        pages: Mapping[str, OpenPage],
        authenticate: Authenticate,
        throttle: Throttle,
        max_body_bytes: int,
    ) -> None:
        self._database = database
        self._authenticate = authenticate
        self._throttle = throttle
        self._max_body_bytes = max_body_bytes
        self._watch = Watch(database)
        self._asked = -_LULL_SECONDS
        self._encode = msgspec.json.Encoder().encode
        self._pages = dict(pages)
        self._router = router

    def stop_waiting(self) -> None:
        """Answer the requests that wait, and end the streams: the server is about to stop."""
        self._watch.stop()

    def operation(self, method: str, path: str) -> str | None:
        """Return the name of the operation that a method and a decoded path are, None when there is none."""
        found = self._router.match("GET" if method == "HEAD" else method, path)
        return found[0].name if found else None

    @property
    def operations(self) -> frozenset[str]:
        """The name of every operation."""
        return frozenset(endpoint.name for endpoint in self._router.targets())

    def is_asked(self) -> bool:
        """Return whether requests come in just now."""
        return time.perf_counter() - self._asked < _LULL_SECONDS

    async def answer(self, request: Request, read_body: ReadBody) -> Answer:
        """Answer one request, whatever happens, and log it. The body is read only where it is used."""
        started = self._asked = time.perf_counter()
        request_id = _request_id()
        method = "GET" if request.method == "HEAD" else request.method
        page = self._pages.get(request.path) if method == "GET" else None
        exchange: Exchange | None = None
        try:
            if page is None:
                exchange = self._exchange(method, request)
                response = await self._operate(exchange, read_body)
            else:
                response = await page()
        except Exception as error:  # noqa: BLE001 (whatever it is, the client gets an answer)
            response = _failure(error, request_id)
        log.request(_line(request, exchange, response, request_id, time.perf_counter() - started))
        headers = (("x-request-id", request_id), *response.headers)
        if isinstance(response, Response):
            return Response(response.status, response.body, response.content_type, headers)
        return msgspec.structs.replace(response, headers=headers)

    def _exchange(self, method: str, request: Request) -> Exchange:
        endpoint, path = self._router.match(method, request.path) or (_UNKNOWN, {})
        return Exchange(endpoint, path, request, self._authenticate, self._encode)

    async def _operate(self, exchange: Exchange, read_body: ReadBody) -> Answer:
        endpoint = exchange.endpoint
        self._throttle.count(exchange.request.authorization, endpoint.name)
        await exchange.decode(read_body)
        if not endpoint.writes:
            answer = await self._database.read_soon(exchange.run, scans=exchange.scans)
            assert not isinstance(answer, Partly), "what changes nothing has no parts"
            return await self._finish(exchange, answer) if isinstance(answer, Later) else answer
        try:
            made = await self._write(exchange)
        except ApiError as error:
            if exchange.attempt and error.status in _RECORDED_FAILURES:
                await self._database.write_soon(self._failure_record(exchange.attempt, error))
            raise
        assert not isinstance(made, Later), "what waits or streams changes nothing"
        return made

    async def _write(self, exchange: Exchange) -> Answer | Later:
        """Do what is asked, each part of it in a transaction of its own. Raises ApiError, if nothing was done."""
        endpoint = exchange.endpoint
        while True:
            try:
                made = await self._database.write_soon(
                    exchange.run, scans=exchange.scans, many=endpoint.many, adds=endpoint.adds
                )
            except ApiError as error:
                if exchange.partly is None:
                    raise
                logger.warning("stopped", operation=endpoint.name, exc_info=error)
                return Response(endpoint.status, self._encode(exchange.partly.stopped(error)))
            if not isinstance(made, Partly):
                return made
            exchange.partly = made

    async def _finish(self, exchange: Exchange, later: Later) -> Answer:
        """Return the answer whose rest is made outside any transaction. Raises ClientGone."""

        async def read(work: Callable[[Transaction, Caller], Any], *, scans: bool = False) -> Any:
            return await self._database.read_soon(lambda tx: work(tx, exchange.known_caller(tx)), scans=scans)

        async def rest() -> Any:
            return await later.rest(Outside(read, partial(read, scans=True), self._watch))

        value = await unless_gone(rest(), exchange.request.gone)
        if isinstance(value, Stream | Response):
            return value
        return Response(exchange.endpoint.status, b"" if value is None else self._encode(value))

    def _failure_record(self, made: idempotency.Attempt, error: ApiError) -> Work[bool]:
        answer = idempotency.Recorded(error.status, self._encode(error.body()))
        return lambda tx: idempotency.record(tx, made, answer)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve one ASGI connection."""
        await serve_asgi(self.answer, self._max_body_bytes, scope, receive, send)

    def __rsgi__(self, scope: Any, protocol: Any) -> Coroutine[Any, Any, None]:
        """Serve one RSGI request."""
        return serve_rsgi(self.answer, self._max_body_bytes, scope, protocol)


def _failure(error: Exception, request_id: str) -> Response:
    """Return the answer that an error is; this is the one place that makes one."""
    if isinstance(error, ClientGone):
        return Response(_CLIENT_GONE, b"")
    failure = error if isinstance(error, ApiError) else InternalError()
    cause = error.__cause__ if failure is error else error
    if cause is not None and failure.status >= 500:
        logger.error("failed", request_id=request_id, exc_info=cause)
    return Response(failure.status, msgspec.json.encode(failure.body()), headers=failure.headers())


def _line(
    request: Request, exchange: Exchange | None, response: Answer, request_id: str, seconds: float
) -> log.RequestLine:
    operation = exchange.endpoint.name if exchange else request.path
    return log.RequestLine(
        request_id=request_id,
        operation=operation,
        method=request.method,
        status=response.status,
        duration_ms=round(seconds * 1000, 2),
        key=exchange.caller.key_name if exchange and exchange.caller else None,
        path=request.path[:_SHOWN_CHARACTERS] if operation == _UNKNOWN.name else UNSET,
    )


def _request_id() -> str:
    """Return a lower-case UUID, version 4 (wire.md section 1.9)."""
    bits = random.getrandbits(128) & _UUID_MASK | _UUID_VERSION_4
    text = bits.to_bytes(16).hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
