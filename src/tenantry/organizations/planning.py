"""What records that are taken in come to: organizations, new, changed or as they were, or a refusal.

Nothing is written here.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from tenantry.core.caller import Caller
from tenantry.core.clock import later
from tenantry.core.db import Transaction
from tenantry.core.errors import ApiError, FieldError
from tenantry.domains import imports as domain_imports
from tenantry.domains.imports import Merged, Merging
from tenantry.domains.service import DomainRules
from tenantry.organizations import metadata_keys
from tenantry.organizations.claims import (
    CUSTOMER_ID,
    DOMAIN,
    DOMAIN_ID,
    EXTERNAL_ID,
    METADATA,
    Claim,
    Known,
    identities,
)
from tenantry.organizations.metadata import InvalidMetadata, merge
from tenantry.organizations.metadata_index import KeyRow
from tenantry.organizations.metadata_keys import MetadataValueAlreadyUsed
from tenantry.organizations.service import ExternalIdAlreadyUsed, StripeCustomerIdAlreadyUsed
from tenantry.organizations.wire import PREFIX, Organization, OrganizationRecord

Outcome = Literal["created", "updated", "unchanged", "kept", "refused"]
"""What became of a record. `kept`: what is here was changed later, and stays."""

# How often a batch is planned anew: each time one more may be found not to come that others waited for.
_MOST_ROUNDS = 10


class Given(msgspec.Struct, frozen=True):
    """A record to take in. A whole one says all of its organization, so that what is absent is not there.

    One that is not whole changes what it gives, as an update does.
    """

    record: OrganizationRecord
    whole: bool = True


class Refused(Exception):
    """A record cannot come; `problem` says why."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.problem = FieldError(field, reason)


class Plan(msgspec.Struct, frozen=True):
    """What a record comes to: `before` and `after`, which are the same where nothing changes."""

    before: Organization | None
    after: Organization
    domains: Merged
    problems: list[FieldError]
    kept: bool = False

    @property
    def outcome(self) -> Outcome:
        if self.before is None:
            return "created"
        if self.before == self.after:
            return "unchanged"
        return "kept" if self.kept else "updated"

    @property
    def changes(self) -> bool:
        """Whether there is anything to write."""
        return self.outcome in {"created", "updated"}


def plan_all(
    tx: Transaction, caller: Caller, known: Known, given: list[Given], rules: DomainRules
) -> list[Plan | Refused]:
    """Return what each record comes to, or why it cannot come.

    What a record lets go of is free also for those before it: two may have changed it between them. Should that
    record not come, it is planned anew with what it has held fast.
    """
    letting_go = _letting_go(known, given)
    for _ in range(_MOST_ROUNDS):
        if not letting_go:
            break
        freed = known.copy()
        for claim in chain(*letting_go.values()):
            freed.note(claim)
        planned = _plan_each(tx, caller, freed, given, rules)
        stays = {index for index in letting_go if not _does_change(planned[index])}
        if not stays:
            return planned
        letting_go = {index: claims for index, claims in letting_go.items() if index not in stays}
    return _plan_each(tx, caller, known, given, rules)


def _does_change(planned: Plan | Refused) -> bool:
    return isinstance(planned, Plan) and planned.changes


def _letting_go(known: Known, given: list[Given]) -> dict[int, list[Claim]]:
    """Return what records may let go of and one before them in the list wants, by the record's index."""
    wanted: set[tuple[str, str]] = set()
    found = {}
    for index, each in enumerate(given):
        record = each.record
        # One without an id is about whose external id it is.
        if record.id is UNSET:
            continue
        has = {(EXTERNAL_ID, record.external_id), (CUSTOMER_ID, record.stripe_customer_id)}
        before = known.organizations.get(record.id)
        if before is not None and wanted:
            claims = [Claim(*pair, before.id, holds=False) for pair in (identities(before) & wanted) - has]
            if claims:
                found[index] = claims
        wanted.update((kind, value) for kind, value in has if value)
    return found


def _plan_each(
    tx: Transaction, caller: Caller, known: Known, given: list[Given], rules: DomainRules
) -> list[Plan | Refused]:
    """Return what each record comes to where those before it have come, or why it cannot come."""
    planned: list[Plan | Refused] = []
    for each in given:
        try:
            plan = _plan(tx, caller, known, each, rules)
        except Refused as refused:
            planned.append(refused)
            continue
        if plan.changes:
            _note(known, plan)
        planned.append(plan)
    return planned


def _plan(tx: Transaction, caller: Caller, known: Known, given: Given, rules: DomainRules) -> Plan:
    """Return what a record comes to. Raises Refused."""
    record = given.record
    before = _find(known, record)
    fields = _fields(tx, before, given)
    _check_unique(known, fields)
    _check_metadata(known, before, fields)
    current = [] if before is None else before.domains
    merged, problems = Merged(current, [], [], []), list[FieldError]()
    if record.domains is not UNSET:
        as_of = None if record.updated_at is UNSET else str(record.updated_at)
        merging = Merging(fields.id, current, as_of, known.domains, rules)
        merged, problems = domain_imports.merge(tx, caller, merging, record.domains)
    after = msgspec.structs.replace(fields, domains=merged.domains)
    if before is None:
        return Plan(None, after, merged, problems)
    given_time = before.updated_at if record.updated_at is UNSET else str(record.updated_at)
    kept = before.updated_at > given_time
    if kept and after != before:
        reason = f"updated_at is {given_time}; it was changed here later, at {before.updated_at}, and stays so"
        return Plan(before, after, merged, [FieldError("updated_at", reason)], kept=True)
    return Plan(before, _timed(tx, before, after, record), merged, problems)


