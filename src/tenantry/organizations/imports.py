"""Taking in organizations as another directory has them: ids, times, domains and external ids are kept.

Of two states of one organization the later counts, by `updated_at`: what was changed here since stays.
"""

from collections.abc import Iterator

import msgspec
from msgspec import UNSET

from tenantry.core.caller import Caller
from tenantry.core.db import Transaction
from tenantry.core.errors import FieldError
from tenantry.domains import imports as domain_imports
from tenantry.domains.service import DomainRules, filter_form
from tenantry.domains.wire import DomainRecord
from tenantry.events import service as events
from tenantry.events.service import Change
from tenantry.events.wire import EventName
from tenantry.organizations import metadata_keys, store
from tenantry.organizations.claims import (
    CUSTOMER_ID,
    DOMAIN,
    DOMAIN_ID,
    EXTERNAL_ID,
    METADATA,
    Known,
    identities,
)
from tenantry.organizations.metadata_index import KeyRow
from tenantry.organizations.planning import Given, Outcome, Plan, Refused, claims_of, plan_all
from tenantry.organizations.service import previous_attributes, row_of
from tenantry.organizations.trials import Trial
from tenantry.organizations.wire import Organization, OrganizationRecord

__all__ = ["Given", "Outcome", "Taken", "Trial", "present", "take_in"]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Organization).decode


class Taken(msgspec.Struct, frozen=True):
    """What became of a record; `problems` say why it, or a domain of it, could not come."""

    outcome: Outcome
    organization_id: str | None
    problems: list[FieldError]


def take_in(
    tx: Transaction, caller: Caller, given: list[Given], rules: DomainRules, *, trial: Trial | None = None
) -> list[Taken]:
    """Create or update an organization for each record; return what became of each, in order.

    No two records may have the same `id` or, where that is not given, `external_id`. One that cannot come is
    refused and changes nothing; the others come all the same. With a `trial` nothing is written, but noted in
    it: what comes later in the same trial finds it as if it were here.
    """
    known = _look_up(tx, caller, [each.record for each in given], trial)
    planned = plan_all(tx, caller, known, given, rules)
    plans = [each for each in planned if isinstance(each, Plan) and each.changes]
    if plans and trial is None:
        _write(tx, caller, plans, known.declared)
    elif trial is not None:
        claims = [claim for plan in plans for claim in claims_of(known.declared, plan)]
        trial.note([(plan.after.id, _encode(plan.after)) for plan in plans], claims)
    return [_taken(each, result) for each, result in zip(given, planned, strict=True)]


def _taken(given: Given, planned: Plan | Refused) -> Taken:
    if isinstance(planned, Plan):
        return Taken(planned.outcome, planned.after.id, planned.problems)
    return Taken("refused", None if given.record.id is UNSET else str(given.record.id), [planned.problem])


def present(tx: Transaction, caller: Caller, records: list[OrganizationRecord]) -> list[bool]:
    """Return of each record whether the environment has an organization with its id or its external id."""
    ids = sorted({str(each.id) for each in records if each.id is not UNSET})
    external_ids = sorted({each.external_id for each in records if each.external_id})
    known = store.select_wires_by_id(tx, caller.environment_id, ids) if ids else {}
    named = store.select_ids_by_external_id(tx, caller.environment_id, external_ids) if external_ids else {}
    return [each.id in known or each.external_id in named for each in records]


def _look_up(tx: Transaction, caller: Caller, records: list[OrganizationRecord], trial: Trial | None) -> Known:
    environment_id = caller.environment_id
    external_ids = sorted({each.external_id for each in records if each.external_id})
    by_external_id = store.select_ids_by_external_id(tx, environment_id, external_ids) if external_ids else {}
    customer_ids = sorted({each.stripe_customer_id for each in records if each.stripe_customer_id})
    by_customer_id = (
        store.select_ids_by_stripe_customer_id(tx, environment_id, customer_ids) if customer_ids else {}
    )
    domains = [domain for each in records if each.domains is not UNSET for domain in each.domains]
    declared = metadata_keys.declared_in(tx, environment_id)
    known = Known(
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
    known: Known, trial: Trial, external_ids: list[str], customer_ids: list[str], domains: list[DomainRecord]
) -> None:
    """Have the records see what those before them in the trial came to."""
    asked = [
        (EXTERNAL_ID, external_ids),
        (CUSTOMER_ID, customer_ids),
        (DOMAIN_ID, [str(domain.id) for domain in domains if domain.id is not UNSET]),
        (DOMAIN, [filter_form(domain.domain) for domain in domains]),
    ]
    asked += [
        (METADATA + row.key, [value for key, value in known.metadata.by_value if key == row.key])
        for row in known.declared
    ]
    for kind, values in asked:
        for claim in trial.claims(kind, values):
            known.note(claim)


def _write(tx: Transaction, caller: Caller, plans: list[Plan], keys: list[KeyRow]) -> None:
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


def _givers(plans: list[Plan]) -> list[str]:
    """Return the organizations that have what another is to have: the database lets no two have it meanwhile."""
    lost = {
        pair: plan.after.id
        for plan in plans
        if plan.before is not None
        for pair in identities(plan.before) - identities(plan.after)
    }
    if not lost:
        return []
    gained = set().union(*(identities(plan.after) for plan in plans))
    return sorted({lost[pair] for pair in lost.keys() & gained})


def _changes(plan: Plan, wire: bytes) -> Iterator[Change]:
    """Yield the events of a plan, in the order in which a create or an update makes them."""
    before, after = plan.before, plan.after
    if before is None:
        yield Change(EventName.ORGANIZATION_CREATED, after.id, msgspec.Raw(wire))
    yield from domain_imports.changes(plan.domains)
    if before is not None and before.updated_at != after.updated_at:
        previous = previous_attributes(before, after)
        yield Change(EventName.ORGANIZATION_UPDATED, after.id, msgspec.Raw(wire), previous)
