"""Putting a seed into a database, and writing one of what is there.

A seed makes what is missing and changes nothing that is there: organizations are found again by id or external
id, endpoints by id or URL, keys by value, events by id, environments by name. So a restart changes nothing.
"""

import importlib
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import UNSET

from tenantry.core.caller import Caller
from tenantry.core.clock import milliseconds_of, timestamp
from tenantry.core.db import Database, Transaction
from tenantry.core.errors import FieldError
from tenantry.core.ids import time_of
from tenantry.core.parsing import Moment, decode_custom
from tenantry.core.targets import RefusedTarget, TargetPolicy, check_url
from tenantry.domains.service import DomainRules
from tenantry.environments import service as environments
from tenantry.environments.store import EnvironmentRow
from tenantry.events import imports as event_imports
from tenantry.events.imports import EventRecord
from tenantry.events.wire import EventId
from tenantry.lab.seeds import EnvironmentSeed, Seed, SeedEvent, SeedRefused, derived_id
from tenantry.organizations.imports import Given, present, take_in
from tenantry.organizations.wire import OrganizationRecord
from tenantry.transfer.sources import every
from tenantry.webhooks import imports as endpoint_imports

_AT_ONCE = 1000
_DAY = 24 * 60 * 60 * 1000

_encode = msgspec.json.Encoder(enc_hook=str).encode  # texts that were parsed are texts
_decode = msgspec.json.Decoder(OrganizationRecord, dec_hook=decode_custom).decode


class Planted(msgspec.Struct, frozen=True):
    """How much a seed has made that was not there."""

    organizations: int
    events: int


class _Wrong(Exception):
    """Something of a seed cannot come; `problems` have their paths in the file."""

    def __init__(self, problems: list[FieldError]) -> None:
        super().__init__()
        self.problems = problems


def plant(
    database: Database, seed: Seed, main: str, rules: DomainRules, policy: TargetPolicy, *, retention_days: int
) -> Planted:
    """Make what is missing of a seed, all of it or nothing; return how much that was.

    `main` is the environment of what stands at the file's top. Events older than `retention_days` stay away.
    Raises SeedRefused.
    """
    try:
        _check_endpoints(seed, policy)
        planted = database.write(lambda tx: _plant(tx, seed, main, rules, retention_days))
        # In a transaction of their own: of what came before they get nothing, on PostgreSQL too.
        database.write(lambda tx: _plant_endpoints(tx, seed, main, policy))
    except _Wrong as wrong:
        raise SeedRefused(seed.file, seed.located(wrong.problems)) from wrong
    return planted


def _plant(tx: Transaction, seed: Seed, main: str, rules: DomainRules, retention_days: int) -> Planted:
    made = events = 0
    for given in seed.environments:
        row = _environment(tx, given, main)
        for index, key in enumerate(given.keys):
            assert key.value is not UNSET, "those without are left out"
            name = key.name or f"seed {index + 1}"
            environments.ensure_key(tx, row, name, key.value, read_only=key.read_only)
        caller = _caller(row)
        made += _plant_organizations(tx, caller, given, rules)
        events += _plant_events(tx, caller, row, given, retention_days)
    return Planted(made, events)


def _environment(tx: Transaction, given: EnvironmentSeed, main: str) -> EnvironmentRow:
    """Return an environment, which is made if it is missing. Raises _Wrong."""
    try:
        return environments.get_environment(tx, given.name or main)
    except environments.UnknownEnvironment:
        pass
    try:
        return environments.create_environment(
            tx, given.name or main, slug=given.slug, domain_policy=given.domain_policy
        )
    except environments.InvalidSlug as error:
        raise _Wrong([FieldError(f"{given.path}slug", str(error))]) from error


def _caller(row: EnvironmentRow) -> Caller:
    return Caller(row.id, row.slug, row.domain_policy, "seed", "seed", read_only=False)


def _plant_organizations(tx: Transaction, caller: Caller, given: EnvironmentSeed, rules: DomainRules) -> int:
    """Take in the organizations that are missing; return how many. Raises _Wrong."""
    made = 0
    problems: list[FieldError] = []
    for first in range(0, len(given.organizations), _AT_ONCE):
        records = given.organizations[first : first + _AT_ONCE]
        there = present(tx, caller, records)
        missing = [(first + index, each) for index, each in enumerate(records) if not there[index]]
        taken = take_in(tx, caller, [Given(_dated(tx, each)) for _, each in missing], rules)
        for (index, _), result in zip(missing, taken, strict=True):
            path = f"{given.path}organizations.{index}"
            problems += [FieldError(f"{path}.{each.field}", each.code) for each in result.problems]
        made += len(missing)
    if problems:
        raise _Wrong(problems)
    return made


