"""Sealing: the events of each organization become a chain, in the order in which they were committed.

The write itself stays as it is: writers of one organization wait for nobody. Some moments later
whoever holds the one row of `audit_log_sealing` gives the next events their places, a few hundred
to a transaction; so however many processes there are, a chain has one end.
"""

from tenantry.audit_logs import seals
from tenantry.audit_logs.chain import START, Seal, event_hash, seal_hash
from tenantry.audit_logs.seals import NewSeal, Place
from tenantry.audit_logs.streams import delivery
from tenantry.core.db import Transaction

SIGNED_EVERY = 10 * 60 * 1000
"""A chain that has grown is signed within this time, in milliseconds."""

_SEALED_AT_ONCE = 500


def pending(tx: Transaction) -> bool:
    """Return whether there are events that can be sealed. Changes nothing."""
    return seals.has_unsealed(tx, seals.select_sealing(tx))


def seal(tx: Transaction) -> int:
    """Seal up to 500 events; return how many: none when all are, or while another transaction seals."""
    after = seals.lock_sealing(tx)
    events = seals.select_unsealed(tx, after, _SEALED_AT_ONCE) if after else []
    if not events:
        return 0
    numbers = list({event.trail for event in events})
    trails = seals.select_trails(tx, numbers)
    ends = {row.trail: (row.sequence, row.hash) for row in seals.select_chains(tx, numbers).values()}
    rows = []
    for event in events:
        sequence, previous_hash = ends.get(event.trail, (0, START))
        made = Seal(sequence + 1, previous_hash, event.occurred_at, event_hash(event.wire))
        hash_ = seal_hash(trails[event.trail], made)
        ends[event.trail] = (made.sequence, hash_)
        rows.append(
            NewSeal(
                position=event.position,
                trail=event.trail,
                sequence=made.sequence,
                occurred_at=event.occurred_at,
                hash=hash_,
            )
        )
    seals.insert_seals(tx, rows)
    seals.extend_chains(tx, [(trail, *end) for trail, end in ends.items()], tx.milliseconds + SIGNED_EVERY)
    delivery.wake(tx, {trail: sequence for trail, (sequence, _) in ends.items()})
    seals.move_sealing(tx, Place(events[-1].transaction_id, events[-1].position))
    return len(events)
