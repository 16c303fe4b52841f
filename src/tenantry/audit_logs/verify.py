"""Checks the lines of an organization's file: is every event as it was sealed, and none missing, added or moved?

A function of values alone: the lines may come from a file or from a database.
"""

import base64
import binascii
import contextlib
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from tenantry.audit_logs import keys
from tenantry.audit_logs.chain import (
    FORMAT,
    START,
    Checkpoint,
    Seal,
    Trail,
    checkpoint_line,
    event_hash,
    event_line,
    removed_line,
    seal_hash,
    statement,
    unsealed_line,
)

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)
CHECKPOINT_BEGINS = b'{"checkpoint":'


class Broken(Exception):
    """The first thing that is not as it was sealed or signed: the text says which event, and what is wrong."""


class Checked(msgspec.Struct):
    """What was found right."""

    trail: Trail
    filtered: bool = False
    events: int = 0
    removed: int = 0
    unsealed: int = 0
    first: int | None = None
    last: int = 0
    last_hash: bytes = START
    signed: Checkpoint | None = None


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    environment_id: str
    organization_id: str
    created_at: str
    filtered: bool


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    event: msgspec.Raw = msgspec.Raw(b"")
    occurred_at: str = ""
    event_hash: str = ""
    hash: str = ""
    previous_hash: str = ""
    sequence: int = 0


class _Event(msgspec.Struct, frozen=True):
    id: str
    occurred_at: str


class _CheckpointLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    checkpoint: msgspec.Raw
    signature: str


_decode_header = msgspec.json.Decoder(_Header).decode
_decode_line = msgspec.json.Decoder(_Line).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_checkpoint_line = msgspec.json.Decoder(_CheckpointLine).decode
_decode_checkpoint = msgspec.json.Decoder(Checkpoint).decode


def checkpoints_in(lines: Iterable[bytes], public_keys: Mapping[str, bytes]) -> list[Checkpoint]:
    """Return the checkpoints among the lines, each with a right signature. Raises Broken."""
    return [_signed(line, public_keys) for line in lines if line.startswith(CHECKPOINT_BEGINS)]


def _signed(line: bytes, public_keys: Mapping[str, bytes]) -> Checkpoint:
    try:
        parsed = _decode_checkpoint_line(line)
        stated = bytes(parsed.checkpoint)
        checkpoint = _decode_checkpoint(stated)
        signature = base64.b64decode(parsed.signature, validate=True)
    except (*_UNREADABLE, binascii.Error) as error:
        raise Broken(f"A checkpoint cannot be read: {error}.") from error
    of = f"The checkpoint of {checkpoint.time}, which ends with event {checkpoint.sequence},"
    public = public_keys.get(checkpoint.key_id)
    if public is None:
        raise Broken(f"{of} is signed with the key {checkpoint.key_id}, which is not among the keys given.")
    rebuilt = checkpoint_line(statement(checkpoint), signature)
    if rebuilt.rstrip(b"\n") != line.rstrip(b"\n") or not keys.is_signed(public, stated, signature):
        raise Broken(f"{of} has a signature that is not of key {checkpoint.key_id}: it was changed.")
    return checkpoint


def check(lines: Iterable[bytes], checkpoints: list[Checkpoint]) -> Checked:
    """Return what the lines of a file hold when all of it is right. Raises Broken.

    `checkpoints` are those of the chain, each with a right signature: what `checkpoints_in` returns.
    """
    walk = iter(lines)
    checked = _begun(next(walk, b""), checkpoints)
    rest = (line for line in walk if not line.startswith(CHECKPOINT_BEGINS))
    if checked.filtered:
        _walk_chosen(checked, rest, checkpoints)
    else:
        _walk_all(checked, rest, checkpoints)
    checked.signed = max(checkpoints, key=lambda each: (each.sequence, each.time), default=None)
    return checked


def _begun(line: bytes, checkpoints: list[Checkpoint]) -> Checked:
    try:
        header = _decode_header(line)
    except _UNREADABLE as error:
        raise Broken(f"The first line is not that of a {FORMAT} file: {error}.") from error
    if header.format != FORMAT:
        raise Broken(f"The file has the format {header.format}; this Tenantry checks {FORMAT}.")
    trail = Trail(header.environment_id, header.organization_id)
    for each in checkpoints:
        if (each.environment_id, each.organization_id) != (trail.environment_id, trail.organization_id):
            whose = f"organization {each.organization_id} of {each.environment_id}"
            raise Broken(f"The checkpoint of {each.time} is one of {whose}, not of this file's.")
    return Checked(trail=trail, filtered=header.filtered)


def _walk_all(checked: Checked, lines: Iterator[bytes], checkpoints: list[Checkpoint]) -> None:
    first = max((each.first_sequence for each in checkpoints), default=1)
    removed_before = max((each.removed_before or "" for each in checkpoints), default="")
    signed = {each.sequence: each for each in checkpoints}
    for raw in lines:
        line = _parsed(raw)
        if not line.sequence:
            checked.unsealed += 1
            continue
        if checked.unsealed:
            raise Broken(f"An event without a seal stands before event {line.sequence}: it was inserted.")
        _check_order(checked, line, lines, first)
        seal = _checked_seal(checked.trail, line, raw)
        if seal.previous_hash != checked.last_hash and checked.last:
            raise Broken(
                f"{_named(line)} does not follow event {checked.last}: the hash before it is"
                f" {line.previous_hash}, that of event {checked.last} is {checked.last_hash.hex()}."
            )
        if seal.sequence == 1 and seal.previous_hash != START:
            raise Broken(f"{_named(line)} is the first, but has a hash before it.")
        if not line.event and seal.occurred_at >= removed_before:
            raise Broken(_not_by_retention(line, removed_before))
        checked.last, checked.last_hash = seal.sequence, bytes.fromhex(line.hash)
        checked.first = checked.first or seal.sequence
        checked.events += 1 if line.event else 0
        checked.removed += 0 if line.event else 1
        _compare(checked, signed.get(seal.sequence))
    _check_end(checked, checkpoints)


