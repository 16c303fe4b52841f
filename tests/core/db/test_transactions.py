"""What both engines promise of transactions."""

import asyncio
import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tenantry.core.clock import system_clock
from tenantry.core.db import Database, Insertion, Row, Transaction, Values, World, open_database


class Refused(Exception):
    """What a test's work raises."""


@pytest.fixture
def counters(database: Database) -> Database:
    """A database with a table of counters, one of them at zero."""

    def work(tx: Transaction) -> None:
        tx.run("CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL)")
        tx.run("INSERT INTO counters (name, value) VALUES ('hits', 0)")

    database.write(work)
    return database


def value(database: Database, name: str = "hits") -> int | None:
    row = database.read(lambda tx: tx.one("SELECT value FROM counters WHERE name = :name", name=name))
    return row[0] if row else None


def increment(tx: Transaction) -> int:
    """Read, add one, write: wrong unless transactions are kept apart."""
    row = tx.one("SELECT value FROM counters WHERE name = 'hits'")
    assert row is not None
    tx.run("UPDATE counters SET value = :value WHERE name = 'hits'", value=row[0] + 1)
    return int(row[0]) + 1


def hits(tx: Transaction) -> Row | None:
    return tx.one("SELECT value FROM counters WHERE name = 'hits'")


async def _hits_soon(database: Database) -> Row | None:
    return await database.read_soon(hits)


def insert(tx: Transaction, name: str) -> None:
    tx.run("INSERT INTO counters (name, value) VALUES (:name, 1)", name=name)


def test_a_failure_undoes_its_own_work_and_is_raised(counters: Database) -> None:
    def work(tx: Transaction) -> None:
        increment(tx)
        raise Refused

    with pytest.raises(Refused):
        counters.write(work)
    assert value(counters) == 0


def test_read_modify_write_never_loses_an_update(counters: Database) -> None:
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda _: counters.write(increment), range(100)))
    assert sorted(results) == list(range(1, 101))
    assert value(counters) == 100


def test_of_many_writes_at_once_only_those_that_fail_are_undone(counters: Database) -> None:
    def work(number: int) -> None:
        def step(tx: Transaction) -> None:
            insert(tx, f"n{number}")
            if number % 3 == 0:
                raise Refused

        counters.write(step)

    async def at_once() -> list[BaseException | None]:
        jobs = [asyncio.to_thread(work, number) for number in range(60)]
        return await asyncio.gather(*jobs, return_exceptions=True)

    outcomes = asyncio.run(at_once())
    assert [isinstance(outcome, Refused) for outcome in outcomes] == [number % 3 == 0 for number in range(60)]
    present = {number for number in range(60) if value(counters, f"n{number}") == 1}
    assert present == {number for number in range(60) if number % 3}


async def test_writes_from_the_event_loop_are_grouped_and_kept_apart(counters: Database) -> None:
    def fail(tx: Transaction) -> None:
        insert(tx, "undone")
        raise Refused

    outcomes = await asyncio.gather(
        *(counters.write_soon(increment) for _ in range(50)), counters.write_soon(fail), return_exceptions=True
    )
    assert sorted(outcome for outcome in outcomes if isinstance(outcome, int)) == list(range(1, 51))
    assert isinstance(outcomes[-1], Refused)
    assert await counters.read_soon(hits) == (50,)
    assert value(counters, "undone") is None


async def test_a_look_up_sees_what_was_committed_before_it_in_the_same_turn_of_the_event_loop(
    counters: Database,
) -> None:
    for expected in range(1, 4):
        assert await counters.read_soon(hits) == (expected - 1,)
        counters.write(increment)
        assert await counters.read_soon(hits) == (expected,)


async def test_a_look_up_sees_in_the_next_turn_what_another_process_committed(
    counters: Database, database_url: str
) -> None:
    other = open_database(database_url, World(system_clock(), os.urandom))
    try:
        for expected in range(1, 4):
            await counters.read_soon(hits)
            other.write(increment)
            await asyncio.sleep(0)
            assert await counters.read_soon(hits) == (expected,)
    finally:
        other.close()


