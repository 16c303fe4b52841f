"""The rules of checks, given a transaction: which domains to ask about, and what the answers make of them.

A check is owed as long as its row says when; claiming it only puts it off. So whatever dies at whatever
point, it is made. What the DNS said counts only for a domain that is still as it was when it was asked about.
"""

from collections.abc import Sequence

import msgspec

from tenantry.core.clock import later, milliseconds_of, timestamp
from tenantry.core.db import Transaction
from tenantry.domains import contests, schedule, store
from tenantry.domains.doctor import Verdict
from tenantry.domains.examine import Examination
from tenantry.domains.records import Expected
from tenantry.domains.schedule import Watched, WatchPolicy
from tenantry.domains.service import Refresh
from tenantry.domains.store import AttemptRow, DomainRow, Place, Progress
from tenantry.domains.wire import (
    ATTEMPT_PREFIX,
    DomainAtRisk,
    DomainAttempt,
    FailureReason,
    OrganizationDomain,
    VerificationFailed,
)
from tenantry.events import service as events
from tenantry.events.wire import EventName

_PRUNED_AT_ONCE = 500
_AFTER_CACHE_MILLISECONDS = 1000

_encode = msgspec.json.Encoder().encode


class Check(msgspec.Struct, frozen=True):
    """A claimed check: which domain, and what is to be found."""

    environment_id: str
    organization_id: str
    domain_id: str
    expected: Expected


class Result(msgspec.Struct, frozen=True):
    """What came of a check, and `chance` in [0, 1) that spreads the next one."""

    check: Check
    examination: Examination
    chance: float


class Rules(msgspec.Struct, frozen=True):
    """How domains are watched, and how many days a contest lasts."""

    watch: WatchPolicy
    contest_days: int


def any_due(tx: Transaction) -> bool:
    """Return whether there is a check to make. Changes nothing."""
    return store.is_any_due(tx)


def next_due(tx: Transaction) -> int | None:
    """Return when the next check is due, in milliseconds; None when there is none."""
    return store.select_next_due(tx)


def newest_at(tx: Transaction) -> int:
    """Return when a domain was checked last, in milliseconds; 0 when none was."""
    return milliseconds_of(store.select_newest_attempt_time(tx) or timestamp(0))


def claim(tx: Transaction, most: int, lease_milliseconds: int) -> list[Check]:
    """Take up to `most` checks that are due for the length of the lease, the longest due first."""
    rows = store.claim(tx, most, tx.milliseconds + lease_milliseconds)
    if not rows:
        return []
    places = store.select_places(tx, list({row.environment_id for row in rows}))
    return [_check(row, places[row.environment_id]) for row in rows]


def _check(row: DomainRow, place: Place) -> Check:
    return Check(row.environment_id, row.domain.organization_id, row.domain.id, expected(row.domain, place.slug))


def expected(domain: OrganizationDomain, slug: str) -> Expected:
    """Return what has to be published for a domain that the DNS can prove."""
    assert domain.verification_prefix
    assert domain.verification_token
    return Expected(domain.domain, domain.verification_prefix, domain.verification_token, slug)


def record(tx: Transaction, results: Sequence[Result], rules: Rules, refresh: Refresh) -> None:
    """Keep what checks found, and let each domain become what follows: verified, failed, at risk, due again."""
    environments = list({result.check.environment_id for result in results})
    places = store.select_places(tx, environments) if environments else {}
    for result in results:
        row = store.select(tx, result.check.environment_id, result.check.domain_id)
        if row is None or row.domain.verification_token != result.check.expected.token:
            continue
        _keep_attempt(tx, row, result.examination)
        if row.domain.state == "pending":
            _judge_pending(tx, row, result, places[row.environment_id], rules, refresh)
        elif row.domain.state == "verified":
            _judge_verified(tx, row, result, rules, refresh)
        else:
            store.update(tx, _due(row, None))


def _keep_attempt(tx: Transaction, row: DomainRow, examination: Examination) -> None:
    attempt = DomainAttempt(
        id=tx.new_id(ATTEMPT_PREFIX),
        organization_domain_id=row.domain.id,
        found=examination.found,
        verdict=_with_holder(tx, row, examination.verdict),
        questions=examination.questions,
        created_at=tx.now,
    )
    code = attempt.verdict.code
    store.insert_attempt(
        tx, AttemptRow(row.environment_id, row.domain.id, attempt.id, code, _encode(attempt), tx.now)
    )


def _with_holder(tx: Transaction, row: DomainRow, verdict: Verdict) -> Verdict:
    """Return the verdict with whose a token is that was found in place of ours, if that is known."""
    if verdict.code != "other_token" or verdict.token is None:
        return verdict
    holder = store.select_holder_of_token(tx, row.environment_id, row.domain.domain, verdict.token)
    if holder is None:
        return verdict
    sentence = f"{verdict.sentence} It is the token of organization {holder}."
    return msgspec.structs.replace(verdict, sentence=sentence)


def _judge_pending(
    tx: Transaction, row: DomainRow, result: Result, place: Place, rules: Rules, refresh: Refresh
) -> None:
    if result.examination.found:
        _proved(tx, row, result, place, rules, refresh)
        return
    if result.examination.found is False:
        contests.withdraw(tx, row.environment_id, row.domain.id)
    started_at = row.progress.started_at or 0
    if schedule.is_expired(started_at, tx.milliseconds):
        fail(tx, row, "domain_verification_period_expired", refresh)
    else:
        store.update(tx, _due_again(tx, row, result))


