"""Checkpoints of SQLite: the log stays short, and nobody writes while one is made."""

import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tenantry.core.db import Insertion, Transaction
from tenantry.core.db.sqlite import SqliteDatabase
from tenantry.core.db.sqlite_checkpoint import Checkpoints

LINES = Insertion("lines", "number bigint, line text")
LINE = "x" * 500
AT_ONCE = 5_000
ROUNDS = 30
LONGEST_LOG = 32 << 20
"""All that is written is more than twice as long."""

Opener = Callable[[], sqlite3.Connection]


@pytest.fixture
def connect(path: Path, lines: SqliteDatabase) -> Iterator[Opener]:
    """Opens a connection that never waits, and makes no checkpoint by itself."""
    made: list[sqlite3.Connection] = []

    def opened() -> sqlite3.Connection:
        made.append(sqlite3.connect(path, timeout=0, isolation_level=None))
        made[-1].execute("PRAGMA wal_autocheckpoint = 0")
        return made[-1]

    yield opened
    for connection in made:
        connection.close()


def add(tx: Transaction, start: int) -> None:
    tx.insert_all(LINES, [(number, LINE) for number in range(start, start + AT_ONCE)])


def count(lines: SqliteDatabase) -> int:
    row = lines.read(lambda tx: tx.one("SELECT COUNT(*) FROM lines"))
    assert row is not None
    return int(row[0])


def is_copied(path: Path) -> bool:
    """Return whether the log is short and the database is not."""
    return path.with_name(f"{path.name}-wal").stat().st_size < LONGEST_LOG < path.stat().st_size


def test_the_log_of_one_who_writes_stays_short(lines: SqliteDatabase, path: Path) -> None:
    for start in range(0, ROUNDS * AT_ONCE, AT_ONCE):
        lines.write(partial(add, start=start))
    assert is_copied(path)
    assert count(lines) == ROUNDS * AT_ONCE


async def test_the_log_of_an_event_loop_stays_short(lines: SqliteDatabase, path: Path) -> None:
    for start in range(0, ROUNDS * AT_ONCE, AT_ONCE):
        await lines.write_soon(partial(add, start=start))
    assert is_copied(path)
    assert count(lines) == ROUNDS * AT_ONCE


def test_nobody_begins_to_write_while_one_is_made(lines: SqliteDatabase, path: Path, connect: Opener) -> None:
    lines.write(partial(add, start=0))
    writer, other = connect(), connect()
    refusals: list[str] = []

    def try_to_write(statement: str) -> None:
        if "wal_checkpoint" in statement:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
            refusals.append(statement)

    before = path.stat().st_size
    writer.set_trace_callback(try_to_write)
    Checkpoints(writer, guard=connect(), copier=connect()).make()
    assert len(refusals) == 1
    assert path.stat().st_size > before
    other.execute("BEGIN IMMEDIATE")


def test_none_is_made_while_another_writes(lines: SqliteDatabase, path: Path, connect: Opener) -> None:
    lines.write(partial(add, start=0))
    writer, other = connect(), connect()
    checkpoints = Checkpoints(writer, guard=connect(), copier=connect())
    before = path.stat().st_size
    other.execute("BEGIN IMMEDIATE")
    checkpoints.make()
    assert path.stat().st_size == before
    other.execute("ROLLBACK")
    checkpoints.make()
    assert path.stat().st_size > before


def test_what_is_copied_ahead_can_be_written_meanwhile(lines: SqliteDatabase, path: Path, connect: Opener) -> None:
    lines.write(partial(add, start=0))
    other, copier = connect(), connect()
    written = iter(range(AT_ONCE, 2 * AT_ONCE))

    def write(statement: str) -> None:
        if "wal_checkpoint" in statement:
            other.execute("INSERT INTO lines VALUES (?, ?)", (next(written), LINE))

    copier.set_trace_callback(write)
    checkpoints = Checkpoints(connect(), guard=connect(), copier=copier)
    before = path.stat().st_size
    checkpoints.copy_ahead()
    assert path.stat().st_size > before
    checkpoints.make()
    assert count(lines) == next(written) > AT_ONCE


def test_a_log_is_not_begun_anew_while_it_is_copied_ahead(
    lines: SqliteDatabase, path: Path, connect: Opener
) -> None:
    """Where the whole log is copied, the next who writes would begin it anew: what SQLite's bug needs."""
    lines.write(partial(add, start=0))
    other, copier = connect(), connect()
    lengths: list[int] = []

    def write(statement: str) -> None:
        if "wal_checkpoint" in statement:
            rows = other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            other.execute("INSERT INTO lines VALUES (?, ?)", (AT_ONCE + len(lengths), LINE))
            lengths.append(rows[1])

    copier.set_trace_callback(write)
    Checkpoints(connect(), guard=connect(), copier=copier).copy_ahead()
    assert len(lengths) > 1
    assert lengths == sorted(lengths)


def test_nothing_is_copied_ahead_of_a_log_that_may_be_begun_anew(
    lines: SqliteDatabase, path: Path, connect: Opener
) -> None:
    lines.write(partial(add, start=0))
    other, copier = connect(), connect()
    Checkpoints(connect(), guard=connect(), copier=connect()).make()
    copied: list[int] = []

    def write(statement: str) -> None:
        if "wal_checkpoint" in statement and not copied:
            other.execute("INSERT INTO lines VALUES (?, ?)", (AT_ONCE, LINE))
            copied.append(other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[2])

    copier.set_trace_callback(write)
    Checkpoints(connect(), guard=connect(), copier=copier).copy_ahead()
    assert copied == [0]
    assert count(lines) == AT_ONCE + 1
