"""Whose a domain is, and how its verification stands: what can be asked beyond the wire."""

from functools import partial

import msgspec

from tenantry.core.caller import Caller
from tenantry.core.clock import timestamp
from tenantry.core.db import Transaction
from tenantry.core.errors import FieldError, ValidationFailed
from tenantry.core.page import Page, bounds, envelope, window
from tenantry.domains import checks, contests, schedule, store
from tenantry.domains.names import InvalidDomain, spelling
from tenantry.domains.records import Expected
from tenantry.domains.service import get_row
from tenantry.domains.store import DomainRow
from tenantry.domains.wire import (
    Claimant,
    DomainAttempt,
    DomainContest,
    DomainDiagnosis,
    DomainOwnership,
    ListDomainAttempts,
    OrganizationDomain,
    Owner,
    Proof,
    Record,
)

_MOST_SHOWN = 100
_BEST_PROOF_FIRST: tuple[Proof, ...] = ("dns", "manual", "legacy")


class Provable(msgspec.Struct, frozen=True):
    """A domain that an organization is to prove or has proved, and the record that does."""

    domain: OrganizationDomain
    expected: Expected


def list_provable(tx: Transaction, environment_id: str, slug: str, domain: str) -> list[Provable]:
    """Return up to 200 organizations' claims to a domain, in its normal form, that the DNS can prove."""
    found = store.select_named(tx, environment_id, domain, _MOST_SHOWN)
    return [
        Provable(row.domain, checks.expected(row.domain, slug)) for row in found if row.domain.verification_token
    ]


def get_ownership(tx: Transaction, caller: Caller, text: str) -> DomainOwnership:
    """Return whose a domain is. One that nobody names has no owners. Raises ValidationFailed for what is none."""
    try:
        domain = spelling(text)
    except InvalidDomain as error:
        raise ValidationFailed([FieldError("domain", f"domain {error}")]) from error
    found = store.select_named(tx, caller.environment_id, domain, _MOST_SHOWN)
    owners = [row for row in found if row.progress.verified_at is not None]
    claimants = [row for row in found if row.progress.verified_at is None]
    return DomainOwnership(
        domain=domain,
        policy=caller.domain_policy,
        owners=sorted(map(_owner, owners), key=_best_proof_first),
        claimants=[_claimant(row) for row in claimants],
        contests=_contests(tx, owners, claimants),
    )


def _owner(row: DomainRow) -> Owner:
    at_risk_since, since = row.progress.at_risk_since, row.progress.verified_at
    assert since is not None
    return Owner(
        organization_id=row.domain.organization_id,
        organization_domain_id=row.domain.id,
        proof=_proof(row),
        since=since,
        at_risk_since=None if at_risk_since is None else timestamp(at_risk_since),
    )


def _best_proof_first(owner: Owner) -> tuple[int, str, str]:
    return _BEST_PROOF_FIRST.index(owner.proof), owner.since, owner.organization_domain_id


def _proof(row: DomainRow) -> Proof:
    if row.domain.state == "legacy_verified":
        return "legacy"
    return "dns" if row.domain.verification_strategy == "dns" else "manual"


def _claimant(row: DomainRow) -> Claimant:
    return Claimant(
        organization_id=row.domain.organization_id,
        organization_domain_id=row.domain.id,
        state=row.domain.state,
        since=row.domain.created_at,
    )


def _contests(tx: Transaction, owners: list[DomainRow], claimants: list[DomainRow]) -> list[DomainContest]:
    if not owners or not claimants:
        return []
    sides = {row.domain.id: row.domain for row in (*owners, *claimants)}
    found = store.select_contests(tx, claimants[0].environment_id, [row.domain.id for row in claimants])
    return [
        contests.shown(contest, sides[contest.challenger_id], sides[contest.holder_id])
        for contest in found
        if contest.holder_id in sides
    ]


def get_diagnosis(tx: Transaction, caller: Caller, domain_id: str) -> DomainDiagnosis:
    """Return how the verification of a domain stands. Raises OrganizationDomainNotFound."""
    row = get_row(tx, caller, domain_id)
    progress, pending = row.progress, row.domain.state == "pending"
    expires_at = (progress.started_at or 0) + schedule.PERIOD if pending else None
    last = store.select_last_attempt(tx, caller.environment_id, domain_id)
    return DomainDiagnosis(
        organization_domain=row.domain,
        publish=_publish(row, caller.slug),
        attempts=progress.attempts,
        next_check_at=_time(progress.due_at),
        expires_at=_time(expires_at),
        at_risk_since=_time(progress.at_risk_since),
        last_attempt=None if last is None else msgspec.json.decode(last, type=DomainAttempt),
    )


def _publish(row: DomainRow, slug: str) -> list[Record]:
    if not row.domain.verification_token:
        return []
    expected = checks.expected(row.domain, slug)
    return [Record(name=name, value=expected.value) for name in (expected.domain, expected.challenge)]


def _time(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else timestamp(milliseconds)


def list_attempts(tx: Transaction, caller: Caller, domain_id: str, query: ListDomainAttempts) -> Page[msgspec.Raw]:
    """Return one page of the checks of a domain. Raises OrganizationDomainNotFound."""
    get_row(tx, caller, domain_id)
    limits = bounds(query)
    walked = store.select_attempts(tx, caller.environment_id, domain_id, limits)
    has_behind = partial(store.has_attempt_behind, tx, caller.environment_id, domain_id, limits)
    return envelope(query, window(limits, walked, has_behind))
