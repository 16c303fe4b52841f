"""The edge: from an endpoint table to an application for ASGI and RSGI servers.

A request is matched, decoded, authenticated, run in one transaction, encoded, logged.
Handlers are plain functions; only this file knows the event loop.
"""

import random
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import msgspec
import structlog

from tenantry.core import idempotency
from tenantry.core.caller import NOBODY, Caller
from tenantry.core.db import Collision, Database, Transaction, Work
from tenantry.core.decode import decode_body, decode_query
from tenantry.core.endpoints import Answer, Call, Download, Endpoint, Later, Outside, Request, Response, Stream
from tenantry.core.errors import ApiError, Forbidden, InternalError, RouteNotFound, ValidationFailed
from tenantry.core.faces import ClientGone, ReadBody, serve_asgi, serve_rsgi, unless_gone
from tenantry.core.routing import Router
from tenantry.core.throttle import Throttle
from tenantry.core.watch import Watch

Authenticate: TypeAlias = Callable[[Transaction, str | None], Caller]
"""Tells who calls from the `Authorization` header, or raises Unauthorized."""

OpenPage: TypeAlias = Callable[[], Awaitable[Response]]
"""Answers a GET without a key: a probe or a page."""

_UUID_MASK = ~(0xF000 << 64 | 0xC000 << 48)
_UUID_VERSION_4 = 0x4000 << 64 | 0x8000 << 48
_LULL_SECONDS = 0.05
_SHOWN_CHARACTERS = 200  # of a path that is no operation's
_CLIENT_GONE = 499  # for the log: nobody is there to read it
_RECORDED_FAILURES = frozenset({400, 404, 409, 422})

log = structlog.get_logger("tenantry.http")


def _no_such_route(_call: Call) -> object:
    raise RouteNotFound


_UNKNOWN = Endpoint(
    method="GET", path="", name="unknown", summary="", handler=_no_such_route, errors=(RouteNotFound,)
)


