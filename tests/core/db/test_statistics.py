"""A table that is new and has grown is analyzed soon, so that look-ups do not go through all of an environment."""

import time
from pathlib import Path

from support import Server, client, grant
from tenantry.core.db import Database, Transaction
from tenantry.core.db.statistics import analyze_new

SECONDS = 30.0


def fill(tx: Transaction, count: int) -> None:
    tx.run("INSERT INTO grown SELECT n, repeat('x', 900) FROM generate_series(1, :count) n", count=count)


def rows_known(tx: Transaction) -> float:
    row = tx.one("SELECT reltuples FROM pg_class WHERE oid = 'grown'::regclass")
    assert row is not None
    return float(row[0])


def test_a_table_that_has_grown_is_analyzed_once(postgres_only: Database) -> None:
    postgres_only.write(lambda tx: tx.script("CREATE TABLE grown (n INTEGER, text TEXT)"))
    analyze_new(postgres_only)
    assert postgres_only.read(rows_known) <= 0
    postgres_only.write(lambda tx: fill(tx, 100))
    analyze_new(postgres_only)
    assert postgres_only.read(rows_known) == 100
    postgres_only.write(lambda tx: fill(tx, 100))
    analyze_new(postgres_only)
    assert postgres_only.read(rows_known) == 100  # the rest is autovacuum's


def test_there_may_be_nothing_to_do(database: Database) -> None:
    analyze_new(database)


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
