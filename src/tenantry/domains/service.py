"""The domains of an organization: which it has, and how each came to count as its own."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET

from tenantry.core.caller import Caller
from tenantry.core.clock import later
from tenantry.core.db import Transaction
from tenantry.core.errors import ApiError, EntityNotFound, FieldError, ValidationFailed
from tenantry.domains import contests, store
from tenantry.domains.lists import is_consumer_domain
from tenantry.domains.names import InvalidDomain, spelling
from tenantry.domains.store import DomainRow, Progress
from tenantry.domains.wire import (
    PREFIX,
    CreateOrganizationDomain,
    DomainData,
    DomainName,
    OrganizationDomain,
)
from tenantry.events import service as events
from tenantry.events.wire import EventName

MOST_DOMAINS = 200
"""Of one organization: as many as a body with both lists of domains can name."""

TOKEN_LENGTH = 25
_PREFIX_TAIL = 6
CONSUMER = "must not be a consumer mail domain such as gmail.com, where anyone can have an address"

Claim = Literal["pending", "verified", "legacy_verified"]
"""How a caller gives a domain: to be checked, as checked, or in the old bare list."""

Refresh: TypeAlias = Callable[[Transaction, str, str], None]
"""Writes anew what an organization shows of its domains, given environment and organization.

It is given by who composes the application: organizations stand above domains. Raises
EntityNotFound when there is no such organization.
"""


class OrganizationDomainNotFound(EntityNotFound):
    """The caller's environment has no such organization domain: 404."""

    def __init__(self, identity: str) -> None:
        super().__init__("Organization domain", identity)


class DomainTaken(ApiError):
    """Another organization has the domain, in an environment where that is unique: 409."""

    status = 409
    message = "An Organization with this domain already exists."

    def __init__(self, domain: str) -> None:
        super().__init__(f"An Organization with the domain {domain} already exists.")


class DomainRules(msgspec.Struct, frozen=True):
    """Which well formed domains an organization may be given, as the settings have it."""

    refuse_consumer_domains: bool = True


DEFAULT_RULES = DomainRules()


class DomainAlreadyExists(ApiError):
    """The organization has the domain already: 409."""

    status = 409
    code = "domain_already_exists"
    message = "Domain already exists for this organization."


class TooManyDomains(ApiError):
    """The organization has as many domains as one may have: 422."""

    status = 422
    code = "too_many_domains"
    message = f"An organization has at most {MOST_DOMAINS} domains."


class DomainAlreadyVerified(ApiError):
    """There is nothing left to verify: 400."""

    status = 400
    code = "domain_already_verified"
    message = "Domain is already verified."


def create(
    tx: Transaction, caller: Caller, body: CreateOrganizationDomain, rules: DomainRules, refresh: Refresh
) -> OrganizationDomain:
    """Give an organization a domain that the DNS is to prove, beginning now; return it.

    Raises EntityNotFound, ValidationFailed, DomainAlreadyExists, DomainTaken, TooManyDomains.
    """
    name = str(body.domain)
    if store.has(tx, caller.environment_id, body.organization_id, name):
        raise DomainAlreadyExists
    check_allowed(rules, name)
    _take_unique(tx, caller, body.organization_id, [name])
    if store.count_of_organization(tx, caller.environment_id, body.organization_id) >= MOST_DOMAINS:
        raise TooManyDomains
    made = _new(tx, caller, body.organization_id, name, "pending")
    store.insert(tx, caller.environment_id, made, first_progress(tx, made))
    refresh(tx, caller.environment_id, body.organization_id)
    events.record(tx, caller, EventName.ORGANIZATION_DOMAIN_CREATED, made.organization_id, made)
    return made


def get(tx: Transaction, caller: Caller, domain_id: str) -> OrganizationDomain:
    """Return a domain. Raises OrganizationDomainNotFound."""
    return get_row(tx, caller, domain_id).domain


def get_row(tx: Transaction, caller: Caller, domain_id: str) -> DomainRow:
    """Return a domain with how its checks stand. Raises OrganizationDomainNotFound."""
    row = store.select(tx, caller.environment_id, domain_id)
    if row is None:
        raise OrganizationDomainNotFound(domain_id)
    return row


def delete(tx: Transaction, caller: Caller, domain_id: str, refresh: Refresh) -> None:
    """Take a domain from its organization. Raises OrganizationDomainNotFound."""
    domain = get(tx, caller, domain_id)
    _delete(tx, caller.environment_id, domain)
    refresh(tx, caller.environment_id, domain.organization_id)
    events.record(tx, caller, EventName.ORGANIZATION_DOMAIN_DELETED, domain.organization_id, domain)


def verify(tx: Transaction, caller: Caller, domain_id: str, refresh: Refresh) -> OrganizationDomain:
    """Have a domain checked now, one that is not pending with thirty days ahead of it; return it.

    Raises OrganizationDomainNotFound, DomainAlreadyVerified.
    """
    row = get_row(tx, caller, domain_id)
    if row.progress.verified_at is not None:
        raise DomainAlreadyVerified
    if row.domain.state == "pending":
        store.update_due(tx, caller.environment_id, domain_id, tx.milliseconds)
        return row.domain
    restarted = _restarted(tx, caller, row.domain)
    store.update(tx, DomainRow(caller.environment_id, restarted, first_progress(tx, restarted)))
    refresh(tx, caller.environment_id, restarted.organization_id)
    previous = {"state": row.domain.state, "updated_at": row.domain.updated_at}
    events.record(
        tx, caller, EventName.ORGANIZATION_DOMAIN_UPDATED, restarted.organization_id, restarted, previous=previous
    )
    return restarted


