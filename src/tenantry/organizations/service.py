"""The rules of organizations, one function an operation (wire.md section 1)."""

from functools import partial
from typing import Any, LiteralString

import msgspec
from msgspec import UNSET

from tenantry.core.caller import Caller
from tenantry.core.clock import later
from tenantry.core.db import Transaction
from tenantry.core.effort import THOROUGH, Effort
from tenantry.core.errors import ApiError, EntityNotFound, FieldError, ValidationFailed
from tenantry.core.page import Bounds, ListMetadata, Page, Window, bounds, envelope, window
from tenantry.domains import service as domain_service
from tenantry.domains.service import DEFAULT_RULES, DomainRules, InvalidEmail
from tenantry.events import service as events
from tenantry.events.wire import EventName
from tenantry.organizations import filters, index, metadata_keys, store
from tenantry.organizations.filters import Filter
from tenantry.organizations.metadata import merge
from tenantry.organizations.metadata_index import KeyRow
from tenantry.organizations.search import fold
from tenantry.organizations.store import OrganizationRow
from tenantry.organizations.wire import (
    PREFIX,
    CreateOrganization,
    ListOrganizations,
    LookUpOrganizations,
    Organization,
    OrganizationPage,
    Total,
    UpdateOrganization,
)

_MOST_OWNERS = 100

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Organization).decode


EXISTS: LiteralString = (
    "EXISTS (SELECT 1 FROM organizations"
    " WHERE organizations.environment_id = :environment_id AND organizations.id = :organization_id)"
)
"""Whether there is an organization, for a statement of another resource that looks up more than that."""


class OrganizationNotFound(EntityNotFound):
    """The caller's environment has no such organization: 404."""

    def __init__(self, identity: str) -> None:
        super().__init__("Organization", identity)


class ExternalIdAlreadyUsed(ApiError):
    """Another organization of the environment has the external id: 400."""

    status = 400
    code = "external_id_already_used"
    message = "Another organization has this external_id."

    def __init__(self, external_id: str, organization_id: str) -> None:
        super().__init__(f"The external_id '{external_id}' is already used by organization '{organization_id}'.")


class StripeCustomerIdAlreadyUsed(ApiError):
    """Another organization of the environment has the Stripe customer: 400."""

    status = 400
    code = "stripe_customer_id_already_used"
    message = "Another organization has this stripe_customer_id."

    def __init__(self, customer_id: str, organization_id: str) -> None:
        super().__init__(
            f"The stripe_customer_id '{customer_id}' is already used by organization '{organization_id}'."
        )


def create(
    tx: Transaction, caller: Caller, body: CreateOrganization, rules: DomainRules = DEFAULT_RULES
) -> msgspec.Raw:
    """Create an organization with its domains, which `rules` allow; return it.

    Raises ValidationFailed, InvalidMetadata, MetadataValueAlreadyUsed, ExternalIdAlreadyUsed, DomainTaken.
    """
    domain_service.check_all_allowed(rules, [], body.domains, body.domain_data)
    wanted = domain_service.claims(body.domains, body.domain_data)
    organization = Organization(
        id=tx.new_id(PREFIX),
        name=body.name,
        allow_profiles_outside_organization=body.allow_profiles_outside_organization or False,
        created_at=tx.now,
        updated_at=tx.now,
        domains=[],
        metadata=merge({}, body.metadata),
        external_id=body.external_id or None,
    )
    _check_unique(tx, caller, organization)
    keys = _check_metadata(tx, caller, organization.id, {}, organization.metadata)
    changes = domain_service.replace(tx, caller, organization.id, [], wanted or {})
    organization = msgspec.structs.replace(organization, domains=changes.domains)
    wire = _encode(organization)
    store.insert(tx, caller.environment_id, row_of(organization, wire))
    metadata_keys.keep(tx, caller.environment_id, keys, organization.id, {}, organization.metadata)
    events.record(tx, caller, EventName.ORGANIZATION_CREATED, organization.id, msgspec.Raw(wire))
    domain_service.record(tx, caller, changes)
    return msgspec.Raw(wire)


def get(tx: Transaction, caller: Caller, organization_id: str) -> msgspec.Raw:
    """Return an organization. Raises OrganizationNotFound."""
    wire = store.select_wire(tx, caller.environment_id, organization_id)
    if wire is None:
        raise OrganizationNotFound(organization_id)
    return msgspec.Raw(wire)


def get_by_external_id(tx: Transaction, caller: Caller, external_id: str) -> msgspec.Raw:
    """Return the organization with that external id. Raises OrganizationNotFound."""
    wire = store.select_wire_by_external_id(tx, caller.environment_id, external_id)
    if wire is None:
        raise OrganizationNotFound(external_id)
    return msgspec.Raw(wire)


