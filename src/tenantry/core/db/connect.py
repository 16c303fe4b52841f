"""From a database's address to its engine."""

import importlib
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tenantry.core.db.base import Database, World
from tenantry.core.db.sqlite import SqliteDatabase

LEAST_CONNECTIONS = 4
"""To PostgreSQL: two for threads, one for what an event loop reads, one for what it writes."""


class InvalidDatabaseUrl(ValueError):
    """The address names no engine that Tenantry knows."""

    def __init__(self, url: str) -> None:
        scheme = url.partition(":")[0]
        super().__init__(
            f"The database address begins with '{scheme}:'. "
            "Give sqlite:///path/to/file.db or postgresql://user@host/database."
        )


def sqlite_path(url: str) -> Path | None:
    """Return the file of a `sqlite:///path` address, or None for `sqlite://`, which has none.

    As elsewhere, three slashes start a relative path and four an absolute one.
    Raises InvalidDatabaseUrl when the address is not one of SQLite's.
    """
    if not url.startswith("sqlite://"):
        raise InvalidDatabaseUrl(url)
    path = unquote(urlsplit(url).path)
    return Path(path[1:]) if path not in {"", "/"} else None


def open_database(url: str, world: World, connections: int = LEAST_CONNECTIONS) -> Database:
    """Return the database at `url`. Nothing is connected before its first use.

    `connections` is the most that one process holds to a PostgreSQL server, at least LEAST_CONNECTIONS.
    Raises InvalidDatabaseUrl.
    """
    if url.startswith(("postgresql://", "postgres://")):
        # Named, not imported above: psycopg costs a SQLite user 20 MiB and a fifth of the start.
        engine = importlib.import_module("tenantry.core.db.postgres")
        database: Database = engine.PostgresDatabase(url, world, connections)
        return database
    path = sqlite_path(url)
    if path is None:
        raise InvalidDatabaseUrl(url)
    return SqliteDatabase(path, world)
