"""Work that only adds rows and waits at once: on PostgreSQL it shares a transaction; each fails for itself."""

import asyncio

import pytest

from tenantry.core.db import Database, Transaction, Work
from tenantry.core.errors import EntityNotFound

ROWS = 40


@pytest.fixture
def table(database: Database) -> None:
    database.write(lambda tx: tx.run("CREATE TABLE added (number INTEGER PRIMARY KEY, seen INTEGER)"))


def adding(number: int) -> Work[int]:
    """Return work that adds a row, and returns how many were there."""

    def work(tx: Transaction) -> int:
        row = tx.one("SELECT COUNT(*) FROM added")
        assert row is not None
        tx.run("INSERT INTO added (number, seen) VALUES (:number, :seen)", number=number, seen=row[0])
        return number

    return work


def refusing(tx: Transaction) -> int:
    raise EntityNotFound("Thing", "x")


def failing_half_done(tx: Transaction) -> int:
    tx.run("INSERT INTO added (number, seen) VALUES (9999, 0)")
    raise EntityNotFound("Thing", "half done")


def numbers(database: Database) -> list[int]:
    return [row[0] for row in database.read(lambda tx: tx.all("SELECT number FROM added ORDER BY number"))]


async def add_all(database: Database, works: list[Work[int]]) -> list[int | BaseException]:
    return await asyncio.gather(*(database.write_soon(work, adds=True) for work in works), return_exceptions=True)


async def test_all_are_there_and_each_is_answered(database: Database, table: None) -> None:
    assert await add_all(database, [adding(number) for number in range(ROWS)]) == list(range(ROWS))
    assert numbers(database) == list(range(ROWS))


@pytest.mark.parametrize("bad", [refusing, failing_half_done])
async def test_one_that_fails_fails_alone(database: Database, table: None, bad: Work[int]) -> None:
    works = [adding(number) for number in range(ROWS)]
    works[7:7] = [bad]
    results = await add_all(database, works)
    assert isinstance(results.pop(7), EntityNotFound)
    assert results == list(range(ROWS))
    assert numbers(database) == list(range(ROWS))


async def test_what_collides_is_run_again(database: Database, table: None) -> None:
    def adding_once(tx: Transaction) -> bool:
        if tx.one("SELECT 1 FROM added WHERE number = 1"):
            return False
        tx.run("INSERT INTO added (number, seen) VALUES (1, 0)")
        return True

    results = await asyncio.gather(*(database.write_soon(adding_once, adds=True) for _ in range(ROWS)))
    assert sorted(results) == [False] * (ROWS - 1) + [True]


async def test_a_mistake_in_one_is_its_own(database: Database, table: None) -> None:
    def mistaken(tx: Transaction) -> int:
        return len(tx.all("SELECT nothing_of_this_name FROM added"))

    results = await add_all(database, [adding(0), mistaken, adding(1)])
    assert results[0] == 0
    assert isinstance(results[1], Exception)
    assert results[2] == 1
    assert numbers(database) == [0, 1]
