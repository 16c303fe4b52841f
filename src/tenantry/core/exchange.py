"""One request of an operation on its way: decoded, authenticated, run in a transaction, encoded."""

from collections.abc import Callable
from typing import Any, TypeAlias

from tenantry.core import idempotency
from tenantry.core.caller import NOBODY, Caller
from tenantry.core.db import Collision, Transaction
from tenantry.core.decode import decode_body, decode_query
from tenantry.core.endpoints import Answer, Call, Download, Endpoint, Later, Partly, Request, Response
from tenantry.core.errors import ApiError, Forbidden, ValidationFailed
from tenantry.core.faces import ReadBody

Authenticate: TypeAlias = Callable[[Transaction, str | None], Caller]
"""Tells who calls from the `Authorization` header, or raises Unauthorized."""


class Exchange:
    """One request of an operation on its way, and what is learned of it for its log line and its record."""

    __slots__ = (
        "attempt",
        "authenticate",
        "body",
        "caller",
        "encode",
        "endpoint",
        "partly",
        "path",
        "query",
        "request",
        "wrong",
    )

    def __init__(
        self,
        endpoint: Endpoint,
        path: dict[str, str],
        request: Request,
        authenticate: Authenticate,
        encode: Callable[[Any], bytes],
    ) -> None:
        self.endpoint = endpoint
        self.path = path
        self.request = request
        self.authenticate = authenticate
        self.encode = encode
        self.query: Any = None
        self.body: Any = None
        self.wrong: ApiError | None = None
        self.caller: Caller | None = None
        self.attempt: idempotency.Attempt | None = None
        self.partly: Partly | None = None

    async def decode(self, read_body: ReadBody) -> None:
        """Read the query and the body, or keep what is wrong with them, to be told once the caller is known."""
        endpoint, request = self.endpoint, self.request
        try:
            self.query = decode_query(endpoint, request)
            if endpoint.body is not None:
                request.body = await read_body()
                self.body = decode_body(endpoint, request)
        except ValidationFailed as error:
            self.wrong = endpoint.wrong(error.errors)
        except ApiError as error:
            self.wrong = error

    @property
    def scans(self) -> bool:
        """Whether many rows may have to be looked at or changed."""
        return self.wrong is None and self.endpoint.scans

    def known_caller(self, tx: Transaction) -> Caller:
        """Return who calls. Raises Unauthorized."""
        return NOBODY if self.endpoint.keyless else self.authenticate(tx, self.request.authorization)

    def run(self, tx: Transaction) -> Answer | Later | Partly:
        """Do what is asked, or the next part of it. Raises ApiError."""
        endpoint = self.endpoint
        self.caller = None  # it may be run again, after the key was revoked
        caller = self.caller = self.known_caller(tx)
        if endpoint.writes and caller.read_only:
            raise Forbidden
        made = self.attempt = _attempt(endpoint, self.request, caller)
        recorded = idempotency.recall(tx, made) if made else None
        if recorded is not None and recorded.status != idempotency.PARTLY:
            return _replayed(recorded)
        if self.wrong is not None:
            raise self.wrong
        value = endpoint.handler(self._call(tx, caller, recorded))
        if isinstance(value, Later | Download):
            return value
        if isinstance(value, Partly):
            _record(tx, made, idempotency.PARTLY, value.so_far)
            return value
        response = Response(endpoint.status, b"" if value is None else self.encode(value))
        _record(tx, made, response.status, response.body)
        return response

    def _call(self, tx: Transaction, caller: Caller, recorded: idempotency.Recorded | None) -> Call:
        # The same request may have been sent twice: what is recorded is how far both have come.
        kept = self.partly.so_far if self.partly else None
        so_far = recorded.body if recorded else kept
        return Call(tx, caller, self.path, self.query, self.body, self.request.header, so_far)


def _record(tx: Transaction, made: idempotency.Attempt | None, status: int, body: bytes) -> None:
    """Keep what the request is answered with, if it has a key. Raises Collision."""
    if made and not idempotency.record(tx, made, idempotency.Recorded(status, body)):
        # The same request is being answered in the same transaction, or was while this one was under way.
        raise Collision


def _attempt(endpoint: Endpoint, request: Request, caller: Caller) -> idempotency.Attempt | None:
    key = request.idempotency_key
    if endpoint.method != "POST" or not endpoint.writes or key is None or not idempotency.honoured(key):
        return None
    operation = f"POST {request.path}"
    return idempotency.attempt(caller.environment_id, operation, key, request.body)


def _replayed(recorded: idempotency.Recorded) -> Response:
    return Response(recorded.status, recorded.body, headers=(("tenantry-idempotent-replay", "true"),))
