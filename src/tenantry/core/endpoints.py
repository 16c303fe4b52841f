"""How a resource declares what it answers: one `Endpoint` an operation, in a table."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, BinaryIO

import msgspec

from tenantry.core.caller import Caller
from tenantry.core.db import Transaction
from tenantry.core.errors import ApiError, ValidationFailed
from tenantry.core.watch import Watch


class Call(msgspec.Struct, frozen=True, gc=False):
    """One request as its handler sees it: decoded, authenticated, in a transaction.

    `path` holds the path's parameters; `query` and `body` are the structs that the
    endpoint declares, None where it declares none. `header` returns a header by its
    lower-case name, or None. `so_far` is that of the Partly which the handler returned last for this
    request, if it did.
    """

    tx: Transaction
    caller: Caller
    path: dict[str, str]
    query: Any
    body: Any
    header: Callable[[str], str | None]
    so_far: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One operation.

    `handler` returns what is encoded as the answer's JSON, or None for an empty body.
    `answer` is that value's type, for the documentation. `aliases` are other names of
    body fields that some client sends; `headers` maps a header to the field of `query`
    that it sets, before the query itself. `media` is the answer's content type when it
    is not JSON; `answer` is then the type of one item in it. `example` is a body that works, for the
    documentation, where what is required does not make one. `scans` is true where many rows
    may have to be looked at or changed. `changes` is false where a method that is not GET has no
    effect. `many` is true where it does many things, each of which looks at few rows. `adds` is true
    where it adds rows and changes none, so that it may share a transaction with others. `wrong` is what a
    wrong field is answered with. `keyless` is true where no key is asked for: the caller is then NOBODY.
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
    media: str = "application/json"
    example: Mapping[str, object] | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    scans: bool = False
    changes: bool = True
    many: bool = False
    adds: bool = False
    wrong: type[ValidationFailed] = ValidationFailed
    keyless: bool = False

    @cached_property
    def writes(self) -> bool:
        """Whether the operation needs a transaction that may change something."""
        return self.changes and self.method != "GET"


class Request(msgspec.Struct):
    """One HTTP request, of any server.

    `path` is decoded, `query` is not; `body` is whole. `header` returns a header by its
    lower-case name, or None, and `fields` all of them, as often as they were sent; `gone` returns when
    the client has gone away.
    """

    method: str
    path: str
    query: str
    authorization: str | None
    header: Callable[[str], str | None]
    fields: Callable[[], list[tuple[str, str]]]
    gone: Callable[[], Awaitable[None]]
    content_type: str | None = None
    idempotency_key: str | None = None
    body: bytes = b""


class Response(msgspec.Struct, frozen=True, gc=False):
    """One HTTP answer. Header names are lower case."""

    status: int
    body: bytes
    content_type: str = "application/json; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


class Stream(msgspec.Struct, frozen=True):
    """An answer sent chunk by chunk as it is made, until `chunks` ends or the client goes away.

    Some servers take every chunk at once, however slow the client is: whoever makes the
    chunks sees to it that all of them together are few bytes.
    """

    chunks: AsyncGenerator[bytes, None]
    content_type: str
    headers: tuple[tuple[str, str], ...] = ()
    status: int = 200


class Download(msgspec.Struct, frozen=True):
    """An answer in a temporary file without a name, open at its beginning; whoever sends it closes it."""

    file: BinaryIO
    content_type: str
    headers: tuple[tuple[str, str], ...] = ()
    status: int = 200


Answer = Response | Stream | Download


class Outside(msgspec.Struct, frozen=True):
    """What the rest of an answer is made with, outside any transaction.

    `read` runs work that changes nothing, with whoever calls, who is authenticated anew
    each time; it raises Unauthorized once the key is revoked. `scan` does the same with work
    that may look at many rows, on the threads of long reads.
    """

    read: "Callable[[Callable[[Transaction, Caller], Any]], Awaitable[Any]]"
    scan: "Callable[[Callable[[Transaction, Caller], Any]], Awaitable[Any]]"
    watch: Watch


class Later(msgspec.Struct, frozen=True):
    """What a handler returns when the rest of its answer is made outside its transaction.

    `rest` returns a Stream or a Response, or what the handler would have returned. It is cancelled
    when the client goes away.
    """

    rest: Callable[[Outside], Awaitable[Any]]


class Partly(msgspec.Struct, frozen=True):
    """What a handler returns that has done a part, and is called for the next in a transaction of its own.

    `so_far` is handed to it then. It is kept with the request's idempotency key, so that the same request
    goes on from there whatever has become of this one. `stopped` returns the answer where the next part
    cannot be done.
    """

    so_far: bytes
    stopped: Callable[[ApiError], Any]


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A package's share of the API."""

    name: str
    title: str
    endpoints: tuple[Endpoint, ...]