def _dated(tx: Transaction, given: OrganizationRecord) -> OrganizationRecord:
    """Return an organization made at the time that its id carries, unless it says when, and its domains too.

    The days of a domain that is to be verified begin now.
    """
    made_at = Moment(timestamp(min(time_of(str(given.id)), tx.milliseconds)))
    created_at = made_at if given.created_at is UNSET else given.created_at
    domains = given.domains
    if domains is not UNSET:
        domains = [
            each
            if each.state == "pending" or each.created_at is not UNSET
            else msgspec.structs.replace(each, created_at=created_at, updated_at=each.updated_at or created_at)
            for each in domains
        ]
    updated_at = created_at if given.updated_at is UNSET else given.updated_at
    return msgspec.structs.replace(given, created_at=created_at, updated_at=updated_at, domains=domains)


def _plant_events(
    tx: Transaction, caller: Caller, row: EnvironmentRow, given: EnvironmentSeed, retention_days: int
) -> int:
    kept_since = timestamp(tx.milliseconds - retention_days * _DAY)
    records = [each for each in _event_records(row, given) if each.created_at >= kept_since]
    return sum(
        event_imports.take_in(tx, caller, records[first : first + _AT_ONCE])
        for first in range(0, len(records), _AT_ONCE)
    )


def _event_records(row: EnvironmentRow, given: EnvironmentSeed) -> Iterator[EventRecord]:
    """Yield events with ids and times. One without a time has that of its environment, which stays."""
    seen: dict[str, int] = {}
    for each in given.events:
        words = _encode(each).decode()
        seen[words] = number = seen.get(words, 0) + 1
        yield _event_record(each, row.created_at, (given.name or "", words, str(number)))


def _event_record(given: SeedEvent, default: str, words: tuple[str, ...]) -> EventRecord:
    if given.created_at is not UNSET:
        created_at = str(given.created_at)
    else:
        created_at = default if given.id is UNSET else timestamp(time_of(str(given.id)))
    identity = given.id or EventId(derived_id("event", *words, milliseconds=milliseconds_of(created_at)))
    return EventRecord(
        id=identity,
        event=given.event,
        data=given.data,
        created_at=Moment(created_at),
        organization_id=given.organization_id,
        context=given.context,
    )


def _plant_endpoints(tx: Transaction, seed: Seed, main: str, policy: TargetPolicy) -> None:
    """Make the endpoints that are missing."""
    for given in seed.environments:
        caller = _caller(environments.get_environment(tx, given.name or main))
        for record in given.endpoints:
            endpoint_imports.take_in(tx, caller, record, policy)


def _check_endpoints(seed: Seed, policy: TargetPolicy) -> None:
    """Raise _Wrong when webhooks may not be sent to an endpoint of the seed."""
    problems = []
    for given in seed.environments:
        for index, record in enumerate(given.endpoints):
            try:
                check_url(record.endpoint_url, policy)
            except RefusedTarget as error:
                path = f"{given.path}webhookEndpoints.{index}.endpoint_url"
                problems.append(FieldError(path, f"is not where webhooks may be sent: {error}"))
    if problems:
        raise _Wrong(problems)


def exported(tx: Transaction, main: str, *, others: bool) -> dict[str, Any]:
    """Return what is there as a seed has it: of environment `main` at the top, and of the `others` below it.

    Keys are not among it, since only their hashes are kept. Raises UnknownEnvironment.
    """
    top = _exported(tx, environments.get_environment(tx, main))
    below = [
        {"name": row.name, "slug": row.slug, "domain_policy": row.domain_policy, **_exported(tx, row)}
        for row in environments.list_environments(tx)
        if others and row.name != main
    ]
    return {**top, **({"environments": below} if below else {})}


def _exported(tx: Transaction, row: EnvironmentRow) -> dict[str, Any]:
    caller = _caller(row)
    organizations = [plain(_decode(wire)) for wire in every(tx, caller)]
    endpoints = [_exported_endpoint(each) for each in endpoint_imports.records(tx, caller)]
    return {
        **({"organizations": organizations} if organizations else {}),
        **({"webhookEndpoints": endpoints} if endpoints else {}),
    }


def _exported_endpoint(record: endpoint_imports.EndpointRecord) -> dict[str, Any]:
    shown = plain(record)
    enabled = shown.pop("status") == "enabled"
    return {**shown, "enabled": enabled}


def plain(record: msgspec.Struct) -> dict[str, Any]:
    """Return a record as texts, lists and maps, without what says nothing."""
    plain: dict[str, Any] = msgspec.json.decode(_encode(record))
    return {name: value for name, value in plain.items() if value is not None and value != {}}


def written(exported: dict[str, Any]) -> str:
    """Return what was exported as a file."""
    yaml_text = importlib.import_module("tenantry.lab.yaml_text")
    text: str = yaml_text.write(exported) if exported else ""
    return text
