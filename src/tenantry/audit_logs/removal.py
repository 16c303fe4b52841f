"""Removing the events whose retention has ended, so that what is left of the chain can be checked."""

import msgspec

from tenantry.audit_logs import checkpoints, seals, store
from tenantry.audit_logs.chain import event_hash
from tenantry.audit_logs.keys import signing_key
from tenantry.audit_logs.store import OldEvent
from tenantry.audit_logs.wire import AuditLogTarget
from tenantry.core.db import Transaction

_FREED_AT_ONCE = 5000


class _Targets(msgspec.Struct):
    targets: list[AuditLogTarget]


_targets_of = msgspec.json.Decoder(_Targets).decode


def remove(tx: Transaction, trail: int, occurred_before: str, most: int, given: bytes | None) -> int:
    """Remove up to `most` of a trail's sealed events of before that time, oldest first; return how many.

    Events are not sealed in the order in which they occurred, so a removed one may stand between
    two that stay. Its seal stays then, with the event's hash; all seals before the first event
    that is left go. In the same transaction it is signed what may be missing from now on; `given` is
    the private key, or None for the one that Tenantry makes.
    """
    events = store.select_oldest(tx, trail, occurred_before, most)
    if not events:
        return 0
    seals.keep_event_hashes(tx, [(event.position, event_hash(event.wire)) for event in events])
    store.delete_events(tx, trail, events, [target for event in events for target in _targets(event)])
    chain = seals.select_chain(tx, trail)
    assert chain is not None, "sealed events have a chain"
    limit = min(chain.sequence + 1, chain.first_sequence + _FREED_AT_ONCE)
    first = seals.select_first_kept(tx, trail, chain.first_sequence, limit) or limit
    seals.begin_chain(tx, trail, first, max(chain.removed_before or "", occurred_before))
    checkpoints.sign(tx, trail, signing_key(tx, given))
    seals.delete_checkpoints(tx, trail, first)
    return len(events)


def _targets(event: OldEvent) -> list[tuple[str, OldEvent]]:
    return [(target_id, event) for target_id in {target.id for target in _targets_of(event.wire).targets}]
