"""An organization's events as a file that can be checked (docs/audit_format.md)."""

from collections.abc import Iterator

from tenantry.audit_logs import seals
from tenantry.audit_logs.chain import (
    START,
    Seal,
    checkpoint_line,
    event_hash,
    event_line,
    removed_line,
    unsealed_line,
)
from tenantry.audit_logs.seals import StoredSeal
from tenantry.audit_logs.search import Found
from tenantry.core.db import Transaction

_AT_ONCE = 1000


def signed_lines(tx: Transaction, trail: int) -> Iterator[bytes]:
    """Yield the line of a trail's last checkpoint, if it has one."""
    last = seals.select_last_checkpoint(tx, trail)
    if last is not None:
        yield checkpoint_line(last.statement, last.signature)


def sealed_lines(tx: Transaction, trail: int, after: int | None, most: int) -> tuple[list[bytes], int | None]:
    """Return the next `most` lines of a trail's chain past a sequence, or from its beginning.

    With them the sequence past which it goes on; None at the end of what is sealed.
    """
    if after is None:
        chain = seals.select_chain(tx, trail)
        if chain is None:
            return [], None
        after = chain.first_sequence - 1
    previous = seals.select_hashes(tx, trail, [after]).get(after, START)
    rows, lines = seals.select_seals(tx, trail, after, most), []
    for row in rows:
        lines.append(line_of(row, previous))
        previous = row.hash
    return lines, rows[-1].sequence if len(rows) == most else None


def line_of(row: StoredSeal, previous: bytes) -> bytes:
    """Return the line of a stored seal, whose predecessor's hash is `previous`."""
    if row.wire is None:
        # Nobody has kept the hash of an event that was deleted by hand: no hash is that of this seal then.
        seal = Seal(row.sequence, previous, row.occurred_at, row.event_hash or START)
        return removed_line(seal, row.hash)
    seal = Seal(row.sequence, previous, row.occurred_at, event_hash(row.wire))
    return event_line(row.wire, seal, row.hash)


def unsealed_lines(tx: Transaction, trail: int) -> Iterator[bytes]:
    """Yield the lines of a trail's events that are not sealed yet."""
    for _, wire in unsealed(tx, trail):
        yield unsealed_line(wire)


def unsealed(tx: Transaction, trail: int) -> Iterator[tuple[int, bytes]]:
    """Yield position and JSON of a trail's events that are not sealed yet."""
    after = seals.select_sealing(tx)
    while rows := seals.select_waiting(tx, trail, after, _AT_ONCE):
        for place, wire in rows:
            yield place.position, wire
        after = rows[-1][0]


def chosen_lines(tx: Transaction, trail: int, chosen: list[Found]) -> Iterator[bytes]:
    """Yield the lines of those of a trail's events (at least one) that a filter has found, in that order."""
    places = seals.select_places_in_chain(tx, [each.place.position for each in chosen])
    before = [sequence - 1 for sequence, _ in places.values() if sequence > 1]
    hashes = seals.select_hashes(tx, trail, before) if before else {}
    for each in chosen:
        if each.place.position not in places:
            yield unsealed_line(each.wire)
            continue
        sequence, own = places[each.place.position]
        row = StoredSeal(each.place.position, sequence, each.place.occurred_at, own, None, each.wire)
        yield line_of(row, hashes.get(sequence - 1, START))
