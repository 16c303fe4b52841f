"""Where log lines go and how they look."""

import asyncio
import sys
from collections.abc import MutableMapping
from typing import Any, BinaryIO

import msgspec
import structlog

_console = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())


def configure(*, readable: bool) -> None:
    """Send log lines to standard output: for people when `readable`, else one JSON object a line."""
    shared: list[Any] = [structlog.processors.add_log_level, structlog.processors.TimeStamper("iso", utc=True)]
    if readable:
        structlog.configure(
            processors=[*shared, _readable],
            logger_factory=structlog.PrintLoggerFactory(),
            cache_logger_on_first_use=True,
        )
        return
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_serialize),
        ],
        logger_factory=lambda *_: _LineWriter(sys.stdout.buffer),
        wrapper_class=structlog.make_filtering_bound_logger(0),
        cache_logger_on_first_use=True,
    )


def _readable(logger: Any, name: str, event: MutableMapping[str, Any]) -> str:
    """Return one line for a request; anything else as structlog shows it."""
    if event["event"] != "request":
        return _console(logger, name, event)
    clock, key = event["timestamp"][11:19], event["key"] or "-"
    what = f"{event['status']} {event['method']:<6} {event['operation']:<24}"
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


def _serialize(event: object, **_: object) -> bytes:
    return msgspec.json.encode(event, enc_hook=repr)
