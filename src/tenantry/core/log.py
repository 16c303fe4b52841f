"""Where log lines go and how they look."""

import asyncio
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import Any, BinaryIO

import msgspec
import structlog
from msgspec import UNSET, UnsetType

from tenantry.core.clock import timestamp

_encode = msgspec.json.Encoder(enc_hook=repr).encode
# Tracebacks are Python's own: others show the values of variables, and keys and secrets are among them.
_console = structlog.dev.ConsoleRenderer(
    colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
)


class RequestLine(msgspec.Struct, kw_only=True, gc=False):
    """What is told of one request. `path` is there where it is no operation's."""

    request_id: str
    operation: str
    method: str
    status: int
    duration_ms: float
    key: str | None
    path: str | UnsetType = UNSET
    event: str = "request"
    level: str = "info"
    timestamp: str = ""


def _nowhere(_line: RequestLine) -> None:
    """Drop a line: nobody has said where lines go."""


_write_request: Callable[[RequestLine], None] = _nowhere


def request(line: RequestLine) -> None:
    """Log one request. Not by way of structlog, whose dictionaries cost as much as a look-up in the database."""
    line.timestamp = _now()
    _write_request(line)


def configure(*, readable: bool) -> None:
    """Send log lines to standard output: for people when `readable`, else one JSON object a line."""
    global _write_request  # noqa: PLW0603 (one process has one log, as structlog has it too)
    if readable:
        structlog.configure(
            processors=[_stamp, _console],
            logger_factory=structlog.PrintLoggerFactory(),
            cache_logger_on_first_use=True,
        )
        _write_request = _print_request
        return
    structlog.configure(
        processors=[_stamp, structlog.processors.format_exc_info, _as_json],
        logger_factory=lambda *_: _LineWriter(sys.stdout.buffer),
        wrapper_class=structlog.make_filtering_bound_logger(0),
        cache_logger_on_first_use=True,
    )
    _write_request = _LineWriter(sys.stdout.buffer).write_request


def _now() -> str:
    return timestamp(time.time_ns() // 1_000_000)


def _stamp(_logger: Any, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["level"] = level
    event["timestamp"] = _now()
    return event


def _as_json(_logger: Any, _level: str, event: MutableMapping[str, Any]) -> bytes:
    return _encode(event)


def _print_request(line: RequestLine) -> None:
    """Print one line for people. It has the path where that is no operation's."""
    operation = line.operation if line.path is UNSET else ascii(line.path)[1:-1]
    what = f"{line.status} {line.method:<6} {operation:<28}"
    key = line.key or "-"
    print(f"{line.timestamp[11:19]} {what} {line.duration_ms:>7.2f} ms  {key}  {line.request_id}", flush=True)  # noqa: T201 (a terminal)


class _LineWriter:
    """Writes lines; on the event loop all those of one turn with one call to the system."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._waiting: list[bytes] = []

    def msg(self, line: bytes) -> None:
        if not self._waiting:
            try:
                asyncio.get_running_loop().call_soon(self._write)
            except RuntimeError:  # no loop runs in this thread
                self._file.write(line + b"\n")
                self._file.flush()
                return
        self._waiting.append(line)

    debug = info = warning = error = critical = msg

    def write_request(self, line: RequestLine) -> None:
        self.msg(_encode(line))

    def _write(self) -> None:
        lines, self._waiting = self._waiting, []
        self._file.write(b"\n".join(lines) + b"\n")
        self._file.flush()
