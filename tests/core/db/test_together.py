"""Work that only adds rows and waits at once: it shares a transaction; each fails for itself."""

import asyncio
from typing import LiteralString

import pytest

from tenantry.core.db import Database, Insertion, Transaction, Values, Work
from tenantry.core.errors import EntityNotFound

ROWS = 40
ADDED = Insertion("added", "number integer, seen integer", leads=True)
NOTES = Insertion("notes", "number integer, note text")


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


@pytest.fixture
def notes(database: Database, table: None) -> None:
    database.write(
        lambda tx: tx.run(
            "CREATE TABLE notes (number INTEGER NOT NULL REFERENCES added (number), note TEXT NOT NULL)"
        )
    )


def inserting(number: int) -> Work[int]:
    """Return work that leaves a row, with a note that refers to it, to be inserted with those of others."""

    def work(tx: Transaction) -> int:
        tx.insert(ADDED, (number, 0))
        tx.insert(NOTES, (number, f"of {number}"))
        return number

    return work


async def test_a_row_that_cannot_be_there_fails_its_own_work_alone(database: Database, notes: None) -> None:
    works = [inserting(number) for number in range(ROWS)]
    works[7:7] = [inserting(3)]
    results = await add_all(database, works)
    assert [number for number in results if isinstance(number, int)] == list(range(ROWS))
    assert len([error for error in results if isinstance(error, Exception)]) == 1
    assert numbers(database) == list(range(ROWS))
    assert database.read(lambda tx: tx.one("SELECT COUNT(*) FROM notes")) == (ROWS,)


async def test_a_row_that_cannot_be_there_fails_its_own_work_alone_when_another_looks(
    database: Database, notes: None
) -> None:
    works = [inserting(0), inserting(0), adding(1), inserting(2)]
    results = await add_all(database, works)
    assert [number for number in results if isinstance(number, int)] == [0, 1, 2]
    assert numbers(database) == [0, 1, 2]


async def test_rows_that_others_refer_to_are_there_first(database: Database, notes: None) -> None:
    def noting_more(tx: Transaction) -> int:
        tx.insert(NOTES, (0, "again"))
        return 0

    await add_all(database, [inserting(0)])
    assert await add_all(database, [noting_more, inserting(1)]) == [0, 1]


async def test_a_row_is_there_for_the_next_statement(database: Database, notes: None) -> None:
    def inserting_and_counting(tx: Transaction) -> int:
        inserting(0)(tx)
        row = tx.one("SELECT COUNT(*) FROM added")
        assert row is not None
        return int(row[0])

    assert await add_all(database, [inserting_and_counting, adding(1)]) == [1, 1]


async def test_what_an_index_refuses_after_a_look_up_in_place_is_looked_up_again(
    database: Database, notes: None
) -> None:
    def adding_once(tx: Transaction) -> bool:
        if tx.one_in_place("SELECT 1 FROM added WHERE number = 1"):
            return False
        inserting(1)(tx)
        return True

    results = await asyncio.gather(*(database.write_soon(adding_once, adds=True) for _ in range(ROWS)))
    assert sorted(results) == [False] * (ROWS - 1) + [True]
    assert database.read(lambda tx: tx.all("SELECT number, note FROM notes")) == [(1, "of 1")]


async def test_work_that_changes_rows_finds_in_place_what_was_inserted_before_it(
    database: Database, notes: None
) -> None:
    def looking(tx: Transaction) -> bool:
        return tx.one_in_place("SELECT 1 FROM added WHERE number = 1") is not None

    await database.write_soon(inserting(1), adds=True)
    together = [database.write_soon(inserting(2), adds=True), database.write_soon(looking)]
    assert await asyncio.gather(*together) == [2, True]


SIGHTINGS = Insertion("sightings", "name text, size bigint, seen boolean, image bytea, note text")


@pytest.fixture
def sightings(database: Database) -> None:
    identity = {
        "sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT",
        "postgres": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    }[database.engine]
    image = {"sqlite": "BLOB", "postgres": "BYTEA"}[database.engine]
    columns = f"position {identity}, name TEXT, size BIGINT, seen BOOLEAN, image {image}, note TEXT"
    database.write(lambda tx: tx.script(f"CREATE TABLE sightings ({columns});"))


async def test_rows_are_there_in_the_order_of_each_request_with_every_value_as_it_was(
    database: Database, sightings: None
) -> None:
    names = ["heron", "", 'a "quoted", {braced} \\ one', "ørn", "NULL", None]

    def rows_of(number: int) -> list[Values]:
        return [
            (name, number << at * 10, at % 2 == 0, bytes([0, 255, number]), str(number))
            for at, name in enumerate(names)
        ]

    def seeing(number: int) -> Work[int]:
        def work(tx: Transaction) -> int:
            first, *others, last = rows_of(number)
            tx.insert(SIGHTINGS, first)
            tx.insert_all(SIGHTINGS, others)
            tx.insert(SIGHTINGS, last)
            return number

        return work

    assert await add_all(database, [seeing(number) for number in range(ROWS)]) == list(range(ROWS))
    sql: LiteralString = "SELECT name, size, seen, image, note FROM sightings ORDER BY position"
    found = database.read(lambda tx: tx.all(sql))
    for number in range(ROWS):
        assert [row for row in found if row[-1] == str(number)] == rows_of(number)


async def test_one_that_fails_leaves_no_row_to_be_inserted(database: Database, notes: None) -> None:
    def inserting_in_vain(tx: Transaction) -> int:
        inserting(1)(tx)
        raise EntityNotFound("Thing", "after all")

    results = await add_all(database, [inserting(0), inserting_in_vain, inserting(2)])
    assert isinstance(results[1], EntityNotFound)
    assert numbers(database) == [0, 2]


async def test_what_was_looked_up_is_forgotten_where_others_may_have_changed_it(database: Database) -> None:
    found: list[bool] = []

    def remembering(tx: Transaction) -> None:
        assert tx.known is not None
        found.append("it" in tx.known)
        tx.known["it"] = True

    def changing(tx: Transaction) -> None:
        assert tx.known is None

    steps = [(remembering, True), (remembering, True), (changing, False), (remembering, True)]
    await asyncio.gather(*(database.write_soon(work, adds=adds) for work, adds in steps))
    # On PostgreSQL what only adds shares a transaction with its like alone, which changes nothing of theirs.
    assert found == ([False, True, False] if database.engine == "sqlite" else [False, True, True])
