"""A table that is new and has grown is analyzed soon, so that look-ups do not go through all of an environment."""

import secrets
import time
from pathlib import Path

from support import Server, client, grant
from tenantry.core.db import Database, Transaction
from tenantry.core.db.statistics import analyze, never_analyzed

SECONDS = 30.0


def fill(tx: Transaction, count: int) -> None:
    tx.run("INSERT INTO grown SELECT n, repeat('x', 900) FROM generate_series(1, :count) n", count=count)


def rows_known(tx: Transaction) -> float:
    row = tx.one("SELECT reltuples FROM pg_class WHERE oid = 'grown'::regclass")
    assert row is not None
    return float(row[0])


def test_a_table_is_to_be_analyzed_once_when_it_has_grown(postgres_only: Database) -> None:
    postgres_only.write(lambda tx: tx.script("CREATE TABLE grown (n INTEGER, text TEXT)"))
    assert postgres_only.read(never_analyzed) == []
    postgres_only.write(lambda tx: fill(tx, 100))
    assert postgres_only.read(never_analyzed) == ["grown"]
    postgres_only.write(lambda tx: analyze(tx, "grown"))
    assert postgres_only.read(rows_known) == 100
    postgres_only.write(lambda tx: fill(tx, 100))
    assert postgres_only.read(never_analyzed) == []  # the rest is autovacuum's


def test_a_table_of_another_role_is_left_to_it(postgres_only: Database) -> None:
    role = f"stranger_{secrets.token_hex(4)}"

    def look(tx: Transaction) -> list[str]:
        tx.script(f"CREATE TABLE grown (n INTEGER, text TEXT); CREATE ROLE {role}")
        fill(tx, 100)
        tx.script(f"SET LOCAL ROLE {role}")
        found = never_analyzed(tx)
        tx.script(f"SET LOCAL ROLE NONE; DROP ROLE {role}")
        return found

    assert postgres_only.write(look) == []


def test_of_a_new_database_there_is_nothing_to_be_analyzed(database: Database) -> None:
    assert database.read(never_analyzed) == []


def look_up(tx: Transaction) -> str:
    """Return how an organization is looked up by its external id, as the event loop would do it."""
    tx.script("SET LOCAL enable_seqscan = off")
    lines = tx.all(
        "EXPLAIN SELECT wire FROM organizations WHERE environment_id = (SELECT min(id) FROM environments)"
        " AND external_id = 'crm-7'"
    )
    return "\n".join(row[0] for row in lines)


def test_a_server_soon_finds_external_ids_by_their_own_index(
    postgres_only: Database, postgres_only_url: str, tmp_path: Path
) -> None:
    server = Server(postgres_only_url, tmp_path)
    with client(server.base_url, grant(postgres_only).key) as api:
        for index in range(100):
            made = api.post("/organizations", json={"name": "n" * 400, "external_id": f"crm-{index}"})
            assert made.status_code == 201
    deadline = time.monotonic() + SECONDS
    while "(external_id = 'crm-7'::text))" not in postgres_only.write(look_up):
        assert time.monotonic() < deadline, postgres_only.write(look_up)
        time.sleep(0.1)
    assert server.stop() == 0
