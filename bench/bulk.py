"""Fills a database with generated organizations without a server in between.

SQLite gets them by the function that answers a create, five to the millisecond, hundreds to a
commit. PostgreSQL is a round trip away at each statement, so it gets a copy of what SQLite got.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from rich.progress import track

from bench import generate
from bench.load import SEED
from tenantry.core.caller import Caller
from tenantry.core.clock import Clock
from tenantry.core.db import Database, Row, Transaction, World, migrate, open_database
from tenantry.core.validation import convert
from tenantry.environments import service as environments
from tenantry.organizations import service
from tenantry.organizations.wire import CreateOrganization
from tenantry.server import system_world

_IN_A_MILLISECOND = 5
_AT_ONCE = 200
_ROWS_AT_ONCE = 10_000
_COPIED = {
    "environments": "id, name, slug, created_at",
    "organizations": (
        "environment_id, id, name, folded_name, allow_profiles_outside_organization, external_id,"
        " stripe_customer_id, metadata, created_at, updated_at, wire"
    ),
    "organization_domains": (
        "environment_id, id, organization_id, domain, state, verification_strategy, verification_prefix,"
        " verification_token, created_at, updated_at, due_at, started_at, verified_at"
    ),
    "events": "environment_id, id, event, organization_id, created_at, wire",
}
_SORTED = {"environments": "id", "organizations": "place", "organization_domains": "id", "events": "position"}


def fill(url: str, environment: str, count: int, *, seed: int = SEED, folder: Path | None = None) -> Caller:
    """Make an environment with `count` organizations in the migrated, empty database at `url`.

    Returns a caller of that environment. They are what `bench.load` makes over HTTP. What is
    copied to PostgreSQL is meanwhile in `folder`.
    """
    if url.startswith("sqlite:"):
        return fill_sqlite(url, environment, count, seed)
    with tempfile.TemporaryDirectory(prefix="tenantry-fill-", dir=folder) as temporary:
        path = Path(temporary) / "filled.db"
        caller = fill_sqlite(f"sqlite:///{path}", environment, count, seed)
        copy(path, url)
    return caller


def fill_sqlite(url: str, environment: str, count: int, seed: int) -> Caller:
    """Do so in a new file of SQLite."""
    database = open_database(url, World(_clock(count), system_world().entropy))
    try:
        migrate.apply(database)
        made = database.write(lambda tx: environments.create_environment(tx, environment, slug="bench"))
        caller = Caller(made.id, made.slug, made.domain_policy, "", "", read_only=False)
        asyncio.run(_create_all(database, caller, count, seed))
    finally:
        database.close()
    return caller


def _clock(count: int) -> Clock:
    """Return a clock that counts up by one each time, and ends about now."""
    times: Iterator[int] = iter(range(int(time.time() * 1000) - count, 1 << 48))
    return lambda: next(times)


async def _create_all(database: Database, caller: Caller, count: int, seed: int) -> None:
    together = _AT_ONCE * _IN_A_MILLISECOND
    for first in track(range(0, count, together), "filling", transient=True):
        starts = range(first, min(count, first + together), _IN_A_MILLISECOND)
        works = (partial(_create_some, caller=caller, seed=seed, start=start, end=count) for start in starts)
        await asyncio.gather(*(database.write_soon(work) for work in works))


def _create_some(tx: Transaction, caller: Caller, seed: int, start: int, end: int) -> None:
    for index in range(start, min(end, start + _IN_A_MILLISECOND)):
        body = msgspec.to_builtins(generate.organization(seed, index))
        service.create(tx, caller, convert(body, CreateOrganization, strict=True))


def copy(path: Path, url: str) -> None:
    """Copy the tables that creates write from a file of SQLite to PostgreSQL."""
    source = open_database(f"sqlite:///{path}", system_world())
    try:
        with psycopg.connect(url) as target:
            for table, columns in _COPIED.items():
                with target.cursor().copy(f"COPY {table} ({columns}) FROM STDIN".encode()) as copy:
                    for row in _rows(source, table, columns):
                        copy.write_row(row)
    finally:
        source.close()


def _rows(source: Database, table: str, columns: str) -> Iterator[Row]:
    """Yield the rows of a table in their order, read some at a time."""
    key = _SORTED[table]
    last: object = -1 if key in {"place", "position"} else ""
    while True:
        rows = source.read(partial(_some_rows, table=table, columns=columns, key=key, last=last))
        yield from (row[1:] for row in rows)
        if len(rows) < _ROWS_AT_ONCE:
            return
        last = rows[-1][0]


def _some_rows(tx: Transaction, table: str, columns: str, key: str, last: object) -> list[Row]:
    sql: Any = f"SELECT {key}, {columns} FROM {table} WHERE {key} > :last ORDER BY {key} LIMIT :most"
    return tx.all(sql, last=last, most=_ROWS_AT_ONCE)
