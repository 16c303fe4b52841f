"""Batches to a bucket of Amazon S3, or of what speaks its protocol: an object each."""

import base64
import gzip
import hashlib
from urllib.parse import urlsplit

import msgspec

from tenantry.audit_logs.streams.batches import Batch, Request
from tenantry.audit_logs.streams.sigv4 import Signer, encoded, signed
from tenantry.audit_logs.streams.wire import S3


class _When(msgspec.Struct):
    created_at: str


_when = msgspec.json.Decoder(_When).decode


def request(to: S3, batch: Batch, milliseconds: int) -> Request:
    """Return the request. A batch that is sent again has the same key and the same bytes: it replaces itself."""
    body = gzip.compress(b"\n".join(batch.events) + b"\n", mtime=0)
    # Buckets that lock their objects ask for a digest beside the signature; this one is known everywhere.
    digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    headers = {"content-type": "application/gzip", "content-md5": digest}
    signer = Signer(str(to.access_key_id), str(to.secret_access_key), str(to.region))
    url = base(to) + encoded(f"/{key(to, batch)}")
    return Request(url, signed(signer, "PUT", url, headers, body, milliseconds), body, "PUT")


def key(to: S3, batch: Batch) -> str:
    """Return an object's key: the organization, the hour in which its first event was written, its range."""
    created_at = _when(batch.events[0]).created_at
    hour = "" if batch.is_test else created_at[:13].replace("-", "/").replace("T", "/") + "/"
    return f"{to.prefix or ''}{batch.organization_id}/{hour}{batch.id}.ndjson.gz"


def base(to: S3) -> str:
    """Return the URL that keys follow: the bucket stands in the host, or else in the path."""
    endpoint = (to.endpoint or f"https://s3.{to.region}.amazonaws.com").rstrip("/")
    if is_path_style(to):
        return f"{endpoint}/{to.bucket}"
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{to.bucket}.{parts.netloc}"


def is_path_style(to: S3) -> bool:
    """Return whether the bucket stands in the path. A dot in its name would break the certificate of the host."""
    return to.path_style if to.path_style is not None else to.endpoint is not None or "." in to.bucket
