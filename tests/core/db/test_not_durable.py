"""A SQLite database that may be lost: its writes are made where they are asked for, and promise the rest alike."""

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tenantry.core.clock import system_clock
from tenantry.core.db import Transaction, World
from tenantry.core.db.sqlite import SqliteDatabase


class Refused(Exception):
    """What a test's work raises."""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    opened = SqliteDatabase(tmp_path / "lost.db", World(system_clock(), os.urandom), durable=False)
    opened.write(lambda tx: tx.run("CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL)"))
    opened.write(lambda tx: tx.run("INSERT INTO counters (name, value) VALUES ('hits', 0)"))
    yield opened
    opened.close()


def hits(tx: Transaction) -> int:
    row = tx.one("SELECT value FROM counters WHERE name = 'hits'")
    assert row is not None
    return int(row[0])


def increment(tx: Transaction) -> int:
    tx.run("UPDATE counters SET value = :value WHERE name = 'hits'", value=hits(tx) + 1)
    return hits(tx)


def test_a_failure_undoes_its_own_work_and_is_raised(database: SqliteDatabase) -> None:
    def work(tx: Transaction) -> None:
        increment(tx)
        raise Refused

    with pytest.raises(Refused):
        database.write(work)
    assert database.read(hits) == 0
    assert database.write(increment) == 1


def test_writes_of_many_threads_are_kept_apart(database: SqliteDatabase) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: database.write(increment), range(200)))
    assert sorted(made) == list(range(1, 201))


async def test_a_write_is_seen_by_the_next_look_of_the_same_turn(database: SqliteDatabase) -> None:
    for number in range(1, 20):
        assert await database.read_soon(hits) == number - 1
        assert await database.write_soon(increment) == number
        assert await database.read_soon(hits) == number


async def test_a_long_read_sees_one_state_while_others_write(database: SqliteDatabase) -> None:
    began, written = threading.Event(), threading.Event()

    def look_twice(tx: Transaction) -> tuple[int, int]:
        first = hits(tx)
        began.set()
        assert written.wait(20)
        return first, hits(tx)

    looking = asyncio.create_task(database.read_soon(look_twice, scans=True))
    await asyncio.to_thread(began.wait, 20)
    await database.write_soon(increment)
    written.set()
    assert await looking == (0, 0)
    assert await database.read_soon(hits) == 1


async def test_each_commit_is_told(database: SqliteDatabase) -> None:
    told: list[int] = []
    database.commits.listen(lambda: told.append(threading.get_ident()))
    await database.write_soon(increment)
    assert told == [threading.get_ident()]


async def test_no_thread_of_its_own_commits(database: SqliteDatabase) -> None:
    before = set(threading.enumerate())
    await database.write_soon(increment)
    begun = [thread.name for thread in set(threading.enumerate()) - before]
    assert not [name for name in begun if name.startswith("tenantry-commit")]


async def test_one_that_is_durable_has_a_thread_that_commits(tmp_path: Path) -> None:
    """Else the test before would look for a name that nothing has."""
    database = SqliteDatabase(tmp_path / "kept.db", World(system_clock(), os.urandom))
    await database.write_soon(lambda tx: tx.run("CREATE TABLE kept (name TEXT)"))
    assert [thread for thread in threading.enumerate() if thread.name.startswith("tenantry-commit")]
    database.close()


def test_a_copy_holds_what_was_committed_and_what_is_closed_is_in_its_file_alone(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    database.write(increment)
    database.copy_to(tmp_path / "copy.db")
    database.write(increment)
    copy = SqliteDatabase(tmp_path / "copy.db", World(system_clock(), os.urandom), durable=False)
    assert copy.read(hits) == 1
    copy.write(increment)
    copy.close()
    assert [file.name for file in tmp_path.glob("copy.db*")] == ["copy.db"]
