"""The domains of an organization: which it has, and how each came to count as its own."""

from typing import Literal

import msgspec
from msgspec import UNSET

from tenantry.core.caller import Caller
from tenantry.core.db import Transaction
from tenantry.core.errors import ApiError, FieldError, ValidationFailed
from tenantry.domains import store
from tenantry.domains.lists import is_consumer_domain
from tenantry.domains.names import InvalidDomain, spelling
from tenantry.domains.wire import DomainData, DomainName, OrganizationDomain
from tenantry.events import service as events
from tenantry.events.wire import EventName

_TOKEN_LENGTH = 25
_PREFIX_TAIL = 6
_CONSUMER = "must not be a consumer mail domain such as gmail.com, where anyone can have an address"

Claim = Literal["pending", "verified", "legacy_verified"]
"""How a caller gives a domain: to be checked, as checked, or in the old bare list."""


class DomainTaken(ApiError):
    """Another organization has the domain, in an environment where that is exclusive: 409."""

    status = 409
    message = "An Organization with this domain already exists."

    def __init__(self, domain: str) -> None:
        super().__init__(f"An Organization with the domain {domain} already exists.")


class DomainRules(msgspec.Struct, frozen=True):
    """Which well formed domains an organization may be given, as the settings have it."""

    refuse_consumer_domains: bool = True


DEFAULT_RULES = DomainRules()


class DomainChanges(msgspec.Struct, frozen=True):
    """What replacing an organization's domains came to: the set now, and what became of which."""

    domains: list[OrganizationDomain]
    created: list[OrganizationDomain]
    verified: list[OrganizationDomain]
    deleted: list[OrganizationDomain]


def claims(domains: list[DomainName] | None, domain_data: list[DomainData] | None) -> dict[str, Claim] | None:
    """Return each named domain with how it is claimed; None when neither list is given.

    `domain_data` counts where both name a domain (wire.md section 1.2).
    """
    if domains is None and domain_data is None:
        return None
    # str(): what is kept is plain text, which msgspec encodes and a subclass of it is not.
    bare: dict[str, Claim] = {str(name): "legacy_verified" for name in domains or ()}
    return bare | {str(entry.domain): entry.state for entry in domain_data or ()}


def filter_form(text: str) -> str:
    """Return the spelling to look for, or for what is no domain name the text itself, lower case."""
    try:
        return spelling(text)
    except InvalidDomain:
        return text.lower()


def check_allowed(rules: DomainRules, domain: str, field: str = "domain") -> None:
    """Raise ValidationFailed, which names `field`, when no organization may newly have `domain`, a normal form."""
    if _is_refused(rules, domain):
        raise ValidationFailed([FieldError(field, f"{field} {_CONSUMER}")])


def check_all_allowed(
    rules: DomainRules,
    current: list[OrganizationDomain],
    domains: list[DomainName] | None,
    domain_data: list[DomainData] | None,
) -> None:
    """Raise ValidationFailed, which names each wrong field of a body, for what `check_allowed` refuses.

    What the organization has already, in `current`, may be named again whatever the rules.
    """
    kept = {domain.domain for domain in current}
    errors = [
        FieldError(f"domains.{index}", f"each value in domains {_CONSUMER}")
        for index, name in enumerate(domains or ())
        if name not in kept and _is_refused(rules, name)
    ]
    for index, entry in enumerate(domain_data or ()):
        if entry.domain not in kept and _is_refused(rules, entry.domain):
            field = f"domain_data.{index}.domain"
            errors.append(FieldError(field, f"{field} {_CONSUMER}"))
    if errors:
        raise ValidationFailed(errors)


def _is_refused(rules: DomainRules, domain: str) -> bool:
    return rules.refuse_consumer_domains and is_consumer_domain(domain)


def replace(
    tx: Transaction,
    caller: Caller,
    organization_id: str,
    current: list[OrganizationDomain],
    wanted: dict[str, Claim],
) -> DomainChanges:
    """Make `wanted` the domains of an organization that has `current` (wire.md section 1.3).

    One that is there already stays as it is, but for a claim that it is verified: that
    is taken at its word. Records no events: `record` does, when the caller is ready.
    Raises DomainTaken.
    """
    known = {domain.domain: domain for domain in current}
    new = {name: claim for name, claim in wanted.items() if name not in known}
    _check_exclusive(tx, caller, organization_id, list(new))
    created = [_new(tx, caller, organization_id, name, claim) for name, claim in new.items()]
    verified = [
        _verified_manually(tx, domain)
        for domain in current
        if wanted.get(domain.domain) == "verified" and domain.state != "verified"
    ]
    deleted = [domain for domain in current if domain.domain not in wanted]
    for domain in deleted:
        store.delete(tx, caller.environment_id, domain.id)
    for domain in created:
        store.insert(tx, caller.environment_id, domain)
    for domain in verified:
        store.update_verified_manually(tx, caller.environment_id, domain)
    now = {domain.id: domain for domain in (*current, *verified, *created) if domain.domain in wanted}
    return DomainChanges([now[domain_id] for domain_id in sorted(now)], created, verified, deleted)


def _check_exclusive(tx: Transaction, caller: Caller, organization_id: str, names: list[str]) -> None:
    if caller.exclusive_domains and names:
        taken = store.select_taken(tx, caller.environment_id, organization_id, names)
        if taken is not None:
            raise DomainTaken(taken)


def _new(tx: Transaction, caller: Caller, organization_id: str, name: str, claim: Claim) -> OrganizationDomain:
    domain_id = tx.new_id("org_domain")
    plain = OrganizationDomain(
        id=domain_id,
        organization_id=organization_id,
        domain=name,
        state=claim,
        created_at=tx.now,
        updated_at=tx.now,
    )
    if claim == "legacy_verified":
        return plain
    if claim == "verified":
        return msgspec.structs.replace(plain, verification_strategy="manual")
    return msgspec.structs.replace(
        plain,
        verification_strategy="dns",
        verification_prefix=verification_prefix(caller.slug, domain_id),
        verification_token=tx.new_token(_TOKEN_LENGTH),
    )


def verification_prefix(slug: str, domain_id: str) -> str:
    """Return the name in a domain's TXT record: `acme-domain-verification-z3kjny` (wire.md section 4.3)."""
    return f"{slug}-domain-verification-{domain_id[-_PREFIX_TAIL:].lower()}"


def _verified_manually(tx: Transaction, domain: OrganizationDomain) -> OrganizationDomain:
    return msgspec.structs.replace(
        domain,
        state="verified",
        verification_strategy="manual",
        verification_prefix=UNSET,
        verification_token=UNSET,
        updated_at=tx.now,
    )


def record(tx: Transaction, caller: Caller, changes: DomainChanges) -> None:
    """Record one event for each domain that was deleted, created or verified."""
    for event, domains in (
        (EventName.ORGANIZATION_DOMAIN_DELETED, changes.deleted),
        (EventName.ORGANIZATION_DOMAIN_CREATED, changes.created),
        (EventName.ORGANIZATION_DOMAIN_VERIFIED, changes.verified),
    ):
        for domain in domains:
            events.record(tx, caller, event, domain.organization_id, domain)


def delete_of_organization(
    tx: Transaction, caller: Caller, organization_id: str, current: list[OrganizationDomain]
) -> None:
    """Delete all domains of an organization, each with its event."""
    record(tx, caller, replace(tx, caller, organization_id, current, {}))
