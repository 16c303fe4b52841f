"""Checkpoints: what is signed of a chain, so that nobody without the key can write another in its place."""

import msgspec

from tenantry.audit_logs import seals
from tenantry.audit_logs.chain import Checkpoint, statement
from tenantry.audit_logs.keys import SigningKey, signing_key
from tenantry.audit_logs.seals import CheckpointRow
from tenantry.core.db import Transaction

_SIGNED_AT_ONCE = 50
_DAY_LENGTH = len("2026-01-15")

decode = msgspec.json.Decoder(Checkpoint).decode


def sign_due(tx: Transaction, given: bytes | None) -> int:
    """Sign up to 50 chains that have grown since they were last signed and are due; return how many.

    `given` is the private key, or None for the one that Tenantry makes.
    """
    due = seals.lock_due_chains(tx, _SIGNED_AT_ONCE)
    if due:
        key = signing_key(tx, given)
        for trail in due:
            sign(tx, trail, key)
    return len(due)


def sign_now(tx: Transaction, environment_id: str, organization_id: str, given: bytes | None) -> None:
    """Sign all that is sealed of an organization's chain, if it is not signed already: before an export."""
    trail = seals.select_trail_number(tx, environment_id, organization_id)
    chain = seals.select_chain(tx, trail) if trail is not None else None
    if chain is None:
        return
    last = seals.select_last_checkpoint(tx, chain.trail)
    if last is None or last.sequence < chain.sequence:
        sign(tx, chain.trail, signing_key(tx, given))


def sign(tx: Transaction, trail: int, key: SigningKey) -> None:
    """Sign a trail's chain as it is now.

    A checkpoint says all that those before it said. So of each day the last is kept, and the last of all.
    """
    chain = seals.select_chain(tx, trail)
    assert chain is not None, "only what is sealed is signed"
    of = seals.select_trails(tx, [trail])[trail]
    stated = statement(
        Checkpoint(
            environment_id=of.environment_id,
            organization_id=of.organization_id,
            first_sequence=chain.first_sequence,
            sequence=chain.sequence,
            hash=chain.hash.hex(),
            removed_before=chain.removed_before,
            time=tx.now,
            key_id=key.id,
        )
    )
    last = seals.select_last_checkpoint(tx, trail)
    if last is not None and decode(last.statement).time[:_DAY_LENGTH] == tx.now[:_DAY_LENGTH]:
        seals.delete_checkpoint(tx, trail, last.sequence)
    seals.insert_checkpoint(tx, trail, CheckpointRow(chain.sequence, stated, key.sign(stated)))
