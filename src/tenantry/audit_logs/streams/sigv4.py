"""AWS Signature Version 4, as a pure function: what S3 and what speaks its protocol ask of a request.

The rules: Amazon S3 API reference, «Authenticating Requests: Using the Authorization Header».
"""

import hashlib
import hmac
import time
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

import msgspec

_ALGORITHM = "AWS4-HMAC-SHA256"
_SERVICE = "s3"
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Signer(msgspec.Struct, frozen=True):
    """Who signs, for which region."""

    access_key_id: str
    secret_access_key: str
    region: str


def signed(
    signer: Signer, method: str, url: str, headers: Mapping[str, str], body: bytes, milliseconds: int
) -> dict[str, str]:
    """Return `headers`, whose names are lower case, with those that sign the request for that time.

    `url` has no query; what of its path has to be is percent-encoded. Every header is signed, and
    the host and the body too: receivers refuse a signature that is older than 15 minutes.
    """
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(milliseconds // 1000))
    digest = hashlib.sha256(body).hexdigest()
    sent = {**headers, "x-amz-content-sha256": digest, "x-amz-date": moment}
    covered = dict(sorted({**sent, "host": host_of(url)}.items()))
    names = ";".join(covered)
    canonical = "\n".join(
        [
            method,
            urlsplit(url).path or "/",
            "",
            *(f"{name}:{' '.join(value.split())}" for name, value in covered.items()),
            "",
            names,
            digest,
        ]
    )
    scope = f"{moment[:8]}/{signer.region}/{_SERVICE}/aws4_request"
    to_sign = "\n".join([_ALGORITHM, moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    signature = hmac.new(_key(signer, moment[:8]), to_sign.encode(), hashlib.sha256).hexdigest()
    credential = f"{signer.access_key_id}/{scope}"
    return sent | {
        "authorization": f"{_ALGORITHM} Credential={credential},SignedHeaders={names},Signature={signature}"
    }


def _key(signer: Signer, day: str) -> bytes:
    key = b"AWS4" + signer.secret_access_key.encode()
    for part in (day, signer.region, _SERVICE, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def host_of(url: str) -> str:
    """Return the Host header of a request to `url`, as an HTTP client sends it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if parts.port in {None, _DEFAULT_PORTS.get(parts.scheme)} else f"{host}:{parts.port}"


def encoded(path: str) -> str:
    """Return a path as it is signed: each byte but letters, digits, `-._~` and `/` percent-encoded."""
    return quote(path, safe="/-_.~")