class _Exchange(msgspec.Struct):
    """What is learned of a request on its way, for its log line and its record."""

    caller: Caller | None = None
    attempt: idempotency.Attempt | None = None


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
        exchange = _Exchange()
        if page is not None:
            operation = request.path
            response = await _guard(page(), request_id)
        else:
            endpoint, path = self._router.match(method, request.path) or (_UNKNOWN, {})
            operation = endpoint.name
            response = await _guard(self._operate(endpoint, path, request, read_body, exchange), request_id)
        log.info(
            "request",
            request_id=request_id,
            operation=operation,
            method=request.method,
            status=response.status,
            duration_ms=round((time.perf_counter() - started) * 1000, 2),
            key=exchange.caller.key_name if exchange.caller else None,
            **({"path": request.path[:_SHOWN_CHARACTERS]} if operation == _UNKNOWN.name else {}),
        )
        headers = (("x-request-id", request_id), *response.headers)
        if isinstance(response, Response):
            return Response(response.status, response.body, response.content_type, headers)
        return msgspec.structs.replace(response, headers=headers)

    async def _operate(
        self,
        endpoint: Endpoint,
        path: dict[str, str],
        request: Request,
        read_body: ReadBody,
        exchange: _Exchange,
    ) -> Answer:
        self._throttle.count(request.authorization, endpoint.name)
        decoded = await self._decode(endpoint, request, read_body)
        work = self._work(endpoint, path, request, decoded, exchange)
        scans = not isinstance(decoded, ApiError) and endpoint.scans(decoded[0])
        if not endpoint.writes:
            answer = await self._database.read_soon(work, scans=scans)
            return await self._finish(endpoint, request, answer) if isinstance(answer, Later) else answer
        try:
            made = await self._database.write_soon(work, scans=scans, adds=endpoint.adds)
        except ApiError as error:
            if exchange.attempt and error.status in _RECORDED_FAILURES:
                await self._database.write_soon(self._failure_record(exchange.attempt, error))
            raise
        assert not isinstance(made, Later), "what waits or streams changes nothing"
        return made

    async def _finish(self, endpoint: Endpoint, request: Request, later: Later) -> Answer:
        """Return the answer whose rest is made outside any transaction. Raises ClientGone."""

        async def read(work: Callable[[Transaction, Caller], Any], *, scans: bool = False) -> Any:
            return await self._database.read_soon(
                lambda tx: work(tx, self._caller(tx, endpoint, request)), scans=scans
            )

        async def rest() -> Any:
            return await later.rest(Outside(read, partial(read, scans=True), self._watch))

        value = await unless_gone(rest(), request.gone)
        if isinstance(value, Stream | Response):
            return value
        return Response(endpoint.status, b"" if value is None else self._encode(value))

    async def _decode(
        self, endpoint: Endpoint, request: Request, read_body: ReadBody
    ) -> tuple[Any, Any] | ApiError:
        """Return the query and the body, or what is wrong with them, told once the caller is known."""
        try:
            query = decode_query(endpoint, request)
            if endpoint.body is None:
                return query, None
            request.body = await read_body()
            return query, decode_body(endpoint, request)
        except ValidationFailed as error:
            return endpoint.wrong(error.errors)
        except ApiError as error:
            return error

    def _caller(self, tx: Transaction, endpoint: Endpoint, request: Request) -> Caller:
        """Return who calls. Raises Unauthorized."""
        return NOBODY if endpoint.keyless else self._authenticate(tx, request.authorization)

    def _work(
        self,
        endpoint: Endpoint,
        path: dict[str, str],
        request: Request,
        decoded: tuple[Any, Any] | ApiError,
        exchange: _Exchange,
    ) -> Work[Answer | Later]:
        def work(tx: Transaction) -> Answer | Later:
            caller = exchange.caller = self._caller(tx, endpoint, request)
            if endpoint.writes and caller.read_only:
                raise Forbidden
            made = exchange.attempt = _attempt(endpoint, request, caller)
            recorded = idempotency.recall(tx, made) if made else None
            if recorded is not None:
                return _replayed(recorded)
            if isinstance(decoded, ApiError):
                raise decoded
            value = endpoint.handler(Call(tx, caller, path, *decoded, request.header))
            if isinstance(value, Later | Download):
                return value
            response = Response(endpoint.status, b"" if value is None else self._encode(value))
            if made and not idempotency.record(tx, made, idempotency.Recorded(response.status, response.body)):
                # The same request is being answered in the same transaction, or was while this one was under way.
                raise Collision
            return response

        return work

    def _failure_record(self, made: idempotency.Attempt, error: ApiError) -> Work[bool]:
        answer = idempotency.Recorded(error.status, self._encode(error.body()))
        return lambda tx: idempotency.record(tx, made, answer)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve one ASGI connection."""
        await serve_asgi(self.answer, self._max_body_bytes, scope, receive, send)

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Serve one RSGI request."""
        await serve_rsgi(self.answer, self._max_body_bytes, scope, protocol)


async def _guard(answering: Awaitable[Answer], request_id: str) -> Answer:
    """Turn every error into its answer; this is the one place that does."""
    try:
        return await answering
    except ClientGone:
        return Response(_CLIENT_GONE, b"")
    except ApiError as error:
        failure = error
        if error.__cause__ is not None and error.status >= 500:
            log.error("failed", request_id=request_id, exc_info=error.__cause__)
    except Exception as error:
        log.error("failed", request_id=request_id, exc_info=error)
        failure = InternalError()
    return Response(failure.status, msgspec.json.encode(failure.body()), headers=failure.headers())


def _attempt(endpoint: Endpoint, request: Request, caller: Caller) -> idempotency.Attempt | None:
    key = request.idempotency_key
    if endpoint.method != "POST" or not endpoint.writes or key is None or not idempotency.honoured(key):
        return None
    operation = f"POST {request.path}"
    return idempotency.attempt(caller.environment_id, operation, key, request.body)


def _replayed(recorded: idempotency.Recorded) -> Response:
    return Response(recorded.status, recorded.body, headers=(("tenantry-idempotent-replay", "true"),))


def _request_id() -> str:
    """Return a lower-case UUID, version 4 (wire.md section 1.9)."""
    bits = random.getrandbits(128) & _UUID_MASK | _UUID_VERSION_4
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
