"""Many domains that are due at once: none waits for ever, the pace is kept, and the work is bounded."""

import asyncio
import os
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import pytest

from registry import RULES, Registry, rows
from tenantry.core.db import Database, Transaction, Work, World, migrate, open_database
from tenantry.core.db.sqlite import SqliteTransaction
from tenantry.core.errors import DatabaseUnavailable
from tenantry.domains import store
from tenantry.domains.checker import Checker
from tenantry.domains.examine import Asker, Authority
from tenantry.domains.questions import Question
from tenantry.domains.wire import DomainData, DomainName
from tenantry.organizations import store as organizations
from tenantry.organizations.service import refresh_domains

T = TypeVar("T")

_OF_ONE = 200


@pytest.fixture
def registry(database: Database, now: list[int]) -> Registry:
    return Registry(database, now)


def claim_many(registry: Registry, count: int) -> None:
    """Give new organizations so many domains that are to be proved."""
    for first in range(0, count, _OF_ONE):
        names = (DomainName(f"d{number}.example.com") for number in range(first, min(count, first + _OF_ONE)))
        registry.organization(domain_data=[DomainData(name, "pending") for name in names])


def test_of_10_000_domains_each_is_checked_before_any_is_checked_again(registry: Registry) -> None:
    claim_many(registry, 10_000)
    checked: list[str] = []
    for _ in range(40):
        # Most of them wait for longer than the minute after which those of the beginning are due again.
        claimed = registry.due(250)
        registry.end(claimed, {})
        checked += [each.domain_id for each in claimed]
        registry.now[0] += 7_000
    assert set(Counter(checked).values()) == {1}
    assert len(checked) == 10_000
    assert {each.domain_id for each in registry.due(250)} <= set(checked[:2500])


class _Nowhere:
    """A DNS in which there is nothing. Each time a domain is first asked about, `look` is told which."""

    def __init__(self, look: Callable[[str], None]) -> None:
        self._look = look

    async def ask(
        self, name: str, type_: str, *, authority: Authority | None = None, checking_disabled: bool = False
    ) -> Question:
        if type_ == "TXT" and name.startswith("d") and name.count(".") == 2:
            self._look(name)
        await asyncio.sleep(0)
        return Question(name=name, type=type_, rcode="NXDOMAIN", zone="com", negative_ttl=300)


def checker_of(registry: Registry, database: Database, look: Callable[[str], None]) -> Checker:
    """Return a checker for which there is nothing in the DNS."""

    async def connect() -> Asker:
        return _Nowhere(look)

    clock = World(lambda: registry.now[0], os.urandom).clock
    return Checker(database, clock, lambda: 0.5, RULES, refresh_domains, connect, at_once=32)


async def test_few_domains_are_under_way_at_once_however_many_are_due(registry: Registry) -> None:
    claim_many(registry, 600)
    asked: list[str] = []
    under_way: list[int] = []
    done = asyncio.Event()

    def look(name: str) -> None:
        asked.append(name)
        under_way.append(len(asked) - registry.database.read(rows))
        if len(asked) == 600:
            done.set()

    checker = checker_of(registry, registry.database, look)
    running = asyncio.create_task(checker.run())
    await done.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await checker.stop()
    assert len(set(asked)) == len(asked)
    assert max(under_way) <= 32


class _Failing:
    """A database of which every third write fails."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writes = 0

    async def read_soon(self, work: Work[T]) -> T:
        return await self._database.read_soon(work)

    async def write_soon(self, work: Work[T]) -> T:
        self._writes += 1
        if self._writes % 3 == 0:
            raise DatabaseUnavailable
        return await self._database.write_soon(work)


async def test_what_cannot_be_recorded_or_claimed_at_once_is_so_later_and_only_once(registry: Registry) -> None:
    claim_many(registry, 100)
    asked: list[str] = []
    checker = checker_of(registry, cast(Database, _Failing(registry.database)), asked.append)
    failures = 0
    async with checker.held():
        while registry.database.read(rows) < 100:
            try:
                await checker.settle()
            except DatabaseUnavailable:
                failures += 1
    assert failures > 1
    assert len(set(asked)) == len(asked) == 100
    assert registry.database.read(rows) == 100
    assert checker.is_idle


def test_sqlite_finds_a_domain_without_reading_the_others_of_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "planned.db"
    world = World(lambda: 1_800_000_000_000, os.urandom)
    database = open_database(f"sqlite:///{file}", world)
    migrate.apply(database)
    database.close()
    connection = sqlite3.connect(file, isolation_level=None)
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    tx = SqliteTransaction(connection, world)
    store.select(tx, "environment_1", "org_domain_1")
    store.select_of_organization(tx, "environment_1", "org_1")
    store.has(tx, "environment_1", "org_1", "acme.com")
    store.select_taken(tx, "environment_1", "org_1", ["acme.com", "acme.org"])
    store.select_owners(tx, "environment_1", "acme.com", 100)
    store.select_named(tx, "environment_1", "acme.com", 100)
    organizations.select_wires_of_owners(tx, "environment_1", "acme.com", 100)
    store.select_holder_of_token(tx, "environment_1", "acme.com", "token")
    store.update_due(tx, "environment_1", "org_domain_1", 1)
    store.is_any_due(tx)
    store.claim(tx, 10, 1)
    connection.set_trace_callback(None)
    plans = {each: [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {each}")] for each in statements}
    connection.close()
    assert len(plans) == 11
    reading_all = {
        each: plan
        for each, plan in plans.items()
        if any(step.endswith("(environment_id=?)") or step.startswith("SCAN organization") for step in plan)
    }
    assert reading_all == {}


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
def test_postgres_finds_what_is_due_by_an_index_whatever_the_time(registry: Registry) -> None:
    claim_many(registry, 5_000)
    statements: list[str] = []

    class _Noting:
        milliseconds = 1

        def one(self, sql: str, **_: object) -> None:
            statements.append(sql)

    store.is_any_due(cast(Transaction, _Noting()))
    [statement] = statements

    def plan(tx: Transaction) -> str:
        tx.script("ANALYZE organization_domains; SET LOCAL plan_cache_mode = force_generic_plan")
        tx.script(f"PREPARE look (bigint) AS {statement.replace(':now', '$1')}")
        found = tx.all("EXPLAIN EXECUTE look (1)")
        tx.script("DEALLOCATE look")
        return "\n".join(row[0] for row in found)

    assert "organization_domains_due" in registry.database.write(plan)
