"""What PostgreSQL's planner knows of tables that are new.

Of one that was never analyzed it knows nothing. Several indexes then seem as good as each other, and the one it
takes may begin with the environment alone: each look-up goes through all that is in it. Autovacuum analyzes a
table once a minute at the earliest, which a test's database does not live to see, nor a load's first minute.
"""

from functools import partial

from tenantry.core.db.base import Database, Transaction

_LEAST_BYTES = 65_536
"""Of a table that is worth it: with less, any way through it is short."""


def analyze_new(database: Database) -> None:
    """Have PostgreSQL analyze tables that have grown and never were. Others are autovacuum's.

    Safe to run from several processes at once, and beside all that reads and writes. Does nothing on SQLite,
    whose migrations tell its planner what it needs. Raises DatabaseUnavailable.
    """
    if database.engine == "postgres":
        for name in database.read(_never_analyzed):
            database.write(partial(_analyze, name=name))


def _analyze(tx: Transaction, name: str) -> None:
    tx.script(f'ANALYZE (SKIP_LOCKED) "{name}"')


def _never_analyzed(tx: Transaction) -> list[str]:
    # PostgreSQL 13 has 0 where later ones have -1. To analyze a table of others' is refused, with a line in the log.
    rows = tx.all(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
        " AND pg_has_role(relowner, 'USAGE') AND (reltuples < 0 OR (reltuples = 0 AND relpages = 0))"
        " AND pg_relation_size(oid) >= :least",
        least=_LEAST_BYTES,
    )
    return [row[0] for row in rows]
