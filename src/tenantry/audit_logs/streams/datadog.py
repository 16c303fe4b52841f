"""Batches to Datadog: the HTTP API of its intake of logs, version 2.

Its limits: 1,000 logs and 5 MB a request, 1 MB a log, before they are compressed.
"""

import gzip
from typing import Any

import msgspec

from tenantry.audit_logs.streams.batches import Batch, Request
from tenantry.audit_logs.streams.wire import Datadog

_PATH = "/api/v2/logs"


class _Named(msgspec.Struct):
    id: str
    type: str
    name: str | None = None


class _Event(msgspec.Struct):
    """What a line about an event says."""

    action: str
    occurred_at: str
    actor: _Named


_event = msgspec.json.Decoder(_Event).decode


def request(to: Datadog, batch: Batch, _milliseconds: int) -> Request:
    """Return the request: an array of logs, each with its event whole, its time and a line that can be read."""
    logs = [_log(to, batch, event) for event in batch.events]
    headers = {"content-type": "application/json", "content-encoding": "gzip", "dd-api-key": str(to.api_key)}
    return Request(url(to), headers, gzip.compress(msgspec.json.encode(logs, enc_hook=str), mtime=0))


def url(to: Datadog) -> str:
    """Return where logs are sent."""
    base = to.url or f"https://http-intake.logs.{to.site}"
    return base if base.endswith(_PATH) else base.rstrip("/") + _PATH


def service(to: Datadog) -> str:
    """Return the service that logs are of."""
    return str(to.service or "tenantry")


def _log(to: Datadog, batch: Batch, wire: bytes) -> dict[str, Any]:
    event = _event(wire)
    actor = event.actor.name or event.actor.id
    return {
        "ddsource": "tenantry",
        "ddtags": ",".join([*to.tags, f"organization_id:{batch.organization_id}"]),
        "service": service(to),
        "timestamp": event.occurred_at,
        "message": f"{event.action} by {event.actor.type} {actor}",
        "audit_log_event": msgspec.Raw(wire),
    }
