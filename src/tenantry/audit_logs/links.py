"""Links that open one export for ten minutes without a key: functions of values alone."""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from urllib.parse import urlencode

import msgspec

LIFETIME_MILLISECONDS = 10 * 60 * 1000

_HOST = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]{0,251})?|\[[0-9A-Fa-f:.]{2,45}\])(:\d{1,5})?\Z", re.ASCII)
_SCHEMES = frozenset({"http", "https"})


class Link(msgspec.Struct, frozen=True):
    """What a link says: until when it opens, in milliseconds, and the signature of that."""

    expires: int
    signature: str


def link(secret: str, export_id: str, now: int) -> Link:
    """Return a link to the export with that secret, which opens it from `now` on."""
    expires = now + LIFETIME_MILLISECONDS
    return Link(expires, _signature(secret, export_id, expires))


def is_signed(secret: str, export_id: str, given: Link) -> bool:
    """Return whether a link was made with the export's secret, in a time that tells nothing about it."""
    right = _signature(secret, export_id, given.expires)
    return hmac.compare_digest(right.encode(), given.signature.encode())


def _signature(secret: str, export_id: str, expires: int) -> str:
    signed = hmac.digest(secret.encode(), f"{export_id} {expires}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(signed).decode().rstrip("=")


def url_of(origin: str, path: str, made: Link) -> str:
    """Return the address of a link below `origin`."""
    return f"{origin}{path}?{urlencode({'expires': made.expires, 'signature': made.signature})}"


def origin_of(base_url: str, header: Callable[[str], str | None], otherwise: str) -> str:
    """Return where clients reach the server: `base_url` if it is set, else where this request was sent to.

    That is its `Host`, with the scheme that a proxy says it was sent by. Whoever asks has a key
    and is told the link alone, so a header that lies misleads only its sender. `otherwise` is for
    a request whose `Host` is none.
    """
    if base_url:
        return base_url.rstrip("/")
    host, scheme = header("host") or "", (header("x-forwarded-proto") or "").lower()
    if not _HOST.match(host):
        return otherwise
    return f"{scheme if scheme in _SCHEMES else 'http'}://{host}"
