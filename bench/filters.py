"""`python -m bench.filters`: what a list filtered by Tenantry's own parameters costs the server."""

import time
from functools import partial
from pathlib import Path
from random import Random

import click

from bench import generate
from bench.load import SEED
from bench.search import Query, filled, options, report
from tenantry.core.caller import Caller
from tenantry.core.clock import timestamp
from tenantry.core.db import Database
from tenantry.core.ids import time_of
from tenantry.core.parsing import Moment
from tenantry.organizations import metadata_keys, service
from tenantry.organizations.wire import DeclareMetadataKey, ListOrganizations, OrganizationCursor

_KEYS = ("tier", "account")


def _value(key: str, random: Random, count: int) -> dict[str, list[str]]:
    return {key: [generate.organization(SEED, random.randrange(count)).metadata[key]]}


def _by(key: str) -> Query:
    return lambda random, count: ListOrganizations(metadata=_value(key, random, count))


def _kinds(ids: list[str]) -> list[tuple[str, Query]]:
    """Return the kinds of queries; `ids` are some that there are."""

    def cursor(random: Random) -> OrganizationCursor:
        return OrganizationCursor(random.choice(ids))

    def moment(random: Random) -> Moment:
        return Moment(timestamp(time_of(random.choice(ids))))

    tier, account, region = (partial(_value, key) for key in ("tier", "account", "region"))
    return [
        ("no filter", lambda _r, _n: ListOrganizations()),
        ("declared, a value of every fourth", _by("tier")),
        ("the same, after any id", lambda r, n: ListOrganizations(metadata=tier(r, n), after=cursor(r))),
        ("declared, a value of one", _by("account")),
        ("declared, absent", lambda _r, _n: ListOrganizations(metadata={"tier": ["none"]})),
        ("declared, both values", lambda r, n: ListOrganizations(metadata=tier(r, n) | account(r, n))),
        ("declared, any value", lambda _r, _n: ListOrganizations(metadata={"tier": []})),
        ("not declared, a value of every fifth", _by("region")),
        ("not declared, absent", lambda _r, _n: ListOrganizations(metadata={"region": ["none"]})),
        ("created after any time, oldest first", lambda r, _n: ListOrganizations(created_after=moment(r))),
        ("created before any time", lambda r, _n: ListOrganizations(created_before=moment(r))),
        ("a domain pending", lambda _r, _n: ListOrganizations(domain_state="pending")),
        ("a domain failed: none", lambda _r, _n: ListOrganizations(domain_state="failed")),
        ("no external id: none", lambda _r, _n: ListOrganizations(has_external_id=False)),
        (
            "declared and a word of the name",
            lambda r, n: ListOrganizations(metadata=tier(r, n), search="robotics"),
        ),
        ("total of all", lambda _r, _n: ListOrganizations(total=True)),
        ("total of a declared value", lambda r, n: ListOrganizations(metadata=tier(r, n), total=True)),
        (
            "total of a value not declared",
            lambda r, n: ListOrganizations(metadata=region(r, n), total=True),
        ),
    ]


@click.command()
@options
def main(count: int, engine: str, folder: Path) -> None:
    """Fill a fresh database, declare two keys, and time the operation that answers a list, without HTTP."""
    with filled(count, engine, folder) as (database, caller):
        for key in _KEYS:
            click.echo(f"'{key}' declared and checked in {_declared(database, caller, key):.1f} s")
        page = database.read(lambda tx: service.list_page(tx, caller, ListOrganizations(limit=100)))
        ids = [bytes(each).decode().partition('"id":"')[2][:30] for each in page.data]
        click.echo(report("filter", database, caller, count, _kinds(ids)))


def _declared(database: Database, caller: Caller, key: str) -> float:
    """Declare a key and return how many seconds its check takes, its parts without a pause between them."""
    started = time.perf_counter()
    database.write(lambda tx: metadata_keys.declare(tx, caller, key, DeclareMetadataKey()))
    while database.write(partial(metadata_keys.advance, environment_id=caller.environment_id, key=key)):
        pass
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