def _find(known: Known, record: OrganizationRecord) -> Organization | None:
    """Return the organization that a record is about, if it is here. Raises Refused."""
    if record.id is not UNSET:
        return known.organizations.get(record.id)
    if not record.external_id:
        raise Refused("id", "id or external_id should not be empty: by one of them it is found again")
    holder = known.by_external_id.get(record.external_id)
    return None if holder is None else known.organizations[holder]


def _fields(tx: Transaction, before: Organization | None, given: Given) -> Organization:
    """Return the organization as the record has it, its domains and time of update as they are here."""
    record = given.record
    if before is None:
        before = _empty(tx, record)
    customer_id = record.stripe_customer_id
    if customer_id is UNSET:
        customer_id = UNSET if given.whole else before.stripe_customer_id
    outside = record.allow_profiles_outside_organization
    return msgspec.structs.replace(
        before,
        name=before.name if record.name is UNSET else record.name,
        allow_profiles_outside_organization=(
            outside if isinstance(outside, bool) else before.allow_profiles_outside_organization
        ),
        stripe_customer_id=customer_id or UNSET,
        metadata=_metadata(before, given),
        external_id=before.external_id if record.external_id is UNSET else record.external_id or None,
    )


def _empty(tx: Transaction, record: OrganizationRecord) -> Organization:
    if record.name is UNSET:
        raise Refused("name", "name should not be empty")
    return Organization(
        id=tx.new_id(PREFIX) if record.id is UNSET else str(record.id),
        name=record.name,
        allow_profiles_outside_organization=False,
        created_at=tx.now if record.created_at is UNSET else str(record.created_at),
        updated_at=tx.now if record.updated_at is UNSET else str(record.updated_at),
        domains=[],
        metadata={},
        external_id=None,
    )


def _metadata(before: Organization, given: Given) -> dict[str, str]:
    change = given.record.metadata
    if change is UNSET:
        return before.metadata
    try:
        return merge({} if given.whole else before.metadata, change)
    except InvalidMetadata as error:
        raise Refused("metadata", str(error)) from error


def _check_unique(known: Known, after: Organization) -> None:
    """Raise Refused when another organization has the external id or the Stripe customer of `after`."""
    error: ApiError
    if after.external_id is not None:
        holder = known.by_external_id.get(after.external_id, after.id)
        if holder != after.id:
            error = ExternalIdAlreadyUsed(after.external_id, holder)
            raise Refused("external_id", str(error))
    if after.stripe_customer_id is not UNSET:
        holder = known.by_customer_id.get(after.stripe_customer_id, after.id)
        if holder != after.id:
            error = StripeCustomerIdAlreadyUsed(after.stripe_customer_id, holder)
            raise Refused("stripe_customer_id", str(error))


def _check_metadata(known: Known, before: Organization | None, after: Organization) -> None:
    """Raise Refused when the metadata of `after` breaks the rule of a declared key."""
    had = {} if before is None else before.metadata
    try:
        metadata_keys.check(known.declared, known.metadata, after.id, had, after.metadata)
    except (InvalidMetadata, MetadataValueAlreadyUsed) as error:
        raise Refused("metadata", str(error)) from error


def _timed(tx: Transaction, before: Organization, after: Organization, record: OrganizationRecord) -> Organization:
    """Return `after` with its time of update: the record's, or now where what it gives differs at the same time.

    Checks of a domain change the domain alone, so a record that differs in no more leaves the time.
    """
    if record.updated_at is not UNSET and record.updated_at > before.updated_at:
        return msgspec.structs.replace(after, updated_at=str(record.updated_at))
    with_domains = msgspec.structs.replace(before, domains=after.domains)
    if after == before or (record.updated_at is not UNSET and after == with_domains):
        return after
    return msgspec.structs.replace(after, updated_at=later(tx.now, before.updated_at))


def _note(known: Known, plan: Plan) -> None:
    """Have the records that follow see what this one comes to."""
    known.organizations[plan.after.id] = plan.after
    for claim in claims_of(known.declared, plan):
        known.note(claim)


def claims_of(declared: list[KeyRow], plan: Plan) -> Iterator[Claim]:
    """Yield what a plan lets go of and takes, each before what it takes instead."""
    before, after = plan.before, plan.after
    pairs: list[tuple[str, str | UnsetType | None, str | UnsetType | None]] = [
        (EXTERNAL_ID, None if before is None else before.external_id, after.external_id),
        (CUSTOMER_ID, None if before is None else before.stripe_customer_id, after.stripe_customer_id),
    ]
    for row in declared:
        if row.unique:
            value = None if before is None else before.metadata.get(row.key)
            pairs.append((METADATA + row.key, value, after.metadata.get(row.key)))
    for kind, had, has in pairs:
        if had and had != has:
            yield Claim(kind, had, after.id, holds=False)
        if has and had != has:
            yield Claim(kind, has, after.id, holds=True)
    for holds, domains in ((False, plan.domains.deleted), (True, plan.domains.created)):
        for domain in domains:
            yield Claim(DOMAIN_ID, domain.id, after.id, holds)
            yield Claim(DOMAIN, domain.domain, after.id, holds)
