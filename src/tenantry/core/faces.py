"""The application's two faces to servers: ASGI, and granian's own RSGI, which is shorter."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeVar

from tenantry.core.endpoints import Answer, Download, Request, Response, Stream
from tenantry.core.errors import BodyTooLarge

T = TypeVar("T")

ReadBody: TypeAlias = Callable[[], Awaitable[bytes]]
AnswerRequest: TypeAlias = Callable[[Request, ReadBody], Awaitable[Answer]]

_MOST_DROPPED = 16
_BODILESS = frozenset({"GET", "HEAD"})
_UNREADABLE = "\ufffd"
_CHUNK = 1 << 16
# granian opens the file after it was given the path, and does not say when.
_OPENED_SECONDS = 30.0


class ClientGone(Exception):
    """The client went away before its answer was ready."""


async def unless_gone(work: Coroutine[Any, Any, T], gone: Callable[[], Awaitable[None]]) -> T:
    """Return what `work` returns. Cancels it and raises ClientGone when the client goes away first."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_wait_for(gone))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task


async def _wait_for(gone: Callable[[], Awaitable[None]]) -> None:
    await gone()


async def serve_asgi(answer: AnswerRequest, limit: int, scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serve one ASGI connection; bodies of requests are at most `limit` bytes."""
    if scope["type"] != "http":
        return
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}

    def header(name: str) -> str | None:
        return headers.get(name.encode())

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    request = Request(
        scope["method"],
        scope["path"],
        scope["query_string"].decode("latin-1"),
        header("authorization"),
        header,
        lambda: [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
        gone,
        header("content-type"),
        header("idempotency-key"),
    )

    async def chunks() -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            yield message.get("body", b"")

    made = await answer(request, lambda: _collect(chunks(), limit))
    fields = [(name.encode(), value.encode()) for name, value in fields_of(made)]
    if isinstance(made, Response) and made.body:
        fields.append((b"content-length", str(len(made.body)).encode()))
    await send({"type": "http.response.start", "status": made.status, "headers": fields})
    if isinstance(made, Response):
        body = b"" if scope["method"] == "HEAD" else made.body
        await send({"type": "http.response.body", "body": body})
    else:
        await _send_asgi(made, request, send)


async def _send_asgi(made: Stream | Download, request: Request, send: Any) -> None:
    async def give(chunk: bytes) -> None:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})

    with contextlib.suppress(ClientGone):
        if request.method == "HEAD":
            await drop(made)
        elif isinstance(made, Stream):
            await _pass_on(made, request.gone, give)
        else:
            with made.file:
                while chunk := await asyncio.to_thread(made.file.read, _CHUNK):
                    await give(chunk)
        await send({"type": "http.response.body", "body": b""})


async def _pass_on(
    made: Stream, gone: Callable[[], Awaitable[None]], give: Callable[[bytes], Awaitable[None]]
) -> None:
    """Give every chunk on. Raises ClientGone."""

    async def give_all() -> None:
        async with contextlib.aclosing(made.chunks) as chunks:
            async for chunk in chunks:
                await give(chunk)

    await unless_gone(give_all(), gone)


async def serve_rsgi(answer: AnswerRequest, limit: int, scope: Any, protocol: Any) -> None:
    """Serve one RSGI request; its body is at most `limit` bytes."""
    headers = scope.headers
    request = Request(
        scope.method,
        scope.path,
        scope.query_string,
        headers.get("authorization"),
        lambda name: _header(headers, name),
        headers.items,
        protocol.client_disconnect,
    )
    if request.method not in _BODILESS:
        request.content_type = _header(headers, "content-type")
        request.idempotency_key = _header(headers, "idempotency-key")
    made = await answer(request, lambda: _read(protocol, _header(headers, "content-length"), limit))
    if isinstance(made, Response):
        protocol.response_bytes(made.status, fields_of(made), made.body)
    else:
        await _send_rsgi(made, request, protocol)


async def _send_rsgi(made: Stream | Download, request: Request, protocol: Any) -> None:
    if request.method == "HEAD":
        await drop(made)
        protocol.response_empty(made.status, fields_of(made))
    elif isinstance(made, Download):
        # The server reads the file itself, as fast as the client takes it.
        protocol.response_file(made.status, fields_of(made), f"/dev/fd/{made.file.fileno()}")
        asyncio.get_running_loop().call_later(_OPENED_SECONDS, _empty, made.file)
    else:
        transport = protocol.response_stream(made.status, fields_of(made))
        with contextlib.suppress(ClientGone):
            await _pass_on(made, request.gone, transport.send_bytes)


def _empty(file: BinaryIO) -> None:
    """Put nothing in the place of `file`, and close it later: a number that is free again names another file."""
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), file.fileno(), inheritable=False)
    asyncio.get_running_loop().call_later(_OPENED_SECONDS, file.close)


async def drop(made: Answer) -> None:
    """Let go of what an answer holds that is not sent."""
    if isinstance(made, Stream):
        await made.chunks.aclose()
    elif isinstance(made, Download):
        made.file.close()


def _read(protocol: Any, declared: str | None, limit: int) -> Awaitable[bytes]:
    """Return a whole body of RSGI; one that is declared to be within the limit at once. Raises BodyTooLarge."""
    if declared and declared.isdecimal() and int(declared) <= limit:
        whole: Awaitable[bytes] = protocol()
        return whole
    return _collect(protocol, limit)


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


def fields_of(made: Answer) -> list[tuple[str, str]]:
    """Return the header fields of an answer."""
    if isinstance(made, Response) and not made.body:
        return [*made.headers, ("content-length", "0")]
    return [("content-type", made.content_type), *made.headers]
