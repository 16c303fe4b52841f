"""What PostgreSQL's planner knows of tables that are new.

Of one that was never analyzed it knows nothing. Several indexes then seem as good as each other, and the one it
takes may begin with the environment alone: each look-up goes through all that is in it. Autovacuum analyzes a
table once a minute at the earliest, which a test's database does not live to see, nor a load's first minute.
"""

from tenantry.core.db.base import Transaction

_LEAST_BYTES = 65_536
"""Of a table that is worth it: with less, any way through it is short."""


def never_analyzed(tx: Transaction) -> list[str]:
    """Return the tables that have grown and never were analyzed: none on SQLite, whose migrations tell it enough.

    Those of another role are left to it: to analyze them would be refused.
    """
    if tx.engine != "postgres":
        return []
    # PostgreSQL 13 has 0 where later ones have -1.
    rows = tx.all(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
        " AND pg_has_role(relowner, 'USAGE') AND (reltuples < 0 OR (reltuples = 0 AND relpages = 0))"
        " AND pg_relation_size(oid) >= :least",
        least=_LEAST_BYTES,
    )
    return [row[0] for row in rows]


def analyze(tx: Transaction, table: str) -> None:
    """Have PostgreSQL analyze a table, unless another process just does; who reads or writes need not wait.

    SQLite has what its migrations tell it.
    """
    if tx.engine == "postgres":
        tx.script(f'ANALYZE (SKIP_LOCKED) "{table}"')
