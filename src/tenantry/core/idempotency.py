"""One effect for a POST that is sent again with the same `Idempotency-Key` (wire.md section 1.8)."""

import hashlib
import re

import msgspec

from tenantry.core.db import Transaction
from tenantry.core.errors import ApiError

LIFETIME_MILLISECONDS = 24 * 60 * 60 * 1000
_PRUNED_AT_ONCE = 1000
_LONGEST_KEY = 255

PARTLY = 102
"""The status of a request that was done in part: what is recorded of it is replaced as more of it is done."""

# Kotlin's and Java's client derive the key from the request itself: two creates that a
# person means would share it. It says nothing about intent, so it is not honoured.
_DERIVED = re.compile(r"retry-[0-9a-f]{64}\Z")

_SELECT = """
    SELECT request_hash, status, body FROM idempotency_keys
    WHERE environment_id = :environment_id AND operation = :operation AND key = :key
      AND created_at > :oldest
"""
_INSERT = """
    INSERT INTO idempotency_keys (environment_id, operation, key, request_hash, status, body, created_at)
    VALUES (:environment_id, :operation, :key, :request_hash, :status, :body, :created_at)
    ON CONFLICT (environment_id, operation, key) DO UPDATE
    SET request_hash = excluded.request_hash, status = excluded.status, body = excluded.body,
        created_at = excluded.created_at
    WHERE idempotency_keys.created_at <= :oldest
       OR idempotency_keys.status = :partly AND idempotency_keys.request_hash = excluded.request_hash
"""
_DELETE_EXPIRED = """
    DELETE FROM idempotency_keys WHERE (environment_id, operation, key) IN (
        SELECT environment_id, operation, key FROM idempotency_keys
        WHERE created_at <= :oldest ORDER BY created_at LIMIT :most
    )
"""


class IdempotencyKeyReused(ApiError):
    """The key was used within the last 24 hours with another body: 400."""

    status = 400
    message = "Another idempotency key with different request parameters was found."

    def __init__(self, key: str) -> None:
        super().__init__(
            f"Another idempotency key ({key}) with different request parameters was found. "
            "Please use a different idempotency key."
        )


class InvalidIdempotencyKey(ApiError):
    """The key is too long or not text: 400."""

    status = 400
    code = "invalid_idempotency_key"
    message = f"The Idempotency-Key must be at most {_LONGEST_KEY} printable ASCII characters."


class Attempt(msgspec.Struct, frozen=True):
    """One request that carries a key worth honouring."""

    environment_id: str
    operation: str
    key: str
    request_hash: bytes


class Recorded(msgspec.Struct, frozen=True):
    """The answer that the first request with a key was given; or, where `status` is PARTLY, how far it came."""

    status: int
    body: bytes


def honoured(key: str | None) -> bool:
    """Return whether a request with this header's value is recorded under it."""
    return bool(key) and not _DERIVED.match(key or "")


def attempt(environment_id: str, operation: str, key: str, body: bytes) -> Attempt:
    """Return the attempt for a key that is `honoured`. Raises InvalidIdempotencyKey."""
    if len(key) > _LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise InvalidIdempotencyKey
    return Attempt(environment_id, operation, key, hashlib.sha256(body).digest())


def recall(tx: Transaction, made: Attempt) -> Recorded | None:
    """Return the answer recorded for the same request, or None when it is the first.

    Raises IdempotencyKeyReused when the key came with another body.
    """
    row = tx.one(
        _SELECT,
        environment_id=made.environment_id,
        operation=made.operation,
        key=made.key,
        oldest=tx.milliseconds - LIFETIME_MILLISECONDS,
    )
    if row is None:
        return None
    request_hash, status, body = row
    if request_hash != made.request_hash:
        raise IdempotencyKeyReused(made.key)
    return Recorded(status, body)


def record(tx: Transaction, made: Attempt, answer: Recorded) -> bool:
    """Keep `answer` for 24 hours; return False, and keep nothing, when there is one already that is whole.

    Two transactions with one key meet at the primary key: the later is undone by its
    engine, run again, and then recalls what the earlier recorded.
    """
    changed = tx.run(
        _INSERT,
        environment_id=made.environment_id,
        operation=made.operation,
        key=made.key,
        request_hash=made.request_hash,
        status=answer.status,
        body=answer.body,
        created_at=tx.milliseconds,
        oldest=tx.milliseconds - LIFETIME_MILLISECONDS,
        partly=PARTLY,
    )
    return changed > 0


def prune(tx: Transaction) -> int:
    """Delete up to a thousand expired answers; return how many."""
    return tx.run(_DELETE_EXPIRED, oldest=tx.milliseconds - LIFETIME_MILLISECONDS, most=_PRUNED_AT_ONCE)
