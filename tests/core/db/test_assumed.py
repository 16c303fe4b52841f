"""What is assumed of a look-up while it is under way: it never shows in what comes out."""

import asyncio

import pytest

from tenantry.core.db import Database, Row, Transaction, Work
from tenantry.core.errors import EntityNotFound

WORKS = 20


@pytest.fixture
def told(database: Database) -> None:
    def make(tx: Transaction) -> None:
        tx.run("CREATE TABLE told (name TEXT PRIMARY KEY, size INTEGER NOT NULL)")
        tx.run("CREATE TABLE heard (number INTEGER PRIMARY KEY, size INTEGER NOT NULL)")
        tx.run("INSERT INTO told (name, size) VALUES ('heron', 7)")

    database.write(make)


def size(tx: Transaction, assumed: Row | None, name: str = "heron") -> int | None:
    row = tx.one_assumed(assumed, "SELECT size FROM told WHERE name = :name", name=name)
    return row[0] if row else None


def hearing(number: int, assumed: Row) -> Work[int]:
    """Return work that adds a row with the size that it was told."""

    def work(tx: Transaction) -> int:
        found = size(tx, assumed)
        assert found is not None
        tx.run("INSERT INTO heard (number, size) VALUES (:number, :size)", number=number, size=found)
        return found

    return work


def heard(database: Database) -> list[Row]:
    return database.read(lambda tx: tx.all("SELECT number, size FROM heard ORDER BY number"))


@pytest.mark.parametrize("assumed", [(7,), (8,), None])
async def test_a_read_tells_what_is_there(database: Database, told: None, assumed: Row | None) -> None:
    assert await database.read_soon(lambda tx: size(tx, assumed)) == 7


async def test_what_is_not_there_is_told_so(database: Database, told: None) -> None:
    assert await database.read_soon(lambda tx: size(tx, (7,), "egret")) is None


async def test_other_look_ups_go_on_meanwhile(database: Database, told: None) -> None:
    def look(tx: Transaction) -> tuple[int | None, int | None, Row | None]:
        return size(tx, (7,)), size(tx, (7,)), tx.one("SELECT count(*) FROM told")

    assert await asyncio.gather(*(database.read_soon(look) for _ in range(WORKS))) == [(7, 7, (1,))] * WORKS


@pytest.mark.parametrize("assumed", [(7,), (8,)])
async def test_a_write_does_what_follows_from_what_is_there(database: Database, told: None, assumed: Row) -> None:
    assert await database.write_soon(hearing(1, assumed)) == 7
    assert heard(database) == [(1, 7)]


async def test_of_works_that_share_a_transaction_each_does_so(database: Database, told: None) -> None:
    works = [hearing(number, (7 + number % 2,)) for number in range(WORKS)]
    done = await asyncio.gather(*(database.write_soon(work, adds=True) for work in works))
    assert done == [7] * WORKS
    assert heard(database) == [(number, 7) for number in range(WORKS)]


async def test_an_error_that_comes_of_what_is_not_so_is_not_told(database: Database, told: None) -> None:
    def refusing_eight(tx: Transaction) -> int | None:
        found = size(tx, (8,))
        if found == 8:
            raise EntityNotFound("Size", "8")
        return found

    assert await database.read_soon(refusing_eight) == 7
    assert await database.write_soon(refusing_eight) == 7
    assert await database.write_soon(refusing_eight, adds=True) == 7


async def test_an_error_that_comes_of_what_is_so_is_told(database: Database, told: None) -> None:
    def refusing_seven(tx: Transaction) -> None:
        raise EntityNotFound("Size", str(size(tx, (7,))))

    with pytest.raises(EntityNotFound, match="7"):
        await database.read_soon(refusing_seven)
