"""Migrations: numbered, forward only, the same schema for all."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from support import open_migrated
from tenantry.core.db import Database, migrate, open_database
from tenantry.core.db.connect import InvalidDatabaseUrl, sqlite_path
from tenantry.core.db.migrate import SchemaTooNew, migrations
from tenantry.server import system_world


def fresh(url: str) -> Database:
    return open_database(url, system_world())


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_numbers_follow_without_a_gap_and_both_engines_have_the_same(kind: str) -> None:
    steps = migrations(kind)
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    assert [step.name for step in steps] == [step.name for step in migrations("sqlite")]


def test_all_are_applied_once(empty_database_url: str) -> None:
    database = fresh(empty_database_url)
    applied = migrate.apply(database)
    assert applied == migrations(database.engine)
    assert migrate.apply(database) == []
    assert migrate.pending(database) == []
    database.close()


@pytest.mark.parametrize("_", range(5))
def test_processes_that_migrate_at_once_share_the_work(empty_database_url: str, _: int) -> None:
    databases = [fresh(empty_database_url) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        applied = [step.number for steps in threads.map(migrate.apply, databases) for step in steps]
    assert sorted(applied) == [step.number for step in migrations(databases[0].engine)]
    for database in databases:
        database.close()


def test_a_newer_database_is_refused(database: Database) -> None:
    database.write(
        lambda tx: tx.run("INSERT INTO schema_migrations (number, name, applied_at) VALUES (9999, 'future', '')")
    )
    with pytest.raises(SchemaTooNew, match="migration 9999"):
        migrate.pending(database)
    with pytest.raises(SchemaTooNew):
        migrate.apply(database)


def test_a_kept_database_opens_again(empty_database_url: str) -> None:
    open_migrated(empty_database_url).close()
    again = fresh(empty_database_url)
    assert migrate.pending(again) == []
    again.close()


@pytest.mark.parametrize("url", ["", "mysql://x", "sqlite:x.db", "/tmp/x.db", "sqlite://"])
def test_an_address_that_is_none_is_told_so(url: str) -> None:
    with pytest.raises(InvalidDatabaseUrl, match="Give sqlite:///"):
        fresh(url)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///a.db", "a.db"),
        ("sqlite:////a/b.db", "/a/b.db"),
        ("sqlite:///a%20b.db", "a b.db"),
        ("sqlite://", None),
    ],
)
def test_sqlite_addresses_have_relative_and_absolute_paths(url: str, path: str | None) -> None:
    found = sqlite_path(url)
    assert (str(found) if found else None) == path
