"""Taking in organizations as another directory has them: ids, times, domains and external ids are kept.

Of two states of one organization the later counts, by `updated_at`: what was changed here since stays.
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
from tenantry.domains.imports import Holders, Merged, Merging
from tenantry.domains.service import DomainRules, filter_form
from tenantry.domains.wire import DomainRecord
from tenantry.events import service as events
from tenantry.events.service import Change
from tenantry.events.wire import EventName
from tenantry.organizations import metadata_keys, store
from tenantry.organizations.metadata import InvalidMetadata, merge
from tenantry.organizations.metadata_index import KeyRow
from tenantry.organizations.metadata_keys import MetadataValueAlreadyUsed
from tenantry.organizations.service import (
    ExternalIdAlreadyUsed,
    StripeCustomerIdAlreadyUsed,
    previous_attributes,
    row_of,
)
from tenantry.organizations.trials import Claim, Trial
from tenantry.organizations.wire import PREFIX, Organization, OrganizationRecord

__all__ = ["Given", "Outcome", "Taken", "Trial", "present", "take_in"]

Outcome = Literal["created", "updated", "unchanged", "kept", "refused"]
"""What became of a record. `kept`: what is here was changed later, and stays."""

# The kinds of claims, the last of them with the metadata key behind it.
_EXTERNAL_ID, _CUSTOMER_ID, _DOMAIN_ID, _DOMAIN = "external_id", "stripe_customer_id", "domain_id", "domain"
_METADATA = "metadata."

# How often a batch is planned anew: each time one more may be found not to come that others waited for.
_MOST_ROUNDS = 10

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Organization).decode


class Given(msgspec.Struct, frozen=True):
    """A record to take in. A whole one says all of its organization, so that what is absent is not there.

    One that is not whole changes what it gives, as an update does.
    """

    record: OrganizationRecord
    whole: bool = True


class Taken(msgspec.Struct, frozen=True):
    """What became of a record; `problems` say why it, or a domain of it, could not come."""

    outcome: Outcome
    organization_id: str | None
    problems: list[FieldError]


class _Refused(Exception):
    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.problem = FieldError(field, reason)


class _Known(msgspec.Struct, frozen=True):
    """What the environment has of what the records name; kept up to date as they are planned."""

    organizations: dict[str, Organization]
    by_external_id: dict[str, str]
    by_customer_id: dict[str, str]
    domains: Holders
    declared: list[KeyRow]
    metadata: metadata_keys.Holders

    def note(self, claim: Claim) -> None:
        """Have the records that follow see a claim."""
        kind, value, organization_id, holds = claim
        if kind.startswith(_METADATA):
            pair = {kind.removeprefix(_METADATA): value}
            self.metadata.note(organization_id, {} if holds else pair, pair if holds else {})
            return
        holders = self._holders(kind)
        if holds:
            holders[value] = organization_id
        elif holders.get(value) == organization_id:
            del holders[value]

    def copy(self) -> "_Known":
        """Return a copy that can be kept up to date by itself."""
        return msgspec.structs.replace(
            self,
            organizations=dict(self.organizations),
            by_external_id=dict(self.by_external_id),
            by_customer_id=dict(self.by_customer_id),
            domains=Holders(dict(self.domains.by_id), dict(self.domains.by_name)),
            metadata=metadata_keys.Holders({pair: set(ids) for pair, ids in self.metadata.by_value.items()}),
        )

    def _holders(self, kind: str) -> dict[str, str]:
        if kind == _EXTERNAL_ID:
            return self.by_external_id
        if kind == _CUSTOMER_ID:
            return self.by_customer_id
        return self.domains.by_id if kind == _DOMAIN_ID else self.domains.by_name


class _Plan(msgspec.Struct, frozen=True):
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


def take_in(
    tx: Transaction, caller: Caller, given: list[Given], rules: DomainRules, *, trial: Trial | None = None
) -> list[Taken]:
    """Create or update an organization for each record; return what became of each, in order.

    No two records may have the same `id` or, where that is not given, `external_id`. One that cannot come is
    refused and changes nothing; the others come all the same. With a `trial` nothing is written, but noted in
    it: what comes later in the same trial finds it as if it were here.
    """
    known = _look_up(tx, caller, [each.record for each in given], trial)
    planned = _plan_all(tx, caller, known, given, rules)
    plans = [each for each in planned if isinstance(each, _Plan) and each.changes]
    if plans and trial is None:
        _write(tx, caller, plans, known.declared)
    elif trial is not None:
        claims = [claim for plan in plans for claim in _claims(known.declared, plan)]
        trial.note([(plan.after.id, _encode(plan.after)) for plan in plans], claims)
    return [_taken(each, result) for each, result in zip(given, planned, strict=True)]


def _taken(given: Given, planned: _Plan | _Refused) -> Taken:
    if isinstance(planned, _Plan):
        return Taken(planned.outcome, planned.after.id, planned.problems)
    return Taken("refused", None if given.record.id is UNSET else str(given.record.id), [planned.problem])


def present(tx: Transaction, caller: Caller, records: list[OrganizationRecord]) -> list[bool]:
    """Return of each record whether the environment has an organization with its id or its external id."""
    ids = sorted({str(each.id) for each in records if each.id is not UNSET})
    external_ids = sorted({each.external_id for each in records if each.external_id})
    known = store.select_wires_by_id(tx, caller.environment_id, ids) if ids else {}
    named = store.select_ids_by_external_id(tx, caller.environment_id, external_ids) if external_ids else {}
    return [each.id in known or each.external_id in named for each in records]


def _look_up(tx: Transaction, caller: Caller, records: list[OrganizationRecord], trial: Trial | None) -> _Known:
    environment_id = caller.environment_id
    external_ids = sorted({each.external_id for each in records if each.external_id})
    by_external_id = store.select_ids_by_external_id(tx, environment_id, external_ids) if external_ids else {}
    customer_ids = sorted({each.stripe_customer_id for each in records if each.stripe_customer_id})
    by_customer_id = (
        store.select_ids_by_stripe_customer_id(tx, environment_id, customer_ids) if customer_ids else {}
    )
    domains = [domain for each in records if each.domains is not UNSET for domain in each.domains]
    declared = metadata_keys.declared_in(tx, environment_id)
    known = _Known(
        {},
        by_external_id,
        by_customer_id,
        domain_imports.holders(tx, caller, domains),
        declared,
        metadata_keys.holders(tx, environment_id, declared, (each.metadata or {} for each in records)),
    )
    if trial is not None:
        _note_trial(known, trial, external_ids, customer_ids, domains)
    ids = {str(each.id) for each in records if each.id is not UNSET} | set(by_external_id.values())
    wires = store.select_wires_by_id(tx, environment_id, sorted(ids)) if ids else {}
    if trial is not None:
        wires |= trial.wires(ids)
    known.organizations.update((identity, _decode(wire)) for identity, wire in wires.items())
    # A dry run on PostgreSQL sees each moment as it is: what was found by its external id may be gone since.
    for external_id, holder in list(by_external_id.items()):
        if holder not in known.organizations:
            del by_external_id[external_id]
    return known


def _note_trial(
    known: _Known, trial: Trial, external_ids: list[str], customer_ids: list[str], domains: list[DomainRecord]
) -> None:
    """Have the records see what those before them in the trial came to."""
    asked = [
        (_EXTERNAL_ID, external_ids),
        (_CUSTOMER_ID, customer_ids),
        (_DOMAIN_ID, [str(domain.id) for domain in domains if domain.id is not UNSET]),
        (_DOMAIN, [filter_form(domain.domain) for domain in domains]),
    ]
    asked += [
        (_METADATA + row.key, [value for key, value in known.metadata.by_value if key == row.key])
        for row in known.declared
    ]
    for kind, values in asked:
        for claim in trial.claims(kind, values):
            known.note(claim)


def _plan_all(
    tx: Transaction, caller: Caller, known: _Known, given: list[Given], rules: DomainRules
) -> list[_Plan | _Refused]:
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


def _does_change(planned: _Plan | _Refused) -> bool:
    return isinstance(planned, _Plan) and planned.changes


def _letting_go(known: _Known, given: list[Given]) -> dict[int, list[Claim]]:
    """Return what records may let go of and one before them in the list wants, by the record's index."""
    wanted: set[tuple[str, str]] = set()
    found = {}
    for index, each in enumerate(given):
        record = each.record
        # One without an id is about whose external id it is.
        if record.id is UNSET:
            continue
        has = {(_EXTERNAL_ID, record.external_id), (_CUSTOMER_ID, record.stripe_customer_id)}
        before = known.organizations.get(record.id)
        if before is not None and wanted:
            claims = [Claim(*pair, before.id, holds=False) for pair in (_identities(before) & wanted) - has]
            if claims:
                found[index] = claims
        wanted.update((kind, value) for kind, value in has if value)
    return found