def list_page(
    tx: Transaction, caller: Caller, query: ListOrganizations, effort: Effort = THOROUGH
) -> OrganizationPage:
    """Return one page of the organizations that match all of `query`, and how many those are if that is asked.

    Where the rest of the matches are too far apart for `effort` the page is short, even empty, and
    its cursor leads on from where it stopped. Raises TakesLong, if the effort is one that gives up.
    """
    limits = bounds(query)
    chosen = _filter(query)
    shown = envelope(query, _window(tx, caller.environment_id, chosen, limits, effort))
    if not query.total:
        return OrganizationPage(shown.data, shown.list_metadata)
    counted = filters.count(tx, caller.environment_id, chosen, effort)
    return OrganizationPage(shown.data, shown.list_metadata, Total(counted.count, counted.exact))


def _window(
    tx: Transaction, environment_id: str, chosen: Filter, limits: Bounds, effort: Effort
) -> Window[msgspec.Raw]:
    if chosen == filters.ALL:
        walked, has_any_behind = store.select_page(tx, environment_id, limits)
        return window(limits, walked, lambda _first: has_any_behind)
    if chosen == Filter(text=chosen.text):
        walked = index.select_page(tx, environment_id, chosen.text, limits, effort)
        has_behind = partial(index.has_behind, tx, environment_id, chosen.text, limits, effort=effort)
        return window(limits, walked, has_behind)
    found = filters.select_page(tx, environment_id, chosen, limits, effort)
    has_behind = partial(filters.has_behind, tx, environment_id, chosen, limits, effort=effort)
    return window(limits, found.rows, has_behind, found.stopped)


def _filter(query: ListOrganizations) -> Filter:
    return Filter(
        domains=[domain_service.filter_form(domain) for domain in query.domains],
        domain_state=query.domain_state,
        text=fold(query.search or ""),
        metadata=query.metadata,
        created_after=query.created_after,
        created_before=query.created_before,
        has_external_id=query.has_external_id,
        stripe_customer_id=query.stripe_customer_id,
    )


def look_up(tx: Transaction, caller: Caller, query: LookUpOrganizations) -> Page[msgspec.Raw]:
    """Return the organizations to which an e-mail address belongs by a verified domain, all on one page.

    None, or one; more only where domains are shared, or were given as verified. Raises ValidationFailed.
    """
    try:
        domain = domain_service.domain_of(query.email)
    except InvalidEmail as error:
        raise ValidationFailed([FieldError("email", f"email {error}")]) from error
    wires = store.select_wires_of_owners(tx, caller.environment_id, domain, _MOST_OWNERS)
    return Page([msgspec.Raw(wire) for wire in wires], ListMetadata(None, None))


def update(
    tx: Transaction,
    caller: Caller,
    organization_id: str,
    body: UpdateOrganization,
    rules: DomainRules = DEFAULT_RULES,
) -> msgspec.Raw:
    """Change what `body` gives of an organization; return it. Its new domains are such as `rules` allow.

    A body that changes nothing leaves no event and the same `updated_at`. Raises
    OrganizationNotFound, ValidationFailed, InvalidMetadata, MetadataValueAlreadyUsed,
    ExternalIdAlreadyUsed, StripeCustomerIdAlreadyUsed, DomainTaken.
    """
    before = _decode(get(tx, caller, organization_id))
    domain_service.check_all_allowed(rules, before.domains, body.domains, body.domain_data)
    wanted = domain_service.claims(body.domains, body.domain_data)
    after = _changed(before, body)
    _check_unique(tx, caller, after, before)
    keys = _check_metadata(tx, caller, organization_id, before.metadata, after.metadata)
    if wanted is not None:
        changes = domain_service.replace(tx, caller, organization_id, before.domains, wanted)
        domain_service.record(tx, caller, changes)
        after = msgspec.structs.replace(after, domains=changes.domains)
    previous = previous_attributes(before, after)
    if not previous:
        return msgspec.Raw(_encode(before))
    after = msgspec.structs.replace(after, updated_at=later(tx.now, before.updated_at))
    wire = _encode(after)
    store.update(tx, caller.environment_id, row_of(after, wire))
    metadata_keys.keep(tx, caller.environment_id, keys, organization_id, before.metadata, after.metadata)
    events.record(tx, caller, EventName.ORGANIZATION_UPDATED, after.id, msgspec.Raw(wire), previous=previous)
    return msgspec.Raw(wire)


