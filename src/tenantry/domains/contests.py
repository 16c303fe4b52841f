"""Contests: one organization has a domain, and another has proved it.

Where a domain has one owner, a second proof does not fail in silence and takes nothing away at once: it opens
a contest, and both sides have until its end to set their records right (wire.md section 4.6 has only the
outcome, `domain_verified_by_other_organization`).
"""

from typing import Literal

from tenantry.core.clock import timestamp
from tenantry.core.db import Transaction
from tenantry.domains import store
from tenantry.domains.schedule import DAY
from tenantry.domains.store import ContestRow, DomainRow
from tenantry.domains.wire import ContestOutcome, DomainContest, EndedContest, OrganizationDomain
from tenantry.events import service as events
from tenantry.events.wire import EventName

_MOST_HOLDERS = 100

Outcome = Literal["free", "under_way", "won", "lost"]


def stands(holder: DomainRow) -> bool:
    """Return whether a holder keeps a domain that another has proved: by a record that is still there, or by word.

    The old bare list of domains is no word that anybody checked.
    """
    if holder.domain.state == "legacy_verified":
        return False
    return holder.domain.verification_strategy == "manual" or holder.progress.misses == 0


def challenge(tx: Transaction, row: DomainRow, days: int) -> Outcome:
    """Return what the proof of a pending domain leads to, where one organization can own it."""
    holders = _holders(tx, row)
    if not holders:
        return "free"
    contest = store.select_contest(tx, row.environment_id, row.domain.id)
    if contest is None:
        _open(tx, row, holders[0], tx.milliseconds + days * DAY)
        return "under_way"
    if tx.milliseconds < contest.ends_at:
        return "under_way"
    kept = any(stands(holder) for holder in holders)
    _end(tx, contest, "kept" if kept else "moved")
    return "lost" if kept else "won"


def losers(tx: Transaction, row: DomainRow, outcome: Outcome) -> list[DomainRow]:
    """Return those who have the domain that `row` has won."""
    return _holders(tx, row) if outcome == "won" else []


def withdraw(tx: Transaction, environment_id: str, domain_id: str) -> None:
    """End every contest that a domain takes part in, undecided; who challenges it is checked now."""
    for contest in store.select_contests_with(tx, environment_id, domain_id):
        _end(tx, contest, "withdrawn")
        if contest.challenger_id != domain_id:
            store.update_due(tx, environment_id, contest.challenger_id, tx.milliseconds)


def _holders(tx: Transaction, row: DomainRow) -> list[DomainRow]:
    store.lock_named(tx, row.environment_id, row.domain.domain)
    owners = store.select_owners(tx, row.environment_id, row.domain.domain, _MOST_HOLDERS)
    return [each for each in owners if each.domain.id != row.domain.id]


def _open(tx: Transaction, row: DomainRow, holder: DomainRow, ends_at: int) -> None:
    contest = ContestRow(row.environment_id, row.domain.id, holder.domain.id, ends_at, tx.now)
    store.insert_contest(tx, contest)
    store.update_due(tx, row.environment_id, holder.domain.id, tx.milliseconds)
    told = shown(contest, row.domain, holder.domain)
    for side in (holder, row):
        events.record_by_system(
            tx, row.environment_id, EventName.ORGANIZATION_DOMAIN_CONTESTED, told, side.domain.organization_id
        )


def _end(tx: Transaction, contest: ContestRow, outcome: ContestOutcome) -> None:
    store.delete_contest(tx, contest.environment_id, contest.challenger_id)
    sides = [store.select(tx, contest.environment_id, each) for each in (contest.holder_id, contest.challenger_id)]
    holder, challenger = (each.domain if each else None for each in sides)
    told = EndedContest(outcome=outcome, holder=holder, challenger=challenger)
    for side in filter(None, (holder, challenger)):
        events.record_by_system(
            tx, contest.environment_id, EventName.ORGANIZATION_DOMAIN_CONTEST_ENDED, told, side.organization_id
        )


def shown(contest: ContestRow, challenger: OrganizationDomain, holder: OrganizationDomain) -> DomainContest:
    """Return a contest as the wire has it."""
    return DomainContest(
        domain=challenger.domain,
        holder=holder,
        challenger=challenger,
        started_at=contest.created_at,
        ends_at=timestamp(contest.ends_at),
    )
