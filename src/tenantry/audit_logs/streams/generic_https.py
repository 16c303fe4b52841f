"""Batches to a receiver of POST requests."""

from tenantry.audit_logs.streams.batches import Batch, Request
from tenantry.audit_logs.streams.wire import GenericHttps
from tenantry.core.signature import HEADER, signature

BATCH_HEADER = "tenantry-batch"


def request(to: GenericHttps, batch: Batch, milliseconds: int) -> Request:
    """Return the request, signed as webhooks are. A batch that is sent again has the same `Tenantry-Batch`."""
    assert to.signing_secret is not None, "a stream is given one"
    if to.format == "json":
        media, body = "application/json", b"[" + b",".join(batch.events) + b"]"
    else:
        media, body = "application/x-ndjson", b"\n".join(batch.events) + b"\n"
    headers = {name.lower(): value for name, value in to.headers.items()}
    if to.bearer_token is not None:
        headers["authorization"] = f"Bearer {to.bearer_token}"
    headers |= {
        "content-type": media,
        BATCH_HEADER: batch.id,
        HEADER.lower(): signature(to.signing_secret, milliseconds, body),
    }
    return Request(to.url, headers, body)
