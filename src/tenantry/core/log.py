"""Where log lines go and how they look."""

import asyncio
import sys
import time
from collections.abc import MutableMapping
from typing import Any, BinaryIO

import msgspec
import structlog

from tenantry.core.clock import timestamp

_encode = msgspec.json.Encoder(enc_hook=repr).encode
_console = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())


def configure(*, readable: bool) -> None:
    """Send log lines to standard output: for people when `readable`, else one JSON object a line."""
    if readable:
        structlog.configure(
            processors=[_stamp, _readable],
            logger_factory=structlog.PrintLoggerFactory(),
            cache_logger_on_first_use=True,
        )
        return
    structlog.configure(
        processors=[_stamp, structlog.processors.format_exc_info, _as_json],
        logger_factory=lambda *_: _LineWriter(sys.stdout.buffer),
        wrapper_class=structlog.make_filtering_bound_logger(0),
        cache_logger_on_first_use=True,
    )


def _stamp(_logger: Any, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["level"] = level
    event["timestamp"] = timestamp(time.time_ns() // 1_000_000)
    return event


def _as_json(_logger: Any, _level: str, event: MutableMapping[str, Any]) -> bytes:
    return _encode(event)


def _readable(logger: Any, name: str, event: MutableMapping[str, Any]) -> str:
    """Return one line for a request, which has a path where it is no operation; all else as structlog shows it."""
    if event["event"] != "request":
        return _console(logger, name, event)
    clock, key = event["timestamp"][11:19], event["key"] or "-"
    operation = ascii(event["path"])[1:-1] if "path" in event else event["operation"]
    what = f"{event['status']} {event['method']:<6} {operation:<28}"
    return f"{clock} {what} {event['duration_ms']:>7.2f} ms  {key}  {event['request_id']}"


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

    def _write(self) -> None:
        lines, self._waiting = self._waiting, []
        self._file.write(b"\n".join(lines) + b"\n")
        self._file.flush()