def _restarted(tx: Transaction, caller: Caller, domain: OrganizationDomain) -> OrganizationDomain:
    """Return a domain that failed as it is when it is tried anew, with the record that it had."""
    return msgspec.structs.replace(
        domain,
        state="pending",
        verification_strategy="dns",
        verification_prefix=domain.verification_prefix or verification_prefix(caller.slug, domain.id),
        verification_token=domain.verification_token or tx.new_token(TOKEN_LENGTH),
        updated_at=later(tx.now, domain.updated_at),
    )


class InvalidEmail(ValueError):
    """The text is no e-mail address; the message completes «email …»."""


def domain_of(email: str) -> str:
    """Return the domain of an e-mail address, in its normal form. Raises InvalidEmail.

    What stands before the last `@` is not looked at: it does not tell whose the address is.
    """
    local, _, domain = email.strip().rpartition("@")
    if not local:
        raise InvalidEmail("must be an e-mail address such as ana@acme.com")
    try:
        return spelling(domain)
    except InvalidDomain as error:
        raise InvalidEmail(f"must have a domain after the @ that {str(error).removeprefix('must ')}") from error


def of_organization(tx: Transaction, environment_id: str, organization_id: str) -> list[OrganizationDomain]:
    """Return an organization's domains, by id."""
    return store.select_of_organization(tx, environment_id, organization_id)


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
    if is_refused(rules, domain):
        raise ValidationFailed([FieldError(field, f"{field} {CONSUMER}")])


def check_all_allowed(
    rules: DomainRules,
    current: list[OrganizationDomain],
    domains: list[DomainName] | None,
    domain_data: list[DomainData] | None,
) -> None:
    """Raise ValidationFailed, which names each wrong field of a body, for what `check_allowed` refuses.

    What the organization has already, in `current`, may be named again whatever the rules.
    """
    if not rules.refuse_consumer_domains:
        return
    kept = {domain.domain for domain in current}
    errors = [
        FieldError(f"domains.{index}", f"each value in domains {CONSUMER}")
        for index, name in enumerate(domains or ())
        if name not in kept and is_refused(rules, name)
    ]
    for index, entry in enumerate(domain_data or ()):
        if entry.domain not in kept and is_refused(rules, entry.domain):
            field = f"domain_data.{index}.domain"
            errors.append(FieldError(field, f"{field} {CONSUMER}"))
    if errors:
        raise ValidationFailed(errors)


def is_refused(rules: DomainRules, domain: str) -> bool:
    """Return whether no organization may newly have `domain`, a normal form."""
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
    _take_unique(tx, caller, organization_id, list(new))
    created = [_new(tx, caller, organization_id, name, claim) for name, claim in new.items()]
    verified = [
        verified_manually(tx, domain)
        for domain in current
        if wanted.get(domain.domain) == "verified" and domain.state != "verified"
    ]
    deleted = [domain for domain in current if domain.domain not in wanted]
    for domain in deleted:
        _delete(tx, caller.environment_id, domain)
    for domain in created:
        store.insert(tx, caller.environment_id, domain, first_progress(tx, domain))
    for domain in verified:
        contests.withdraw(tx, caller.environment_id, domain.id)
        store.update(tx, DomainRow(caller.environment_id, domain, first_progress(tx, domain)))
    now = {domain.id: domain for domain in (*current, *verified, *created) if domain.domain in wanted}
    return DomainChanges([now[domain_id] for domain_id in sorted(now)], created, verified, deleted)


def _take_unique(tx: Transaction, caller: Caller, organization_id: str, names: list[str]) -> None:
    """Take names for an organization where no two may have one. Raises DomainTaken."""
    if caller.domain_policy == "unique" and names:
        taken = store.select_taken(tx, caller.environment_id, organization_id, names)
        if taken is not None:
            raise DomainTaken(taken)
        store.insert_unique(tx, caller.environment_id, names)


def _new(tx: Transaction, caller: Caller, organization_id: str, name: str, claim: Claim) -> OrganizationDomain:
    domain_id = tx.new_id(PREFIX)
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
        verification_token=tx.new_token(TOKEN_LENGTH),
    )


def first_progress(tx: Transaction, domain: OrganizationDomain) -> Progress:
    """Return how the checks of a domain stand that has just come to its state."""
    if domain.state == "pending":
        return Progress(due_at=tx.milliseconds, started_at=tx.milliseconds)
    return Progress(verified_at=tx.now)


def verification_prefix(slug: str, domain_id: str) -> str:
    """Return the name in a domain's TXT record: `acme-domain-verification-z3kjny` (wire.md section 4.3)."""
    return f"{slug}-domain-verification-{domain_id[-_PREFIX_TAIL:].lower()}"


def verified_manually(tx: Transaction, domain: OrganizationDomain) -> OrganizationDomain:
    """Return a domain as it is when a caller says that it is verified."""
    return msgspec.structs.replace(
        domain,
        state="verified",
        verification_strategy="manual",
        verification_prefix=UNSET,
        verification_token=UNSET,
        updated_at=tx.now,
    )


def _delete(tx: Transaction, environment_id: str, domain: OrganizationDomain) -> None:
    contests.withdraw(tx, environment_id, domain.id)
    store.delete(tx, environment_id, domain.id)


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