def test_look_ups_of_one_event_loop_after_another_each_see_the_last_commit(counters: Database) -> None:
    for expected in range(3):
        assert asyncio.run(_hits_soon(counters)) == (expected,)
        counters.write(increment)


def test_a_reader_sees_the_last_commit_and_does_not_wait_for_a_writer(counters: Database) -> None:
    written, release = threading.Event(), threading.Event()

    def slow(tx: Transaction) -> None:
        increment(tx)
        written.set()
        assert release.wait(10)

    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(counters.write, slow)
        assert written.wait(10)
        assert value(counters) == 0
        release.set()
        writing.result()
    assert value(counters) == 1


def test_of_two_that_insert_one_key_the_later_runs_again_and_sees_the_first(counters: Database) -> None:
    barrier = threading.Barrier(2, timeout=5)

    def claim(tx: Transaction) -> str:
        if tx.one("SELECT 1 FROM counters WHERE name = 'mine'"):
            return "second"
        if counters.engine == "postgres" and barrier.n_waiting < 2 and not barrier.broken:
            with contextlib.suppress(threading.BrokenBarrierError):
                barrier.wait()
        insert(tx, "mine")
        return "first"

    with ThreadPoolExecutor(2) as threads:
        outcomes = sorted(threads.map(lambda _: counters.write(claim), range(2)))
    assert outcomes == ["first", "second"]


def test_a_list_stands_for_its_items(counters: Database) -> None:
    for name in ("a", "b", "c"):
        counters.write(lambda tx, name=name: insert(tx, name))  # type: ignore[misc]
    rows = counters.read(
        lambda tx: tx.all(
            "SELECT name FROM counters WHERE name IN :names AND value = :one ORDER BY name",
            names=["a", "c"],
            one=1,
        )
    )
    assert rows == [("a",), ("c",)]


@pytest.mark.parametrize("count", [1, 127, 128, 129, 5000])
def test_a_list_may_be_of_any_length(counters: Database, count: int) -> None:
    for name in ("a", 'a "quoted", \\ one', "ørn"):
        counters.write(lambda tx, name=name: insert(tx, name))  # type: ignore[misc]
    others = [f"n{number}" for number in range(count - 1)]
    for wanted in ("a", 'a "quoted", \\ one', "ørn"):
        found = counters.read(
            lambda tx, wanted=wanted: tx.all(  # type: ignore[misc]
                "SELECT name FROM counters WHERE name IN :names AND value IN :values",
                names=[*others, wanted],
                values=list(range(count + 1)),
            )
        )
        assert found == [(wanted,)]


def test_a_transaction_has_one_time(database: Database, now: list[int]) -> None:
    def work(tx: Transaction) -> tuple[str, str]:
        before = tx.now
        now[0] += 1000
        return before, tx.now

    before, after = database.write(work)
    assert before == after == "2027-01-15T08:00:00.000Z"


def test_text_comes_back_as_it_was(counters: Database) -> None:
    for name in ("%s", "100%", "a:b", "'", "🦆", ":name", "a\\b", '"', ""):
        counters.write(lambda tx, name=name: insert(tx, name))  # type: ignore[misc]
        assert value(counters, name) == 1


async def test_a_write_whose_caller_has_gone_is_done_all_the_same(counters: Database) -> None:
    release = threading.Event()

    def slow(tx: Transaction) -> None:
        assert release.wait(10)
        increment(tx)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(counters.write_soon(slow, scans=True), 0.01)
    release.set()
    async with asyncio.timeout(10):
        while value(counters) == 0:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.01)


def test_what_an_event_loop_left_behind_is_done_before_the_next_write(counters: Database) -> None:
    async def leave() -> None:
        tasks = [asyncio.ensure_future(counters.write_soon(increment)) for _ in range(3)]
        await asyncio.sleep(0)
        if counters.engine == "postgres":  # whose threads go on by themselves, in any order
            await asyncio.gather(*tasks)

    asyncio.run(leave())
    assert counters.write(increment) == 4


