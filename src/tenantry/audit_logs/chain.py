"""The hash chain of an organization's events, and the lines of its file: functions of values alone.

`docs/audit_format.md` says for whoever checks such a file what this says for the computer.
"""

import base64
import hashlib
from typing import Any

import msgspec

from tenantry.audit_logs.canonical import canonical

FORMAT = "tenantry-audit-log/1"
START = bytes(32)
"""What the first event of a chain has as the hash before it."""


class Trail(msgspec.Struct, frozen=True):
    """Whose events a chain holds."""

    environment_id: str
    organization_id: str


class Seal(msgspec.Struct, frozen=True):
    """An event's place in its chain. Of the event it holds no more than its hash and its time.

    So an event can be removed when its retention ends, and what follows can still be checked; and
    whether its time had come can be checked too.
    """

    sequence: int
    previous_hash: bytes
    occurred_at: str
    event_hash: bytes


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What is signed of a chain: where it ended at a time, and what had been removed from it by then.

    Before `first_sequence` nothing is left. What is missing after it occurred before `removed_before`.
    """

    environment_id: str
    organization_id: str
    first_sequence: int
    sequence: int
    hash: str
    removed_before: str | None
    time: str
    key_id: str


def event_hash(wire: bytes) -> bytes:
    """Return the hash of an event, given as its JSON."""
    return hashlib.sha256(wire).digest()


def seal_hash(trail: Trail, seal: Seal) -> bytes:
    """Return the hash of a seal: the one before it, and all events up to it, follow from it."""
    value: dict[str, Any] = {
        "environment_id": trail.environment_id,
        "event_hash": seal.event_hash.hex(),
        "occurred_at": seal.occurred_at,
        "organization_id": trail.organization_id,
        "previous_hash": seal.previous_hash.hex(),
        "sequence": seal.sequence,
    }
    return hashlib.sha256(canonical(value)).digest()


def statement(checkpoint: Checkpoint) -> bytes:
    """Return the bytes that are signed."""
    return canonical(checkpoint)


def header_line(trail: Trail, time: str, *, filtered: bool) -> bytes:
    """Return the first line of a file. One that is `filtered` lacks events that are in the chain."""
    value = {
        "created_at": time,
        "environment_id": trail.environment_id,
        "filtered": filtered,
        "format": FORMAT,
        "organization_id": trail.organization_id,
    }
    return canonical(value) + b"\n"


def event_line(wire: bytes, seal: Seal, hash_: bytes) -> bytes:
    """Return the line of an event with its seal. The event's own bytes stand in it as they were hashed."""
    return b'{"event":%b,%b' % (wire, _seal(seal, hash_))


def removed_line(seal: Seal, hash_: bytes) -> bytes:
    """Return the line of the seal of an event that is no longer there."""
    rest = b'"occurred_at":"%b",' % seal.occurred_at.encode()
    head, middle, tail = _seal(seal, hash_).partition(b'"previous_hash"')
    return b"{" + head + rest + middle + tail


def unsealed_line(wire: bytes) -> bytes:
    """Return the line of an event that is not sealed yet."""
    return b'{"event":%b}\n' % wire


def checkpoint_line(stated: bytes, signature: bytes) -> bytes:
    """Return the line of a checkpoint. The bytes that were signed stand in it as they are."""
    return b'{"checkpoint":%b,"signature":"%b"}\n' % (stated, base64.b64encode(signature))


def _seal(seal: Seal, hash_: bytes) -> bytes:
    return b'"event_hash":"%b","hash":"%b","previous_hash":"%b","sequence":%d}\n' % (
        seal.event_hash.hex().encode(),
        hash_.hex().encode(),
        seal.previous_hash.hex().encode(),
        seal.sequence,
    )
