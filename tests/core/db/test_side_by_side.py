"""Works of one transaction that may go on side by side: what comes out is what comes of one after the other."""

from collections.abc import Callable

import pytest

from tenantry.core.db import Database, Insertion, Row, Transaction
from tenantry.core.errors import EntityNotFound

WORKS = 40
ADDED = Insertion("added", "number integer, seen integer", leads=True)

Adding = Callable[[Transaction], int]


@pytest.fixture
def table(database: Database) -> None:
    database.write(lambda tx: tx.script("CREATE TABLE added (number INTEGER PRIMARY KEY, seen INTEGER);"))


def adding(number: int) -> Adding:
    """Return work that looks for a number twice, and adds it or else returns -1."""

    def work(tx: Transaction) -> int:
        for _ in range(2):
            if tx.one_in_place("SELECT 1 FROM added WHERE number = :number", number=number):
                return -1
        tx.insert(ADDED, (number, 0))
        return number

    return work


def added(database: Database) -> list[Row]:
    return database.read(lambda tx: tx.all("SELECT number FROM added ORDER BY number"))


async def test_each_returns_its_own(database: Database, table: None) -> None:
    works = [adding(number) for number in range(WORKS)]
    assert await database.write_soon(lambda tx: tx.side_by_side(works), many=True) == list(range(WORKS))
    assert added(database) == [(number,) for number in range(WORKS)]


@pytest.mark.parametrize("count", [0, 1, 2])
async def test_they_may_be_few(database: Database, table: None, count: int) -> None:
    works = [adding(number) for number in range(count)]
    assert await database.write_soon(lambda tx: tx.side_by_side(works)) == list(range(count))


async def test_what_follows_sees_what_they_did(database: Database, table: None) -> None:
    def work(tx: Transaction) -> Row | None:
        tx.side_by_side([adding(number) for number in range(WORKS)])
        return tx.one("SELECT count(*) FROM added")

    assert await database.write_soon(work) == (WORKS,)


async def test_of_two_that_add_the_same_the_later_finds_it(database: Database, table: None) -> None:
    works = [adding(number % 30) for number in range(WORKS)]
    done = await database.write_soon(lambda tx: tx.side_by_side(works))
    assert done == [*range(30), *[-1] * 10]
    assert added(database) == [(number,) for number in range(30)]


async def test_they_have_one_time(database: Database, table: None, now: list[int]) -> None:
    def later(tx: Transaction) -> int:
        now[0] += 1000
        return tx.milliseconds

    times = await database.write_soon(lambda tx: [tx.milliseconds, *tx.side_by_side([later] * WORKS)])
    assert len(set(times)) == 1


async def test_one_that_fails_undoes_all(database: Database, table: None) -> None:
    def failing(tx: Transaction) -> int:
        adding(100)(tx)
        raise EntityNotFound("Thing", "after all")

    works = [*(adding(number) for number in range(20)), failing, *(adding(number) for number in range(20, 40))]
    with pytest.raises(EntityNotFound):
        await database.write_soon(lambda tx: tx.side_by_side(works))
    assert added(database) == []
    assert await database.write_soon(lambda tx: tx.side_by_side(works[:20])) == list(range(20))
