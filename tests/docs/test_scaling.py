"""docs/scaling.md, which names tables: those that there are."""

import re
from pathlib import Path

import pytest

from support import fresh_database_url, open_migrated
from tenantry.core.db import Transaction

PAGE = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text()


def tables_without_environment(tx: Transaction) -> set[str]:
    rows = tx.all(
        "SELECT relname::text FROM pg_class"
        " WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = current_schema()::regnamespace"
        " AND NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'environment_id')"
    )
    return {row[0] for row in rows}


def test_every_table_that_is_of_no_environment_is_named_for_citus(postgres: str | None, tmp_path: Path) -> None:
    if postgres is None:
        pytest.skip("NO POSTGRESQL: set TENANTRY_TEST_POSTGRES or start a local server")
    with fresh_database_url("postgres", tmp_path, postgres) as url:
        database = open_migrated(url)
        tables = database.read(tables_without_environment)
        database.close()
    (about_citus,) = re.findall(r"\*\*Citus, .*?\*\*CockroachDB", PAGE, re.DOTALL)
    assert {name for name in tables if f"`{name}`" not in about_citus} == set()