def _identities(organization: Organization) -> set[tuple[str, str]]:
    """Return what only one organization may have and this one has, with its kind."""
    found = set()
    if organization.external_id is not None:
        found.add((_EXTERNAL_ID, organization.external_id))
    if organization.stripe_customer_id is not UNSET:
        found.add((_CUSTOMER_ID, organization.stripe_customer_id))
    return found


def _plan_each(
    tx: Transaction, caller: Caller, known: _Known, given: list[Given], rules: DomainRules
) -> list[_Plan | _Refused]:
    """Return what each record comes to where those before it have come, or why it cannot come."""
    planned: list[_Plan | _Refused] = []
    for each in given:
        try:
            plan = _plan(tx, caller, known, each, rules)
        except _Refused as refused:
            planned.append(refused)
            continue
        if plan.changes:
            _note(known, plan)
        planned.append(plan)
    return planned


def _plan(tx: Transaction, caller: Caller, known: _Known, given: Given, rules: DomainRules) -> _Plan:
    """Return what a record comes to. Raises _Refused."""
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
        return _Plan(None, after, merged, problems)
    given_time = before.updated_at if record.updated_at is UNSET else str(record.updated_at)
    kept = before.updated_at > given_time
    if kept and after != before:
        reason = f"updated_at is {given_time}; it was changed here later, at {before.updated_at}, and stays so"
        return _Plan(before, after, merged, [FieldError("updated_at", reason)], kept=True)
    return _Plan(before, _timed(tx, before, after, record), merged, problems)


