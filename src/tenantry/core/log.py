"""Where log lines go and how they look."""

import sys
from typing import Any

import msgspec
import structlog


def configure(*, readable: bool) -> None:
    """Send log lines to standard output: for people when `readable`, else one JSON object a line."""
    shared: list[Any] = [structlog.processors.add_log_level, structlog.processors.TimeStamper("iso", utc=True)]
    if readable:
        structlog.configure(
            processors=[*shared, structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), pad_event_to=0)],
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
        logger_factory=structlog.BytesLoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(0),
        cache_logger_on_first_use=True,
    )


def _serialize(event: object, **_: object) -> bytes:
    return msgspec.json.encode(event, enc_hook=repr)
