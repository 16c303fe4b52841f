"""Waiting for what a database comes to hold."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from support import open_migrated
from tenantry.core.db import Database, Transaction
from tenantry.core.watch import News, Subject, Watch, rest_after


@pytest.fixture
def things(database_url: str) -> Iterator[Database]:
    """A database with a table of numbered things, each of a kind."""
    opened = open_migrated(database_url)
    opened.write(lambda tx: tx.script("CREATE TABLE things (number INTEGER PRIMARY KEY, kind TEXT NOT NULL);"))
    yield opened
    opened.close()


def of(kind: str) -> Subject:
    def look(tx: Transaction, place: Any) -> News:
        rows = tx.all(
            "SELECT number FROM things WHERE kind = :kind AND number > :place ORDER BY number LIMIT 3",
            kind=kind,
            place=place,
        )
        numbers = [row[0] for row in rows]
        return News(numbers, numbers[-1] if numbers else place, more=len(numbers) == 3)

    return Subject(kind, look)


def add(number: int, kind: str = "a") -> Any:
    return lambda tx: tx.run("INSERT INTO things (number, kind) VALUES (:n, :k)", n=number, k=kind)


def anything(_item: Any) -> bool:
    return True


async def in_time(watch: Watch, subject: Subject, place: int, wanted: Any = anything) -> bool:
    """Whether a wait ended long before its time was up."""
    try:
        async with asyncio.timeout(60):
            await watch.wait(subject, place, wanted, 3600)
    except TimeoutError:
        return False
    return True


async def test_a_wait_ends_with_what_is_written(things: Database) -> None:
    watch = Watch(things)
    waiting = asyncio.create_task(in_time(watch, of("a"), 0))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await things.write_soon(add(1))
    assert await waiting


async def test_a_wait_begins_past_what_the_caller_has_seen(things: Database) -> None:
    watch = Watch(things)
    await things.write_soon(add(1))
    assert await in_time(watch, of("a"), 0)
    began = time.monotonic()
    await watch.wait(of("a"), 1, anything, 0.3)
    assert time.monotonic() - began >= 0.3


async def test_what_was_written_before_the_wait_began_ends_it(things: Database) -> None:
    """One waits already, further on: whoever has seen less looks again at once."""
    watch = Watch(things)
    await things.write_soon(add(5))
    first = asyncio.create_task(in_time(watch, of("a"), 5))
    await asyncio.sleep(0.05)
    assert await in_time(watch, of("a"), 4)
    first.cancel()


async def test_only_what_is_wanted_ends_a_wait_or_more_than_was_looked_at(things: Database) -> None:
    watch = Watch(things)
    waiting = asyncio.create_task(in_time(watch, of("a"), 0, lambda number: number == 7))
    await things.write_soon(add(1))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    await things.write_soon(lambda tx: [add(number)(tx) for number in (2, 3, 4)])
    assert await waiting


async def test_what_another_process_writes_ends_a_wait(things: Database, database_url: str) -> None:
    watch = Watch(things)
    waiting = asyncio.create_task(in_time(watch, of("a"), 0))
    await asyncio.sleep(0.1)
    other = open_migrated(database_url)
    await asyncio.to_thread(other.write, add(1))
    assert await waiting
    other.close()


async def test_many_subjects_wait_apart(things: Database) -> None:
    watch = Watch(things)
    waiting = [asyncio.create_task(in_time(watch, of(str(number)), 0)) for number in range(120)]
    await asyncio.sleep(0.1)
    await things.write_soon(add(1, "77"))
    await asyncio.wait([waiting[77]], timeout=60)
    assert [number for number, task in enumerate(waiting) if task.done()] == [77]
    watch.stop()
    await asyncio.wait_for(asyncio.gather(*waiting), 60)


async def test_a_stopped_watch_lets_nobody_wait(things: Database) -> None:
    watch = Watch(things)
    waiting = asyncio.create_task(in_time(watch, of("a"), 0))
    await asyncio.sleep(0.05)
    watch.stop()
    assert await waiting
    assert await in_time(watch, of("a"), 0)


async def test_nothing_is_left_when_nobody_waits(things: Database) -> None:
    watch = Watch(things)
    waiting = asyncio.create_task(in_time(watch, of("a"), 0))
    await asyncio.sleep(0.05)
    assert things.commits._listeners
    waiting.cancel()
    await asyncio.sleep(0.5)
    assert (watch._subjects, things.commits._listeners) == ({}, ())


async def test_a_database_that_fails_for_a_while_is_looked_at_again(things: Database) -> None:
    """And what keeps it from that is told once, not at every look."""
    watch, failing = Watch(things), True

    def look(tx: Transaction, place: Any) -> News:
        if failing:
            raise TimeoutError
        return of("a").look(tx, place)

    waiting = asyncio.create_task(in_time(watch, Subject("a", look), 0))
    with capture_logs() as told:
        await things.write_soon(add(1))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        failing = False
        assert await waiting
    assert [line["event"] for line in told] == ["cannot look"]


@given(st.floats(0, 1000))
def test_the_rest_after_a_look_is_four_times_as_long_within_its_bounds(seconds: float) -> None:
    rest = rest_after(seconds)
    assert 0.005 <= rest <= 1
    assert rest == 4 * seconds or rest in (0.005, 1)
