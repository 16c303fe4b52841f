"""The edge: from an endpoint table to an application for ASGI and RSGI servers.

A request is matched, decoded, authenticated, run in one transaction, encoded, logged.
Handlers are plain functions; only this file knows the event loop.
"""

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeAlias

import msgspec
import structlog

from tenantry.core import idempotency
from tenantry.core.caller import Caller
from tenantry.core.db import Database, Transaction, Work
from tenantry.core.decode import decode_body, decode_query
from tenantry.core.endpoints import Call, Endpoint, Request, Response
from tenantry.core.errors import ApiError, BodyTooLarge, Forbidden, InternalError, RouteNotFound
from tenantry.core.routing import Router
from tenantry.core.throttle import Throttle

Authenticate: TypeAlias = Callable[[Transaction, str | None], Caller]
"""Tells who calls from the `Authorization` header, or raises Unauthorized."""

OpenPage: TypeAlias = Callable[[], Awaitable[Response]]
"""Answers a GET without a key: a probe or a page."""

_MOST_DROPPED = 16
_BODILESS = frozenset({"GET", "HEAD"})
_UNREADABLE = "\ufffd"
_UUID_MASK = ~(0xF000 << 64 | 0xC000 << 48)
_UUID_VERSION_4 = 0x4000 << 64 | 0x8000 << 48
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
        endpoints: Iterable[Endpoint],
        pages: Mapping[str, OpenPage],
        authenticate: Authenticate,
        throttle: Throttle,
        max_body_bytes: int,
    ) -> None:
        self._database = database
        self._authenticate = authenticate
        self._throttle = throttle
        self._max_body_bytes = max_body_bytes
        self._encode = msgspec.json.Encoder().encode
        self._pages = dict(pages)
        self._router: Router[Endpoint] = Router()
        for endpoint in endpoints:
            self._router.add(endpoint.method, endpoint.path, endpoint)

    async def answer(self, request: Request, read_body: Callable[[], Awaitable[bytes]]) -> Response:
        """Answer one request, whatever happens, and log it. The body is read only where it is used."""
        started = time.perf_counter()
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
        )
        return Response(
            response.status,
            response.body,
            response.content_type,
            (("x-request-id", request_id), *response.headers),
        )

    async def _operate(
        self,
        endpoint: Endpoint,
        path: dict[str, str],
        request: Request,
        read_body: Callable[[], Awaitable[bytes]],
        exchange: _Exchange,
    ) -> Response:
        self._throttle.count(request.authorization)
        decoded = await self._decode(endpoint, request, read_body)
        work = self._work(endpoint, path, request, decoded, exchange)
        if not endpoint.writes:
            scans = not isinstance(decoded, ApiError) and endpoint.scans(decoded[0])
            return await self._database.read_soon(work, scans=scans)
        try:
            return await self._database.write_soon(work)
        except ApiError as error:
            if exchange.attempt and error.status in _RECORDED_FAILURES:
                await self._database.write_soon(self._failure_record(exchange.attempt, error))
            raise

    async def _decode(
        self, endpoint: Endpoint, request: Request, read_body: Callable[[], Awaitable[bytes]]
    ) -> tuple[Any, Any] | ApiError:
        """Return the query and the body, or what is wrong with them, told once the caller is known."""
        try:
            query = decode_query(endpoint, request.query)
            if endpoint.body is None:
                return query, None
            request.body = await read_body()
            return query, decode_body(endpoint, request)
        except ApiError as error:
            return error

    def _work(
        self,
        endpoint: Endpoint,
        path: dict[str, str],
        request: Request,
        decoded: tuple[Any, Any] | ApiError,
        exchange: _Exchange,
    ) -> Work[Response]:
        def work(tx: Transaction) -> Response:
            caller = exchange.caller = self._authenticate(tx, request.authorization)
            if endpoint.writes and caller.read_only:
                raise Forbidden
            made = exchange.attempt = _attempt(endpoint, request, caller)
            recorded = idempotency.recall(tx, made) if made else None
            if recorded is not None:
                return _replayed(recorded)
            if isinstance(decoded, ApiError):
                raise decoded
            value = endpoint.handler(Call(tx, caller, path, *decoded))
            response = Response(endpoint.status, b"" if value is None else self._encode(value))
            if made:
                idempotency.record(tx, made, idempotency.Recorded(response.status, response.body))
            return response

        return work

    def _failure_record(self, made: idempotency.Attempt, error: ApiError) -> Work[None]:
        answer = idempotency.Recorded(error.status, self._encode(error.body()))
        return lambda tx: idempotency.record(tx, made, answer)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        request = Request(
            scope["method"],
            scope["path"],
            scope["query_string"].decode("latin-1"),
            headers.get(b"authorization"),
            headers.get(b"content-type"),
            headers.get(b"idempotency-key"),
        )

        async def chunks() -> AsyncIterator[bytes]:
            more = True
            while more:
                message = await receive()
                more = message.get("more_body", False)
                yield message.get("body", b"")

        response = await self.answer(request, lambda: _collect(chunks(), self._max_body_bytes))
        fields = [(name.encode(), value.encode()) for name, value in _fields(response)]
        fields.append((b"content-length", str(len(response.body)).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": fields})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else response.body})

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Serve one RSGI request: the same, on granian's own shorter way."""
        headers = scope.headers
        request = Request(scope.method, scope.path, scope.query_string, headers.get("authorization"))
        if request.method not in _BODILESS:
            request.content_type = _header(headers, "content-type")
            request.idempotency_key = _header(headers, "idempotency-key")
        response = await self.answer(request, lambda: _collect(protocol, self._max_body_bytes))
        protocol.response_bytes(response.status, _fields(response), response.body)


async def _collect(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    """Return the whole body. Raises BodyTooLarge.

    Of a body over the limit the rest is taken and dropped, within bounds: a client that
    is cut off while it sends does not get to read why.
    """
    body, length = bytearray(), 0
    async for chunk in chunks:
        length += len(chunk)
        if length <= limit:
            body += chunk
        elif length > limit * _MOST_DROPPED:
            break
    if length > limit:
        raise BodyTooLarge(f"The request body is over {limit} bytes.")
    return bytes(body)


def _header(headers: Any, name: str) -> str | None:
    """Return a header's text. granian gives None for one that is not ASCII, which is not the same as none."""
    value: str | None = headers.get(name)
    return _UNREADABLE if value is None and name in headers else value


async def _guard(answering: Awaitable[Response], request_id: str) -> Response:
    """Turn every error into its answer; this is the one place that does."""
    try:
        return await answering
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


def _fields(response: Response) -> list[tuple[str, str]]:
    if not response.body:
        return [*response.headers, ("content-length", "0")]
    return [("content-type", response.content_type), *response.headers]


def _request_id() -> str:
    """Return a lower-case UUID, version 4 (wire.md section 1.9)."""
    bits = random.getrandbits(128) & _UUID_MASK | _UUID_VERSION_4
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
