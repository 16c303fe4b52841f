"""PostgreSQL alone: connections that are cut."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import psycopg
import pytest

from support import open_migrated
from tenantry.core.db import Database, Transaction, open_database
from tenantry.core.errors import DatabaseUnavailable
from tenantry.server import system_world


def pid(tx: Transaction) -> int:
    row = tx.one("SELECT pg_backend_pid(), pg_sleep(0.05)")
    assert row is not None
    return int(row[0])


def cut_all(database: Database, postgres: str) -> None:
    """Cut every connection of the pool, as a restart of the server does."""
    with ThreadPoolExecutor(4) as threads:
        pids = set(threads.map(lambda _: database.read(pid), range(8)))
    with psycopg.connect(postgres, autocommit=True) as connection:
        for each in pids:
            connection.execute("SELECT pg_terminate_backend(%s)", (each,))


def test_a_cut_connection_is_replaced_and_nobody_notices(postgres_only: Database, postgres: str) -> None:
    cut_all(postgres_only, postgres)
    assert postgres_only.read(lambda tx: tx.one("SELECT 1")) == (1,)
    cut_all(postgres_only, postgres)
    postgres_only.write(lambda tx: tx.run("CREATE TABLE kept (name TEXT)"))
    assert postgres_only.read(lambda tx: tx.has_table("kept"))


def test_a_connection_cut_in_the_middle_of_a_write_has_the_write_done_once(
    postgres_only: Database, postgres: str
) -> None:
    postgres_only.write(lambda tx: tx.run("CREATE TABLE hits (name TEXT)"))
    attempts: list[int] = []

    def work(tx: Transaction) -> None:
        tx.run("INSERT INTO hits (name) VALUES ('once')")
        attempts.append(pid(tx))
        if len(attempts) == 1:
            with psycopg.connect(postgres, autocommit=True) as connection:
                connection.execute("SELECT pg_terminate_backend(%s)", (attempts[0],))
            tx.one("SELECT 1")

    postgres_only.write(work)
    assert len(attempts) == 2
    assert postgres_only.read(lambda tx: tx.all("SELECT name FROM hits")) == [("once",)]


def test_a_server_that_is_not_there_is_told_as_unavailable() -> None:
    database = open_database("postgresql://postgres@127.0.0.1:1/postgres?connect_timeout=1", system_world())
    with pytest.raises(DatabaseUnavailable):
        database.read(lambda tx: tx.one("SELECT 1"))
    database.close()


def test_a_role_that_owns_no_more_than_its_schema_can_migrate(postgres: str | None) -> None:
    """No migration needs an extension, or any right on the database itself."""
    assert postgres is not None
    role = f"tenantry_test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {role} LOGIN NOSUPERUSER; CREATE SCHEMA {role} AUTHORIZATION {role}".encode())
    separator = "&" if "?" in postgres else "?"
    options = quote(f"-csearch_path={role} -crole={role}")
    try:
        opened = open_migrated(f"{postgres}{separator}options={options}")
        assert opened.read(lambda tx: tx.one("SELECT current_user::text")) == (role,)
        opened.close()
    finally:
        with psycopg.connect(postgres, autocommit=True) as owner:
            owner.execute(f"DROP SCHEMA {role} CASCADE; DROP ROLE {role}".encode())
