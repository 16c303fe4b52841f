"""A receiver of webhooks in a process of its own that takes as little of the machine as Python can."""

import asyncio
import contextlib
import multiprocessing
import time
from collections.abc import Iterator
from ctypes import c_int64
from types import TracebackType
from typing import Any, Self

import uvloop

from bench.server import free_port

_END = b"\r\n\r\n"
_LENGTH = b"\r\nContent-Length:"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_START_SECONDS = 10.0


class Receiver:
    """Answers every POST with 200, and counts."""

    def __init__(self, port: int, count: Any) -> None:
        self.url = f"http://127.0.0.1:{port}/"
        self._count = count

    @property
    def received(self) -> int:
        """How many requests it has answered so far."""
        received: int = self._count.value
        return received


class Meter:
    """Counts what a receiver gets within a `with` block."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self.rate = 0.0

    def __enter__(self) -> Self:
        self._began, self._first = time.perf_counter(), self._receiver.received
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.rate = (self._receiver.received - self._first) / (time.perf_counter() - self._began)


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """Yield a receiver that listens, and end it afterwards."""
    context = multiprocessing.get_context("spawn")
    port, count, ready = free_port(), context.Value(c_int64, 0, lock=False), context.Event()
    process = context.Process(target=_receive, args=(port, count, ready), daemon=True)
    process.start()
    try:
        assert ready.wait(_START_SECONDS), "the receiver did not start"
        yield Receiver(port, count)
    finally:
        process.terminate()
        process.join()


def _receive(port: int, count: Any, ready: Any) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_listen(port, count, ready))


async def _listen(port: int, count: Any, ready: Any) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(count), "127.0.0.1", port)
    ready.set()
    await server.serve_forever()


class _Connection(asyncio.Protocol):
    """One kept-alive connection. Its client must say the length of each body."""

    def __init__(self, count: Any) -> None:
        self._count = count
        self._waiting = b""

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.WriteTransport = transport

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while (head := self._waiting.find(_END)) >= 0:
            begin = self._waiting.index(_LENGTH, 0, head + 2) + len(_LENGTH)
            end = head + len(_END) + int(self._waiting[begin : self._waiting.index(b"\r\n", begin)])
            if len(self._waiting) < end:
                return
            self._waiting = self._waiting[end:]
            self._count.value += 1
            self._transport.write(_ANSWER)