async def test_a_write_in_the_thread_of_the_event_loop_comes_after_those_that_wait(counters: Database) -> None:
    waiting = [asyncio.ensure_future(counters.write_soon(increment)) for _ in range(3)]
    await asyncio.sleep(0)
    if counters.engine == "postgres":
        await asyncio.gather(*waiting)
    assert counters.write(increment) == 4
    assert sorted(await asyncio.gather(*waiting)) == [1, 2, 3]


async def test_work_that_scans_is_one_transaction_with_what_waits_and_leaves_the_event_loop_free(
    counters: Database,
) -> None:
    release, turns = threading.Event(), 0

    def scan(tx: Transaction) -> int:
        assert release.wait(10)
        return increment(tx)

    scanning = asyncio.ensure_future(counters.write_soon(scan, scans=True))
    after = asyncio.ensure_future(counters.write_soon(increment))
    while turns < 100:
        await asyncio.sleep(0)
        turns += 1
    assert not scanning.done()
    release.set()
    assert {await scanning, await after} == {1, 2}


async def test_a_write_waits_for_another_process_that_writes(counters: Database, database_url: str) -> None:
    other = open_database(database_url, World(system_clock(), os.urandom))
    holding, release = threading.Event(), threading.Event()

    def hold(tx: Transaction) -> None:
        increment(tx)
        holding.set()
        assert release.wait(10)

    try:
        held = asyncio.ensure_future(asyncio.to_thread(other.write, hold))
        await asyncio.to_thread(holding.wait, 10)
        waiting = asyncio.ensure_future(counters.write_soon(lambda tx: insert(tx, "later")))
        await asyncio.sleep(0.05)
        release.set()
        await asyncio.gather(held, waiting)
        assert (value(counters), value(counters, "later")) == (1, 1)
    finally:
        release.set()
        other.close()


_SIGHTINGS = Insertion("sightings", "name text, size bigint, seen boolean, image bytea, note text")


def test_rows_that_are_inserted_together_come_in_their_order_with_every_value_as_it_was(
    database: Database,
) -> None:
    identity = {
        "sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT",
        "postgres": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    }[database.engine]
    image = {"sqlite": "BLOB", "postgres": "BYTEA"}[database.engine]
    names = ["heron", "", 'a "quoted", {braced} \\ one', "ørn", "NULL", *map(str, range(500))]
    rows: list[Values] = [
        (name, None if index % 3 else index << 40, index % 2 == 0, bytes([0, 255, index % 256]), None)
        for index, name in enumerate(names)
    ]

    def work(tx: Transaction) -> list[Row]:
        tx.script(
            f"CREATE TABLE sightings (position {identity}, name TEXT NOT NULL, size BIGINT,"
            f" seen BOOLEAN NOT NULL, image {image} NOT NULL, note TEXT);"
        )
        tx.insert_all(_SIGHTINGS, rows[:1])
        tx.insert_all(_SIGHTINGS, rows[1:])
        return tx.all("SELECT name, size, seen, image, note FROM sightings ORDER BY position")

    assert database.write(work) == rows


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 40])
def test_rows_that_are_inserted_together_are_there_in_their_order(counters: Database, count: int) -> None:
    rows: list[Values] = [(f"n{number:02}", number) for number in range(count)]
    insertion = Insertion("counters", "name text, value integer")
    counters.write(lambda tx: tx.insert_all(insertion, rows))
    found = counters.read(lambda tx: tx.all("SELECT name, value FROM counters WHERE name <> 'hits' ORDER BY name"))
    assert found == rows


@pytest.mark.parametrize("count", [1, 16, 17, 40])
def test_rows_that_are_inserted_together_take_the_place_of_those_that_are_there(
    counters: Database, count: int
) -> None:
    insertion = Insertion(
        "counters",
        "name text, value integer",
        otherwise=" ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    for value in (1, 2):
        rows: list[Values] = [(f"n{number:02}", value) for number in range(count)]
        counters.write(partial(lambda tx, rows: tx.insert_all(insertion, rows), rows=rows))
    found = counters.read(lambda tx: tx.all("SELECT value FROM counters WHERE name <> 'hits'"))
    assert found == [(2,)] * count
