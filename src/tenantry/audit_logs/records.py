"""An organization's events as a file that can be checked (docs/audit_format.md)."""

from collections.abc import Iterable, Iterator

from tenantry.audit_logs import seals
from tenantry.audit_logs.chain import (
    START,
    Seal,
    Trail,
    checkpoint_line,
    event_hash,
    event_line,
    header_line,
    removed_line,
    unsealed_line,
)
from tenantry.audit_logs.seals import StoredSeal
from tenantry.core.db import Transaction

_AT_ONCE = 1000


def file_lines(
    tx: Transaction, environment_id: str, organization_id: str, chosen: Iterable[list[int]] | None = None
) -> Iterator[bytes]:
    """Yield the lines of an organization's file, newlines included: what is sealed, what is not, what is signed.

    `chosen` are the positions of the events that a filter has found, some hundreds to a batch, in the
    order in which they are to stand; None for all events, in the order of the chain. Only of a file
    with all events can it be proved that none is missing.

    All of it is one state of the database if the transaction is (`scans`). Sign the chain before
    (`checkpoints.sign_now`), so that what is sealed by then is proved too. Holds a thousand events
    in memory.
    """
    trail = Trail(environment_id, organization_id)
    yield header_line(trail, tx.now, filtered=chosen is not None)
    number = seals.select_trail_number(tx, environment_id, organization_id)
    if number is None:
        return
    if chosen is None:
        yield from _chain_lines(tx, number)
        yield from unsealed_lines(tx, number)
    else:
        for positions in chosen:
            if positions:
                yield from chosen_lines(tx, number, positions)
    yield from signed_lines(tx, number)


def signed_lines(tx: Transaction, trail: int) -> Iterator[bytes]:
    """Yield the line of a trail's last checkpoint, if it has one."""
    last = seals.select_last_checkpoint(tx, trail)
    if last is not None:
        yield checkpoint_line(last.statement, last.signature)


def _chain_lines(tx: Transaction, trail: int) -> Iterator[bytes]:
    after: int | None = None
    while True:
        lines, after = sealed_lines(tx, trail, after, _AT_ONCE)
        yield from lines
        if after is None:
            return


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


def chosen_lines(tx: Transaction, trail: int, positions: list[int]) -> Iterator[bytes]:
    """Yield the lines of a trail's events at `positions` (at least one), in that order."""
    rows = {row.position: row for row in seals.select_chosen(tx, trail, positions)}
    before = [row.sequence - 1 for row in rows.values() if row.sequence > 1]
    hashes = seals.select_hashes(tx, trail, before) if before else {}
    for position in positions:
        row = rows.get(position)
        if row is None or row.wire is None:
            continue  # removed since it was found
        if row.sequence == 0:
            yield unsealed_line(row.wire)
        else:
            yield line_of(row, hashes.get(row.sequence - 1, START))