def refresh_domains(tx: Transaction, environment_id: str, organization_id: str) -> None:
    """Write anew what an organization shows of its domains. Its `updated_at` stays: it is theirs that has changed.

    Raises OrganizationNotFound.
    """
    wire = store.select_wire(tx, environment_id, organization_id)
    if wire is None:
        raise OrganizationNotFound(organization_id)
    domains = domain_service.of_organization(tx, environment_id, organization_id)
    shown = _encode(msgspec.structs.replace(_decode(wire), domains=domains))
    store.update_wire(tx, environment_id, organization_id, shown)


def count(tx: Transaction, caller: Caller) -> int:
    """Return how many organizations an environment has: a look at each, which at a million takes its time."""
    return store.count(tx, caller.environment_id)


def lock(tx: Transaction, caller: Caller, organization_ids: list[str]) -> None:
    """Have others wait who would change one of these organizations, those that are there, until all is done.

    On PostgreSQL a change that another transaction made meanwhile is noticed here, before anything was done.
    """
    if organization_ids:
        store.lock(tx, caller.environment_id, organization_ids)


def delete(tx: Transaction, caller: Caller, organization_id: str) -> None:
    """Delete an organization and its domains. Raises OrganizationNotFound.

    Its events stay, and its external id is free again (wire.md section 1.12).
    """
    wire = get(tx, caller, organization_id)
    domain_service.delete_of_organization(tx, caller, organization_id, _decode(wire).domains)
    store.delete(tx, caller.environment_id, organization_id)
    events.record(tx, caller, EventName.ORGANIZATION_DELETED, organization_id, wire)


def _changed(before: Organization, body: UpdateOrganization) -> Organization:
    """Return `before` as `body` leaves it, domains and time aside. Raises InvalidMetadata."""
    outside = body.allow_profiles_outside_organization
    external_id, customer_id = body.external_id, body.stripe_customer_id
    return msgspec.structs.replace(
        before,
        name=before.name if body.name is None else body.name,
        allow_profiles_outside_organization=(
            before.allow_profiles_outside_organization if outside is None else outside
        ),
        metadata=merge(before.metadata, body.metadata),
        # "" is what an older Go client sends for an external id left unset.
        external_id=before.external_id if external_id is UNSET or external_id == "" else external_id,
        stripe_customer_id=before.stripe_customer_id if customer_id is UNSET else customer_id or UNSET,
    )


def _check_unique(
    tx: Transaction, caller: Caller, after: Organization, before: Organization | None = None
) -> None:
    """Raise when another organization has the external id or Stripe customer that `after` newly has."""
    external_id = after.external_id
    if external_id is not None and (before is None or external_id != before.external_id):
        holder = store.select_id_by_external_id(tx, caller.environment_id, external_id)
        if holder is not None:
            raise ExternalIdAlreadyUsed(external_id, holder)
    customer_id = after.stripe_customer_id
    if customer_id is not UNSET and (before is None or customer_id != before.stripe_customer_id):
        holder = store.select_id_by_stripe_customer_id(tx, caller.environment_id, customer_id)
        if holder is not None:
            raise StripeCustomerIdAlreadyUsed(customer_id, holder)


def _check_metadata(
    tx: Transaction, caller: Caller, organization_id: str, before: dict[str, str], after: dict[str, str]
) -> list[KeyRow]:
    """Raise where new metadata breaks the rule of a declared key; return the keys, which `keep` needs."""
    if before == after:
        return []
    keys = metadata_keys.declared_in(tx, caller.environment_id)
    if not keys:
        return keys
    changed = {key: value for key, value in after.items() if value != before.get(key)}
    known = metadata_keys.holders(tx, caller.environment_id, keys, [changed])
    metadata_keys.check(keys, known, organization_id, before, after)
    return keys


def previous_attributes(before: msgspec.Struct, after: msgspec.Struct) -> dict[str, Any]:
    """Return the old value of each attribute that differs; None where there was none."""
    previous = {}
    for name in before.__struct_fields__:
        old = getattr(before, name)
        if old != getattr(after, name):
            previous[name] = None if old is UNSET else old
    return previous


def row_of(organization: Organization, wire: bytes) -> OrganizationRow:
    """Return the row of an organization whose JSON is `wire`."""
    return OrganizationRow(
        id=organization.id,
        name=organization.name,
        folded_name=fold(organization.name),
        allow_profiles_outside_organization=organization.allow_profiles_outside_organization,
        external_id=organization.external_id,
        stripe_customer_id=organization.stripe_customer_id or None,
        metadata=_encode(organization.metadata).decode(),
        created_at=organization.created_at,
        updated_at=organization.updated_at,
        wire=wire,
    )
