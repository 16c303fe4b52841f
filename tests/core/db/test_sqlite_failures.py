"""What comes of writes to SQLite when it fails itself: the disk is full, the file is damaged."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest

from tenantry.core.db import Transaction, Work
from tenantry.core.db.sqlite import SqliteDatabase
from tenantry.core.errors import DatabaseUnavailable

PAGE_BYTES = 4096
SECONDS = 60


def add(number: int, pages: int = 0) -> Work[int]:
    def work(tx: Transaction) -> int:
        tx.run("INSERT INTO lines VALUES (:number, :line)", number=number, line=bytes(pages * PAGE_BYTES))
        return number

    return work


def numbers(tx: Transaction) -> list[int]:
    return [row[0] for row in tx.all("SELECT number FROM lines ORDER BY number")]


def outgrow_the_disk(tx: Transaction) -> int:
    """Fail with a full disk, whereupon SQLite undoes the whole transaction by itself."""
    row = tx.one("PRAGMA page_count")
    assert row is not None
    tx.script(f"PRAGMA max_page_count = {row[0] + 20};")
    try:
        return add(0, pages=100)(tx)
    finally:
        tx.all("PRAGMA max_page_count = 1000000")


async def outcomes(lines: SqliteDatabase, works: list[Work[int]]) -> list[int | BaseException]:
    asked = asyncio.gather(*(lines.write_soon(work) for work in works), return_exceptions=True)
    return await asyncio.wait_for(asked, SECONDS)


async def test_on_a_full_disk_nothing_is_kept_of_what_was_refused(lines: SqliteDatabase) -> None:
    asked: list[Work[int]] = [add(1), outgrow_the_disk, add(2), add(3)]
    given = await outcomes(lines, asked)
    answered = [each for each in given if isinstance(each, int)]
    assert all(isinstance(each, int | DatabaseUnavailable) for each in given), given
    assert isinstance(given[1], DatabaseUnavailable)
    assert lines.read(numbers) == answered


async def test_a_full_disk_is_told_as_one_and_writing_goes_on(lines: SqliteDatabase) -> None:
    with pytest.raises(DatabaseUnavailable, match="full"):
        await lines.write_soon(outgrow_the_disk)
    assert await outcomes(lines, [add(1), add(2)]) == [1, 2]
    assert lines.read(numbers) == [1, 2]


async def test_a_write_in_the_thread_of_the_loop_leaves_the_loop_able_to_write(lines: SqliteDatabase) -> None:
    """It comes while the transaction of the loop is being committed by a thread."""
    waiting = asyncio.ensure_future(lines.write_soon(add(1)))
    await asyncio.sleep(0)
    group = lines._groups[asyncio.get_running_loop()]
    while group._away is None:  # noqa: ASYNC110 (there is no event for it)
        await asyncio.sleep(0)
    assert lines.write(add(2)) == 2
    assert await asyncio.wait_for(waiting, SECONDS) == 1
    assert await outcomes(lines, [add(3)]) == [3]
    assert lines.read(numbers) == [1, 2, 3]


async def test_a_file_that_is_no_database_any_more_is_told_as_such_each_time(
    lines: SqliteDatabase, path: Path
) -> None:
    assert await outcomes(lines, [add(1)]) == [1]
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("DELETE FROM lines")
        other.commit()
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.write(b"not a database at all" * 100)
    for number in (2, 3):
        (given,) = await outcomes(lines, [add(number)])
        assert isinstance(given, DatabaseUnavailable), given
