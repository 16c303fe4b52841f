"""Databases of many organizations that are filled once and stay, so that they can be measured in parts."""

import contextlib
import sqlite3
from functools import partial
from pathlib import Path

from bench import server
from bench.bulk import copy, fill_sqlite
from bench.load import SEED
from tenantry.core.caller import Caller
from tenantry.core.db import Transaction, open_database
from tenantry.organizations import metadata_keys
from tenantry.server import system_world

FOLDER = "tenantry-scale"
"""Where they are, in the folder of a command."""

_READ_AT_ONCE = 1 << 24


def kept(engine: str, count: int, folder: Path) -> str:
    """Return the address of the database with `count` organizations, which is filled if it is not there.

    What is copied to PostgreSQL is the file of SQLite, which stays as well. One of an older schema is migrated.
    """
    url = f"sqlite:///{_file(count, folder)}"
    server.migrate(url)
    if engine == "sqlite":
        return url
    copied = server.kept_database(f"tenantry_bench_scale_{count}", partial(_fill_postgres, _file(count, folder)))
    server.migrate(copied)
    return copied


def _fill_postgres(file: Path, url: str) -> None:
    """Fill a new database on PostgreSQL with what the file of SQLite has."""
    server.migrate(url)
    copy(file, url)
    server.settle(url)


def _file(count: int, folder: Path) -> Path:
    """Return the file of SQLite, filled. One that was begun and not finished is begun anew."""
    path, begun = (folder / f"scale-{count}{suffix}" for suffix in (".db", ".begun"))
    if not path.exists():
        for part in folder.glob(f"{begun.name}*"):
            part.unlink()
        fill_sqlite(f"sqlite:///{begun}", server.ENVIRONMENT, count, SEED)
        with sqlite3.connect(begun) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        begun.rename(path)
    return path


def undeclare(url: str) -> None:
    """Have no metadata key declared in what is kept, and no value of one in the index."""
    with contextlib.closing(open_database(url, system_world())) as database:
        caller = database.read(caller_of)
        for declared in database.read(lambda tx: metadata_keys.list_all(tx, caller)).data:
            database.write(partial(metadata_keys.remove, caller=caller, key=declared.key))
        for environment_id, key in database.read(metadata_keys.at_work):
            while database.write(partial(metadata_keys.advance, environment_id=environment_id, key=key)):
                pass


def caller_of(tx: Transaction) -> Caller:
    """Return a caller of the environment that was filled."""
    row = tx.one("SELECT id, slug FROM environments WHERE slug = :slug", slug=server.ENVIRONMENT)
    assert row is not None
    return Caller(row[0], row[1], "exclusive", "", "", read_only=False)


def ids_of(tx: Transaction) -> list[str]:
    """Return the ids of all organizations, oldest first: those that were filled in, in the generator's order."""
    rows = tx.all(
        "SELECT id FROM organizations WHERE environment_id = :environment_id ORDER BY id",
        environment_id=caller_of(tx).environment_id,
    )
    return [row[0] for row in rows]


def warm(url: str) -> None:
    """Have the system read a database into its memory, where that of a server in use is."""
    if not url.startswith("sqlite:///"):
        server.read_all(url)
        return
    with Path(url.removeprefix("sqlite:///")).open("rb", buffering=0) as file:
        while file.read(_READ_AT_ONCE):
            pass