def _proved(tx: Transaction, row: DomainRow, result: Result, place: Place, rules: Rules, refresh: Refresh) -> None:
    """Verify a domain whose record is there, unless another organization has it: then there is a contest."""
    outcome = contests.challenge(tx, row, rules.contest_days) if place.policy == "exclusive" else "free"
    if outcome == "under_way":
        store.update(tx, _due_again(tx, row, result))
    elif outcome == "lost":
        fail(tx, row, "domain_verified_by_other_organization", refresh)
    else:
        for holder in contests.losers(tx, row, outcome):
            fail(tx, holder, "domain_verified_by_other_organization", refresh)
        _verify(tx, row, result, rules, refresh)


def _verify(tx: Transaction, row: DomainRow, result: Result, rules: Rules, refresh: Refresh) -> None:
    contests.withdraw(tx, row.environment_id, row.domain.id)
    domain = msgspec.structs.replace(row.domain, state="verified", updated_at=_later(tx, row))
    due_at = tx.milliseconds + schedule.wait_before_look(
        rules.watch, found=result.examination.found, chance=result.chance
    )
    store.update(tx, DomainRow(row.environment_id, domain, Progress(due_at=due_at, verified_at=tx.now)))
    refresh(tx, row.environment_id, domain.organization_id)
    events.record_by_system(
        tx, row.environment_id, EventName.ORGANIZATION_DOMAIN_VERIFIED, domain, domain.organization_id
    )


def fail(tx: Transaction, row: DomainRow, reason: FailureReason, refresh: Refresh) -> None:
    """Let a domain have failed: it is asked about no more until somebody starts it again."""
    contests.withdraw(tx, row.environment_id, row.domain.id)
    domain = msgspec.structs.replace(row.domain, state="failed", updated_at=_later(tx, row))
    store.update(tx, DomainRow(row.environment_id, domain, Progress()))
    refresh(tx, row.environment_id, domain.organization_id)
    told = VerificationFailed(reason=reason, organization_domain=domain)
    events.record_by_system(
        tx, row.environment_id, EventName.ORGANIZATION_DOMAIN_VERIFICATION_FAILED, told, domain.organization_id
    )


def _later(tx: Transaction, row: DomainRow) -> str:
    return later(tx.now, row.domain.updated_at)


def _due(row: DomainRow, due_at: int | None) -> DomainRow:
    return DomainRow(row.environment_id, row.domain, msgspec.structs.replace(row.progress, due_at=due_at))


def _due_again(tx: Transaction, row: DomainRow, result: Result) -> DomainRow:
    attempts = row.progress.attempts + 1
    due_at = tx.milliseconds + schedule.wait_before_check(attempts, result.chance)
    verdict = result.examination.verdict
    if verdict.code == "not_propagated" and verdict.until is not None:
        # The record is there: it is seen as soon as the resolver asks anew.
        due_at = min(due_at, max(tx.milliseconds, milliseconds_of(verdict.until)) + _AFTER_CACHE_MILLISECONDS)
    progress = msgspec.structs.replace(row.progress, attempts=attempts, due_at=due_at)
    return DomainRow(row.environment_id, row.domain, progress)


def _judge_verified(tx: Transaction, row: DomainRow, result: Result, rules: Rules, refresh: Refresh) -> None:
    found, before = result.examination.found, row.progress
    watched = Watched(before.misses, before.missing_since, before.at_risk_since)
    after, finding = schedule.look(rules.watch, watched, found=found, now=tx.milliseconds)
    if finding == "revoked":
        # The public API has no reason of its own for this; the proof is past its time.
        fail(tx, row, "domain_verification_period_expired", refresh)
        return
    progress = msgspec.structs.replace(
        before,
        due_at=tx.milliseconds + schedule.wait_before_look(rules.watch, found=found, chance=result.chance),
        attempts=before.attempts + 1,
        **msgspec.structs.asdict(after),
    )
    store.update(tx, DomainRow(row.environment_id, row.domain, progress))
    if finding == "at_risk":
        _tell_at_risk(tx, row, after, rules.watch)
    elif finding == "risk_ended":
        events.record_by_system(
            tx,
            row.environment_id,
            EventName.ORGANIZATION_DOMAIN_RISK_ENDED,
            row.domain,
            row.domain.organization_id,
        )


def _tell_at_risk(tx: Transaction, row: DomainRow, watched: Watched, policy: WatchPolicy) -> None:
    end = schedule.revoked_at(policy, tx.milliseconds)
    told = DomainAtRisk(
        organization_domain=row.domain,
        missing_since=timestamp(watched.missing_since or tx.milliseconds),
        misses=watched.misses,
        revoked_at=None if end is None else timestamp(end),
    )
    events.record_by_system(
        tx, row.environment_id, EventName.ORGANIZATION_DOMAIN_AT_RISK, told, row.domain.organization_id
    )


def prune(tx: Transaction, retention_days: int) -> int:
    """Delete up to 500 attempts older than the retention; return how many."""
    oldest_kept = timestamp(tx.milliseconds - retention_days * schedule.DAY)
    return store.delete_oldest_attempts(tx, oldest_kept, _PRUNED_AT_ONCE)