def _find(known: _Known, record: OrganizationRecord) -> Organization | None:
    """Return the organization that a record is about, if it is here. Raises _Refused."""
    if record.id is not UNSET:
        return known.organizations.get(record.id)
    if not record.external_id:
        raise _Refused("id", "id or external_id should not be empty: by one of them it is found again")
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
        raise _Refused("name", "name should not be empty")
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
        raise _Refused("metadata", str(error)) from error


def _check_unique(known: _Known, after: Organization) -> None:
    """Raise _Refused when another organization has the external id or the Stripe customer of `after`."""
    error: ApiError
    if after.external_id is not None:
        holder = known.by_external_id.get(after.external_id, after.id)
        if holder != after.id:
            error = ExternalIdAlreadyUsed(after.external_id, holder)
            raise _Refused("external_id", str(error))
    if after.stripe_customer_id is not UNSET:
        holder = known.by_customer_id.get(after.stripe_customer_id, after.id)
        if holder != after.id:
            error = StripeCustomerIdAlreadyUsed(after.stripe_customer_id, holder)
            raise _Refused("stripe_customer_id", str(error))


def _check_metadata(known: _Known, before: Organization | None, after: Organization) -> None:
    """Raise _Refused when the metadata of `after` breaks the rule of a declared key."""
    had = {} if before is None else before.metadata
    try:
        metadata_keys.check(known.declared, known.metadata, after.id, had, after.metadata)
    except (InvalidMetadata, MetadataValueAlreadyUsed) as error:
        raise _Refused("metadata", str(error)) from error


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


def _note(known: _Known, plan: _Plan) -> None:
    """Have the records that follow see what this one comes to."""
    known.organizations[plan.after.id] = plan.after
    for claim in _claims(known.declared, plan):
        known.note(claim)


def _claims(declared: list[KeyRow], plan: _Plan) -> Iterator[Claim]:
    """Yield what a plan lets go of and takes, each before what it takes instead."""
    before, after = plan.before, plan.after
    pairs: list[tuple[str, str | UnsetType | None, str | UnsetType | None]] = [
        (_EXTERNAL_ID, None if before is None else before.external_id, after.external_id),
        (_CUSTOMER_ID, None if before is None else before.stripe_customer_id, after.stripe_customer_id),
    ]
    for row in declared:
        if row.unique:
            value = None if before is None else before.metadata.get(row.key)
            pairs.append((_METADATA + row.key, value, after.metadata.get(row.key)))
    for kind, had, has in pairs:
        if had and had != has:
            yield Claim(kind, had, after.id, holds=False)
        if has and had != has:
            yield Claim(kind, has, after.id, holds=True)
    for holds, domains in ((False, plan.domains.deleted), (True, plan.domains.created)):
        for domain in domains:
            yield Claim(_DOMAIN_ID, domain.id, after.id, holds)
            yield Claim(_DOMAIN, domain.domain, after.id, holds)


def _write(tx: Transaction, caller: Caller, plans: list[_Plan], keys: list[KeyRow]) -> None:
    rows = [(plan, row_of(plan.after, _encode(plan.after))) for plan in plans]
    if givers := _givers(plans):
        store.release(tx, caller.environment_id, givers)
    for plan, row in rows:
        if plan.before is not None:
            store.update(tx, caller.environment_id, row)
    new = [row for plan, row in rows if plan.before is None]
    if new:
        store.insert_all(tx, caller.environment_id, new)
    for plan in plans:
        had = {} if plan.before is None else plan.before.metadata
        metadata_keys.keep(tx, caller.environment_id, keys, plan.after.id, had, plan.after.metadata)
    domain_imports.write(tx, caller, [plan.domains for plan in plans])
    events.record_all(tx, caller, [change for plan, row in rows for change in _changes(plan, row.wire)])


def _givers(plans: list[_Plan]) -> list[str]:
    """Return the organizations that have what another is to have: the database lets no two have it meanwhile."""
    lost = {
        pair: plan.after.id
        for plan in plans
        if plan.before is not None
        for pair in _identities(plan.before) - _identities(plan.after)
    }
    if not lost:
        return []
    gained = set().union(*(_identities(plan.after) for plan in plans))
    return sorted({lost[pair] for pair in lost.keys() & gained})


def _changes(plan: _Plan, wire: bytes) -> Iterator[Change]:
    """Yield the events of a plan, in the order in which a create or an update makes them."""
    before, after = plan.before, plan.after
    if before is None:
        yield Change(EventName.ORGANIZATION_CREATED, after.id, msgspec.Raw(wire))
    yield from domain_imports.changes(plan.domains)
    if before is not None and before.updated_at != after.updated_at:
        previous = previous_attributes(before, after)
        yield Change(EventName.ORGANIZATION_UPDATED, after.id, msgspec.Raw(wire), previous)
