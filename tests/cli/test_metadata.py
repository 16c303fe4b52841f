"""`tenantry metadata`."""

import os
import subprocess
import sys

import psycopg
import pytest

from cli.conftest import Tenantry
from support import caller_in, open_migrated
from tenantry.core.db import Database
from tenantry.core.validation import convert
from tenantry.organizations import service
from tenantry.organizations.wire import CreateOrganization


def filled(url: str, tenantry: Tenantry, *tiers: str) -> Database:
    """Return a database whose environment `acme` has an organization of each tier."""
    assert tenantry("environments", "create", "acme", "--database", url).returncode == 0
    database = open_migrated(url)
    row = database.read(lambda tx: tx.one("SELECT id FROM environments"))
    assert row is not None
    for tier in tiers:
        body = convert({"name": "Acme", "metadata": {"tier": tier}}, CreateOrganization, strict=True)
        database.write(lambda tx, body=body: service.create(tx, caller_in(row[0]), body))  # type: ignore[misc]
    return database


def test_declaring_checks_and_says_so(database_url: str, tenantry: Tenantry) -> None:
    filled(database_url, tenantry, "gold", "free").close()
    place = ("--environment", "acme", "--database", database_url)
    done = tenantry("metadata", "declare", "tier", "--value", "gold", "--value", "free", *place)
    assert (done.returncode, done.stdout) == (0, "'tier' is ready: 2 organizations checked.\n")
    listed = tenantry("metadata", "list", *place).stdout
    assert listed == (
        "KEY   STATE  UNIQUE  VALUES      CHECKED  VIOLATIONS\ntier  ready  no      gold, free  2        0\n"
    )
    assert tenantry("metadata", "remove", "tier", *place).stdout == "'tier' is declared no more.\n"
    assert tenantry("metadata", "list", *place).stdout == "KEY  STATE  UNIQUE  VALUES  CHECKED  VIOLATIONS\n"


@pytest.mark.parametrize("engine", ["postgres"], indirect=True, scope="session")
def test_what_a_check_waits_for_is_told(database_url: str, tenantry: Tenantry) -> None:
    filled(database_url, tenantry, "gold").close()
    line = [sys.executable, "-m", "tenantry", "metadata", "declare", "tier"]
    with psycopg.connect(database_url) as older:
        older.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        older.execute("SELECT 1 FROM organizations")
        declaring = subprocess.Popen(
            [*line, "--environment", "acme", "--database", database_url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert declaring.stderr is not None
        told = declaring.stderr.readline()
        assert told.startswith("Waiting for transactions that began before the key was declared.")
        older.rollback()
        assert declaring.communicate(timeout=30) == ("'tier' is ready: 1 organizations checked.\n", "")


def test_what_breaks_the_rule_is_shown_and_ends_with_1(database_url: str, tenantry: Tenantry) -> None:
    filled(database_url, tenantry, "gold", "gold", "free").close()
    done = tenantry("metadata", "declare", "tier", "--unique", "--environment", "acme", "--database", database_url)
    assert done.returncode == 1
    assert "gold" in done.stdout.splitlines()[1]
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == "Error: 1 organizations break the rule, so it is off. Mend them and declare again.\n"


def test_a_wrong_declaration_is_told_by_field_and_limit(database_url: str, tenantry: Tenantry) -> None:
    filled(database_url, tenantry).close()
    place = ("--environment", "acme", "--database", database_url)
    done = tenantry("metadata", "declare", "tier", "--value", "x" * 601, *place)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: each value in values must be shorter than or equal to 600 characters\n"
    many = [option for number in range(101) for option in ("--value", str(number))]
    done = tenantry("metadata", "declare", "tier", *many, *place)
    assert done.stderr == "Error: values must contain no more than 100 elements\n"


def test_an_argument_that_is_no_text_is_told_so(database_url: str, tenantry: Tenantry) -> None:
    filled(database_url, tenantry).close()
    place = ("--environment", "acme", "--database", database_url)
    no_text = os.fsdecode(b"\xff")
    for arguments in ((no_text,), ("tier", "--value", no_text)):
        done = tenantry("metadata", "declare", *arguments, *place)
        assert (done.returncode, done.stderr) == (1, "Error: An argument is not text in UTF-8.\n")
