"""How a resource declares what it answers: one `Endpoint` an operation, in a table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tenantry.core.caller import Caller
from tenantry.core.db import Transaction
from tenantry.core.errors import ApiError


class Call(msgspec.Struct, frozen=True, gc=False):
    """One request as its handler sees it: decoded, authenticated, in a transaction.

    `path` holds the path's parameters; `query` and `body` are the structs that the
    endpoint declares, None where it declares none.
    """

    tx: Transaction
    caller: Caller
    path: dict[str, str]
    query: Any
    body: Any


def _never(_query: Any) -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One operation.

    `handler` returns what is encoded as the answer's JSON, or None for an empty body.
    `answer` is that value's type, for the documentation. `aliases` are other names of
    body fields that some client sends. `scans` tells from the query whether many rows
    may have to be looked at. `changes` is false where a method that is not GET has no
    effect.
    """

    method: str
    path: str
    name: str
    summary: str
    handler: Callable[[Call], object]
    status: int = 200
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    answer: Any = None
    errors: tuple[type[ApiError], ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    scans: Callable[[Any], bool] = _never
    changes: bool = True

    @property
    def writes(self) -> bool:
        """Whether the operation needs a transaction that may change something."""
        return self.changes and self.method != "GET"


class Request(msgspec.Struct, gc=False):
    """One HTTP request, of any server. `path` is decoded, `query` is not; `body` is whole."""

    method: str
    path: str
    query: str
    authorization: str | None
    content_type: str | None = None
    idempotency_key: str | None = None
    body: bytes = b""


class Response(msgspec.Struct, frozen=True, gc=False):
    """One HTTP answer. Header names are lower case."""

    status: int
    body: bytes
    content_type: str = "application/json; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A package's share of the API."""

    name: str
    title: str
    endpoints: tuple[Endpoint, ...]
