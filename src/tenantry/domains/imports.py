"""Taking in domains as another directory has them: ids, states, records and times are kept.

Of two states of one domain the later counts: what was changed here since stays.
"""

from collections.abc import Iterable, Iterator
from zlib import crc32

import msgspec
from msgspec import UNSET

from tenantry.core.caller import Caller
from tenantry.core.db import Transaction
from tenantry.core.errors import FieldError
from tenantry.domains import contests, store
from tenantry.domains.names import InvalidDomain, normal_form
from tenantry.domains.schedule import DAY
from tenantry.domains.service import (
    CONSUMER,
    MOST_DOMAINS,
    TOKEN_LENGTH,
    DomainRules,
    filter_form,
    first_progress,
    is_refused,
    verification_prefix,
    verified_manually,
)
from tenantry.domains.store import DomainRow, Progress
from tenantry.domains.wire import PREFIX, DomainRecord, OrganizationDomain
from tenantry.events.service import Change
from tenantry.events.wire import EventName

_LOOKED_UP_AT_ONCE = 1000


class Holders(msgspec.Struct, frozen=True):
    """Which organization has a domain: by the domain's id, and by name where only one may have it.

    Whoever merges several organizations keeps it up to date.
    """

    by_id: dict[str, str]
    by_name: dict[str, str]


class Merged(msgspec.Struct, frozen=True):
    """What taking in an organization's domains comes to: the set then, and what becomes of which."""

    domains: list[OrganizationDomain]
    created: list[OrganizationDomain]
    changed: list[tuple[OrganizationDomain, OrganizationDomain]]
    deleted: list[OrganizationDomain]

    @property
    def any(self) -> bool:
        """Whether anything changes."""
        return bool(self.created or self.changed or self.deleted)


def holders(tx: Transaction, caller: Caller, records: list[DomainRecord]) -> Holders:
    """Return what is to be known of the environment's domains before `records` are merged."""
    known = Holders({}, {})
    for ids in _parts({str(record.id) for record in records if record.id is not UNSET}):
        known.by_id.update(store.select_holders_by_id(tx, caller.environment_id, ids))
    if caller.domain_policy == "unique":
        for names in _parts({filter_form(record.domain) for record in records}):
            known.by_name.update(store.select_holders_by_name(tx, caller.environment_id, names))
    return known


def _parts(values: set[str]) -> Iterator[list[str]]:
    """Yield `values` as lists that a statement takes."""
    ordered = sorted(values)
    for first in range(0, len(ordered), _LOOKED_UP_AT_ONCE):
        yield ordered[first : first + _LOOKED_UP_AT_ONCE]


class Merging(msgspec.Struct, frozen=True):
    """One organization whose domains are taken in.

    `current` is what it has here; what is not among the records goes, unless it was changed after `as_of`.
    """

    organization_id: str
    current: list[OrganizationDomain]
    as_of: str | None
    known: Holders
    rules: DomainRules


class _Refused(ValueError):
    """The domain cannot come; the message says why."""


def merge(
    tx: Transaction, caller: Caller, merging: Merging, records: list[DomainRecord]
) -> tuple[Merged, list[FieldError]]:
    """Return what `records` make of an organization's domains, and which cannot come. Writes nothing."""
    before = {domain.domain: domain for domain in merging.current}
    after: dict[str, OrganizationDomain] = {}
    refused = []
    for index, record in enumerate(records):
        try:
            name = normal_form(record.domain)
            _add(after, _merged(tx, caller, merging, before.get(name), name, record))
        except (InvalidDomain, _Refused) as error:
            refused.append(FieldError(f"domains.{index}", f"{record.domain} {error}"))
    if merging.as_of is not None:
        after |= {
            name: domain
            for name, domain in before.items()
            if name not in after and domain.updated_at > merging.as_of
        }
    return _difference(before, after), refused


def _add(after: dict[str, OrganizationDomain], domain: OrganizationDomain) -> None:
    """Add a domain to those of its organization. Raises _Refused."""
    others = [each for name, each in after.items() if name != domain.domain]
    if len(others) >= MOST_DOMAINS:
        raise _Refused(f"must not be one of more than {MOST_DOMAINS}")
    if any(each.id == domain.id for each in others):
        raise _Refused("must have an id of its own")
    after[domain.domain] = domain


def _difference(before: dict[str, OrganizationDomain], after: dict[str, OrganizationDomain]) -> Merged:
    same = {name for name, domain in after.items() if name in before and before[name].id == domain.id}
    return Merged(
        domains=sorted(after.values(), key=lambda domain: domain.id),
        created=[domain for name, domain in after.items() if name not in same],
        changed=[(before[name], after[name]) for name in after if name in same and before[name] != after[name]],
        deleted=[domain for name, domain in before.items() if name not in same],
    )