def _parsed(raw: bytes) -> _Line:
    try:
        line = _decode_line(raw)
        if line.event and not line.event_hash and raw == unsealed_line(bytes(line.event)):
            _decode_event(line.event)
            return _Line(line.event)
    except _UNREADABLE as error:
        raise Broken(f"A line is none of such a file: {raw[:60]!r}… ({error}).") from error
    if line.sequence < 1:
        raise Broken(f"A line is none of such a file: {raw[:60]!r}….")
    return line


def _check_order(checked: Checked, line: _Line, rest: Iterator[bytes], first: int) -> None:
    """Raise Broken unless the line has the next sequence; or, at the start, one up to the first that is left."""
    wanted = checked.last + 1
    if line.sequence == wanted or (not checked.last and line.sequence <= first):
        return
    if line.sequence < wanted:
        raise Broken(f"{_named(line)} stands after event {checked.last}: it was inserted, or moved there.")
    wanted = wanted if checked.last else first
    if _comes_later(rest, wanted):
        raise Broken(f"Event {wanted} stands after event {line.sequence}: the order was changed.")
    missing = (
        f"Event {wanted} is" if line.sequence == wanted + 1 else f"Events {wanted} to {line.sequence - 1} are"
    )
    raise Broken(f"{missing} missing.")


def _comes_later(rest: Iterator[bytes], sequence: int) -> bool:
    with contextlib.suppress(Broken):  # what else is wrong comes after this
        return any(_parsed(raw).sequence == sequence for raw in rest)
    return False


def _checked_seal(trail: Trail, line: _Line, raw: bytes) -> Seal:
    """Return the seal of a line that has its very bytes, its event's hash and its own. Raises Broken."""
    named = _named(line)
    try:
        own, hash_, previous = (bytes.fromhex(text) for text in (line.event_hash, line.hash, line.previous_hash))
    except ValueError as error:
        raise Broken(f"{named} has a hash that is none: {error}.") from error
    if line.event:
        if event_hash(line.event) != own:
            raise Broken(
                f"{named} was changed: its hash is {event_hash(line.event).hex()}, sealed was {line.event_hash}."
            )
        seal = Seal(line.sequence, previous, _occurred_at(line), own)
        rebuilt = event_line(bytes(line.event), seal, hash_)
    else:
        if own == START:
            raise Broken(f"{named} is missing: it was deleted, and not by its retention.")
        seal = Seal(line.sequence, previous, line.occurred_at, own)
        rebuilt = removed_line(seal, hash_)
    if seal_hash(trail, seal) != hash_:
        raise Broken(f"The seal of {_lower(named)} was changed: its hash is not that of what it holds.")
    if rebuilt.rstrip(b"\n") != raw.rstrip(b"\n"):
        raise Broken(f"The line of {_lower(named)} is not as it was written.")
    return seal


def _occurred_at(line: _Line) -> str:
    try:
        return _decode_event(line.event).occurred_at
    except _UNREADABLE as error:
        raise Broken(f"Event {line.sequence} is none: {error}.") from error


def _named(line: _Line) -> str:
    try:
        return f"Event {line.sequence} ({_decode_event(line.event).id})"
    except _UNREADABLE:
        return f"Event {line.sequence}"


def _lower(named: str) -> str:
    return named[0].lower() + named[1:]


def _not_by_retention(line: _Line, removed_before: str) -> str:
    ended = f"only events of before {removed_before} were" if removed_before else "no event was"
    return (
        f"Event {line.sequence} is missing: it occurred at {line.occurred_at}, and {ended} removed by retention."
    )


def _compare(checked: Checked, checkpoint: Checkpoint | None) -> None:
    if checkpoint is None or checkpoint.hash == checked.last_hash.hex():
        return
    raise Broken(
        f"Event {checked.last}, or one before it, was changed and sealed anew: the chain's hash there is"
        f" {checked.last_hash.hex()}; signed at {checkpoint.time} was {checkpoint.hash}."
    )


def _check_end(checked: Checked, checkpoints: list[Checkpoint]) -> None:
    last = max(checkpoints, key=lambda each: each.sequence, default=None)
    # A chain of which nothing is left begins after its last event.
    if last is None or checked.last >= last.sequence or (not checked.last and last.first_sequence > last.sequence):
        return
    missing = checked.last + 1 if checked.last else last.first_sequence
    told = f"Event {missing} is" if missing == last.sequence else f"Events {missing} to {last.sequence} are"
    raise Broken(f"{told} missing at the end: the checkpoint of {last.time} ends with event {last.sequence}.")


def _walk_chosen(checked: Checked, lines: Iterator[bytes], checkpoints: list[Checkpoint]) -> None:
    """Check each event by itself: what a filter left out cannot be told from what is missing."""
    signed = {each.sequence: each for each in checkpoints}
    for raw in lines:
        line = _parsed(raw)
        if not line.sequence:
            checked.unsealed += 1
            continue
        if not line.event:
            raise Broken(f"Event {line.sequence} is a seal without its event, as no filter finds.")
        seal = _checked_seal(checked.trail, line, raw)
        follows = seal.sequence == checked.last + 1 and checked.events
        if follows and seal.previous_hash != checked.last_hash:
            raise Broken(f"{_named(line)} does not follow event {checked.last}.")
        checked.last, checked.last_hash = seal.sequence, bytes.fromhex(line.hash)
        checked.events += 1
        _compare(checked, signed.get(seal.sequence))
