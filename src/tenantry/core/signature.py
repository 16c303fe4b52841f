"""The signature of a webhook, as a pure function (wire.md section 5.4)."""

import hashlib
import hmac

HEADER = "WorkOS-Signature"


def signature(secret: str, milliseconds: int, body: bytes) -> str:
    """Return the header's value for `body` sent at `milliseconds` since the epoch.

    Exactly two elements, parted by a comma and a space: official clients split on that.
    Clients refuse one older than three minutes, so each attempt is signed anew.
    """
    signed = hmac.new(secret.encode(), b"%d.%s" % (milliseconds, body), hashlib.sha256)
    return f"t={milliseconds}, v1={signed.hexdigest()}"