def _merged(
    tx: Transaction,
    caller: Caller,
    merging: Merging,
    existing: OrganizationDomain | None,
    name: str,
    record: DomainRecord,
) -> OrganizationDomain:
    """Return the later of a domain here and in the record. Raises _Refused."""
    if existing is None:
        _check_name(caller, merging, name)
        _check_id(merging, record)
        return _new(tx, caller, merging.organization_id, name, record)
    if record.id is UNSET:
        proved = record.state == "verified" and existing.state != "verified"
        return verified_manually(tx, existing) if proved else existing
    if record.updated_at is not UNSET and existing.updated_at > record.updated_at:
        return existing
    _check_id(merging, record)
    made = _new(tx, caller, merging.organization_id, name, record)
    if made.id != existing.id or record.verification_token or record.state != "pending":
        return made
    return msgspec.structs.replace(
        made, verification_prefix=existing.verification_prefix, verification_token=existing.verification_token
    )


def _check_name(caller: Caller, merging: Merging, name: str) -> None:
    if is_refused(merging.rules, name):
        raise _Refused(CONSUMER)
    holder = merging.known.by_name.get(name)
    if caller.domain_policy == "unique" and holder not in {None, merging.organization_id}:
        raise _Refused(f"must not be a domain of another organization, {holder}")


def _check_id(merging: Merging, record: DomainRecord) -> None:
    holder = None if record.id is UNSET else merging.known.by_id.get(str(record.id))
    if holder not in {None, merging.organization_id}:
        raise _Refused(f"must have an id that no domain of another organization has, here {holder}")


def _new(
    tx: Transaction, caller: Caller, organization_id: str, name: str, record: DomainRecord
) -> OrganizationDomain:
    domain_id = tx.new_id(PREFIX) if record.id is UNSET else str(record.id)
    strategy, prefix, token = record.verification_strategy, record.verification_prefix, record.verification_token
    if record.state == "pending" and not token:
        strategy, prefix = "dns", verification_prefix(caller.slug, domain_id)
        token = tx.new_token(TOKEN_LENGTH)
    elif record.state == "verified" and not strategy:
        strategy = "manual"
    return OrganizationDomain(
        id=domain_id,
        organization_id=organization_id,
        domain=name,
        state=record.state,
        verification_strategy=strategy or UNSET,
        verification_prefix=prefix or UNSET,
        verification_token=token or UNSET,
        created_at=tx.now if record.created_at is UNSET else str(record.created_at),
        updated_at=tx.now if record.updated_at is UNSET else str(record.updated_at),
    )


def write(tx: Transaction, caller: Caller, every: Iterable[Merged]) -> None:
    """Write what was merged. Records no events: `changes` returns them."""
    created: list[DomainRow] = []
    for merged in every:
        for domain in merged.deleted:
            contests.withdraw(tx, caller.environment_id, domain.id)
            store.delete(tx, caller.environment_id, domain.id)
        for before, after in merged.changed:
            _update(tx, caller, before, after)
        created += [DomainRow(caller.environment_id, domain, _progress(tx, domain)) for domain in merged.created]
    if created and caller.domain_policy == "unique":
        store.insert_unique(tx, caller.environment_id, [row.domain.domain for row in created])
    if created:
        store.insert_all(tx, created)


def _update(tx: Transaction, caller: Caller, before: OrganizationDomain, after: OrganizationDomain) -> None:
    row = store.select(tx, caller.environment_id, before.id)
    assert row is not None, "it was just read with its organization"
    goes_on = (before.state, before.verification_token) == (after.state, after.verification_token)
    if not goes_on:
        contests.withdraw(tx, caller.environment_id, before.id)
    progress = row.progress if goes_on else _progress(tx, after)
    store.update(tx, DomainRow(caller.environment_id, after, progress))


def _progress(tx: Transaction, domain: OrganizationDomain) -> Progress:
    """Return how the checks of a domain stand that was taken in.

    One that the DNS has verified goes on being watched, first some time within a day: the
    domains of a whole directory are not all asked about at once.
    """
    if domain.state in {"failed", "unverified"}:
        return Progress()
    if domain.state == "pending":
        return first_progress(tx, domain)
    watched = domain.verification_strategy == "dns" and domain.verification_token is not UNSET
    due_at = tx.milliseconds + crc32(domain.id.encode()) % DAY if watched else None
    return Progress(verified_at=domain.updated_at, due_at=due_at)


def changes(merged: Merged) -> Iterator[Change]:
    """Yield the events of what was merged, in order."""
    for domain in merged.deleted:
        yield Change(EventName.ORGANIZATION_DOMAIN_DELETED, domain.organization_id, domain)
    for domain in merged.created:
        yield Change(EventName.ORGANIZATION_DOMAIN_CREATED, domain.organization_id, domain)
    for before, after in merged.changed:
        if after.state == "verified" != before.state:
            yield Change(EventName.ORGANIZATION_DOMAIN_VERIFIED, after.organization_id, after)
        else:
            previous = {"state": before.state, "updated_at": before.updated_at}
            yield Change(EventName.ORGANIZATION_DOMAIN_UPDATED, after.organization_id, after, previous)
