r"""Telling a consumer where its copy of the organizations differs, from hashes of buckets of them.

An organization belongs to the bucket named by the first byte of the SHA-256 of its id, in
two hexadecimal digits. A bucket's hash is the SHA-256 of `id` + `\n` + `updated_at` + `\n`
of each organization in it, sorted by id. A bucket without organizations is left out.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from tenantry.core.caller import Caller
from tenantry.core.db import Transaction
from tenantry.core.errors import ApiError, FieldError, ValidationFailed
from tenantry.events import service as events
from tenantry.organizations import store
from tenantry.organizations.wire import DifferingBucket, Reconcile, Reconciliation, Version

MOST_COMPARED = 100_000
MOST_TOLD = 5_000

_AT_ONCE = 500
_BUCKET = re.compile(r"[0-9a-f]{2}\Z")
_HASH = re.compile(r"[0-9a-f]{64}\Z")
_EMPTY = hashlib.sha256().hexdigest()


class TooManyToCompare(ApiError):
    """The range holds more organizations than one request compares: 422 `too_many_to_compare`."""

    status = 422
    code = "too_many_to_compare"
    message = (
        f"There are more than {MOST_COMPARED} organizations in this range. "
        "Send ranges of ids, with after and through, that hold fewer."
    )


def bucket_of(organization_id: str) -> str:
    """Return the bucket of an id: two hexadecimal digits, lower case."""
    return hashlib.sha256(organization_id.encode()).hexdigest()[:2]


def hashes_of(versions: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the hash of each bucket that is not empty, of ids and times of update sorted by id."""
    buckets: dict[str, Any] = {}
    for organization_id, updated_at in versions:
        bucket = bucket_of(organization_id)
        if bucket not in buckets:
            buckets[bucket] = hashlib.sha256()
        buckets[bucket].update(f"{organization_id}\n{updated_at}\n".encode())
    return {bucket: found.hexdigest() for bucket, found in buckets.items()}


def differing(ours: dict[str, str], theirs: dict[str, str]) -> list[str]:
    """Return the buckets whose hashes are not the same, in order; one that is left out is empty."""
    return sorted(
        bucket for bucket in ours.keys() | theirs.keys() if ours.get(bucket, _EMPTY) != theirs.get(bucket, _EMPTY)
    )


def compare(tx: Transaction, caller: Caller, body: Reconcile) -> Reconciliation:
    """Return which buckets differ, and what is in them here.

    Two passes in bounded memory over a range of the ids; the transaction must see one
    state of the database. Raises ValidationFailed, TooManyToCompare.
    """
    theirs = _checked(body.buckets)
    position = events.end_position(tx, caller)
    ours = hashes_of(_at_most(MOST_COMPARED, _versions(tx, caller, body)))
    names = differing(ours, theirs)
    told = _contents(tx, caller, body, names)
    return Reconciliation(position=position, differing=told, more=len(told) < len(names))


def _checked(buckets: dict[str, Any]) -> dict[str, str]:
    """Return the hashes that were sent. Raises ValidationFailed."""
    errors = [
        FieldError(f"buckets.{name}", f"buckets.{name} must be two hexadecimal digits, lower case")
        for name in buckets
        if not _BUCKET.match(name)
    ]
    errors += [
        FieldError(f"buckets.{name}", f"buckets.{name} must be 64 hexadecimal digits, lower case")
        for name, value in buckets.items()
        if not isinstance(value, str) or not _HASH.match(value)
    ]
    if errors:
        raise ValidationFailed(errors)
    return buckets


def _versions(tx: Transaction, caller: Caller, body: Reconcile) -> Iterator[tuple[str, str]]:
    last = body.after or ""
    while rows := store.select_versions(tx, caller.environment_id, last, body.through, _AT_ONCE):
        yield from rows
        last = rows[-1][0]


def _at_most(most: int, versions: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for count, version in enumerate(versions):
        if count == most:
            raise TooManyToCompare
        yield version


def _contents(tx: Transaction, caller: Caller, body: Reconcile, names: list[str]) -> list[DifferingBucket]:
    """Return the first of these buckets, as many as fit, always one: each with all that is in it here."""
    found: dict[str, list[Version]] = {name: [] for name in names}
    kept = 0
    for organization_id, updated_at in _versions(tx, caller, body) if names else ():
        bucket = found.get(bucket_of(organization_id))
        if bucket is None:
            continue
        bucket.append(Version(organization_id, updated_at))
        kept += 1
        while kept > MOST_TOLD and len(found) > 1:
            kept -= len(found.pop(max(found)))
    return [DifferingBucket(name, found[name]) for name in sorted(found)]
