"""`tenantry migrate`."""

import subprocess
from collections.abc import Callable

from support import open_migrated
from tenantry.core.db import Transaction, migrate

Tenantry = Callable[..., subprocess.CompletedProcess[str]]


def test_migrate_applies_each_step_once_and_says_so(tenantry: Tenantry, empty_database_url: str) -> None:
    first = tenantry("migrate", "--database", empty_database_url)
    second = tenantry("migrate", "--database", empty_database_url)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    *applied, closing = first.stdout.splitlines()
    assert [line.split()[0] for line in applied] == ["applied"] * len(migrate.migrations("sqlite"))
    assert second.stdout == f"{closing}\n"


def test_migrate_refuses_a_database_that_a_newer_tenantry_made(
    tenantry: Tenantry, empty_database_url: str
) -> None:
    database = open_migrated(empty_database_url)

    def from_the_future(tx: Transaction) -> None:
        tx.run("INSERT INTO schema_migrations (number, name, applied_at) VALUES (9999, 'later', '')")

    database.write(from_the_future)
    database.close()
    refused = tenantry("migrate", "--database", empty_database_url)
    assert refused.returncode == 1
    assert "migration 9999" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_address_of_no_known_engine_is_refused_with_those_that_are(tenantry: Tenantry) -> None:
    refused = tenantry("migrate", "--database", "mysql://localhost/tenantry")
    assert refused.returncode == 1
    assert "mysql:" in refused.stderr
    assert "sqlite:///" in refused.stderr
    assert "postgresql://" in refused.stderr


def test_a_database_server_that_is_not_there_is_named_in_one_line(tenantry: Tenantry) -> None:
    refused = tenantry("migrate", "--database", "postgresql://nobody@127.0.0.1:1/none")
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in refused.stderr


def test_a_file_that_cannot_be_made_is_named_in_one_line(tenantry: Tenantry) -> None:
    refused = tenantry("migrate", "--database", "sqlite:////proc/none/tenantry.db")
    assert refused.returncode == 1
    assert "/proc/none/tenantry.db" in refused.stderr
    assert "Traceback" not in refused.stderr
