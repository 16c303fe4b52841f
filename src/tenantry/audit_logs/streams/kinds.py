"""What there is of each type of stream: how it sends, how it reads answers, what it shows, what it refuses."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tenantry.audit_logs.streams import batches, datadog, generic_https, s3, splunk
from tenantry.audit_logs.streams.batches import Answer, Batch, Request
from tenantry.audit_logs.streams.wire import (
    S3,
    Datadog,
    Destination,
    GenericHttps,
    ShownDatadog,
    ShownGenericHttps,
    ShownS3,
    ShownSplunk,
    Splunk,
)
from tenantry.core.outgoing import Outcome
from tenantry.core.parsing import decode_custom

_HINTED = 4
_LEAST_HINTED = 12
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}\Z")
_HEADER_VALUE = re.compile(r"[ -~]{0,1000}\Z")
_OUR_HEADERS = frozenset(
    {
        *("connection", "content-encoding", "content-length", "content-type", "cookie", "expect", "host"),
        *(
            "keep-alive",
            "proxy-authorization",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
        ),
        *("tenantry-batch", "workos-signature"),
    }
)

Shown = ShownGenericHttps | ShownDatadog | ShownSplunk | ShownS3


class Kind(msgspec.Struct, frozen=True):
    """What there is of one type. `field` is where bodies have the destination, `place` where that has its URL."""

    field: str
    destination: type[Any]
    request: Callable[[Any, Batch, int], Request]
    answer: Callable[[Outcome], Answer]
    url: Callable[[Any], str]
    shown: Callable[[Any], Shown]
    batch_seconds: int = 5
    place: str = "url"


def _shown_generic(to: GenericHttps) -> Shown:
    return ShownGenericHttps(
        url=to.url,
        format=to.format,
        header_names=sorted(to.headers),
        bearer_token_hint=None if to.bearer_token is None else hint(to.bearer_token),
        signing_secret_hint=hint(to.signing_secret or ""),
    )


def _shown_datadog(to: Datadog) -> Shown:
    return ShownDatadog(
        site=to.site,
        url=to.url,
        service=datadog.service(to),
        tags=[str(tag) for tag in to.tags],
        api_key_hint=hint(to.api_key),
    )


def _shown_splunk(to: Splunk) -> Shown:
    index = None if to.index is None else str(to.index)
    return ShownSplunk(url=to.url, index=index, sourcetype=splunk.sourcetype(to), token_hint=hint(to.token))


def _shown_s3(to: S3) -> Shown:
    return ShownS3(
        bucket=str(to.bucket),
        region=str(to.region),
        prefix=str(to.prefix or ""),
        endpoint=to.endpoint,
        path_style=s3.is_path_style(to),
        access_key_id=str(to.access_key_id),
        secret_access_key_hint=hint(to.secret_access_key),
    )


def hint(secret: str) -> str:
    """Return the end of a secret by which it is told from others; nothing of a short one."""
    return "…" + (secret[-_HINTED:] if len(secret) >= _LEAST_HINTED else "")


KINDS: Mapping[str, Kind] = {
    "Datadog": Kind("datadog", Datadog, datadog.request, batches.read, datadog.url, _shown_datadog),
    "GenericHttps": Kind(
        "generic_https", GenericHttps, generic_https.request, batches.read, lambda to: to.url, _shown_generic
    ),
    # An object each: fewer are cheaper to keep and to read.
    "S3": Kind("s3", S3, s3.request, batches.read, s3.base, _shown_s3, batch_seconds=60, place="endpoint"),
    "Splunk": Kind("splunk", Splunk, splunk.request, splunk.answer, splunk.url, _shown_splunk),
}
"""By the type's name on the wire."""


def encode(to: Destination) -> bytes:
    """Return a destination as it is kept."""
    return msgspec.json.encode(to, enc_hook=str)


def decode(type_: str, kept: bytes) -> Any:
    """Return a destination of a type as it was kept."""
    return msgspec.json.decode(kept, type=KINDS[type_].destination, dec_hook=decode_custom)


def problems(type_: str, to: Destination) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a destination whose URL may be sent to: field and sentence («must …»)."""
    kind = KINDS[type_]
    parts = urlsplit(getattr(to, kind.place) or kind.url(to))
    if parts.username is not None or parts.password is not None:
        yield kind.place, "must not hold a user or a password"
    if parts.fragment or (parts.query and not isinstance(to, GenericHttps)):
        yield kind.place, "must end with its path"
    if isinstance(to, S3) and not parts.netloc.isascii():
        yield kind.place, "must be ASCII"
    if isinstance(to, GenericHttps):
        yield from _header_problems(to)


def _header_problems(to: GenericHttps) -> Iterator[tuple[str, str]]:
    if len({name.lower() for name in to.headers}) < len(to.headers):
        yield "headers", "must not have a name twice"
    for name, value in to.headers.items():
        if not _HEADER_NAME.match(name) or name.lower() in _OUR_HEADERS:
            yield f"headers.{name}", "is not a header that can be set"
        elif name.lower() == "authorization" and to.bearer_token is not None:
            yield f"headers.{name}", "must not be given beside bearer_token"
        elif not _HEADER_VALUE.match(value):
            yield f"headers.{name}", "must be up to 1000 printable ASCII characters"
