"""PostgreSQL on an event loop: statements that travel together, and connections that are cut."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from psycopg.errors import DivisionByZero

from support import fresh_database_url
from tenantry.core.db import LEAST_CONNECTIONS, Collision, Database, Row, Transaction, Work, open_database
from tenantry.core.db.postgres import PostgresDatabase
from tenantry.core.db.postgres_loop import LoopConnections
from tenantry.core.errors import Contended, DatabaseUnavailable
from tenantry.server import system_world

MEBIBYTE = 1 << 20
CONNECTIONS = 8
"""So many that four can write at the same time."""
SECONDS = 60


class Refused(Exception):
    """What a test's work raises."""


@pytest.fixture
def database(postgres: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A database on PostgreSQL with a table of names."""
    with fresh_database_url("postgres", tmp_path_factory.mktemp("database"), postgres) as url:
        opened = open_database(url, system_world(), CONNECTIONS)
        opened.write(lambda tx: tx.run("CREATE TABLE names (name TEXT PRIMARY KEY, payload TEXT)"))
        yield opened
        opened.close()


def adding(name: str) -> Work[None]:
    def work(tx: Transaction) -> None:
        tx.run("INSERT INTO names (name) VALUES (:name)", name=name)

    return work


def names(tx: Transaction) -> list[str]:
    return [row[0] for row in tx.all("SELECT name FROM names ORDER BY name")]


def pid(tx: Transaction) -> int:
    row = tx.one("SELECT pg_backend_pid()")
    assert row is not None
    return int(row[0])


def held(tx: Transaction) -> int:
    tx.one("SELECT pg_sleep(0.1)")
    return pid(tx)


def cut(postgres: str | None, pids: list[int]) -> None:
    """Cut connections, and return when they are gone."""
    assert postgres is not None
    with psycopg.connect(postgres, autocommit=True) as connection:
        for each in pids:
            connection.execute("SELECT pg_terminate_backend(%s, 5000)", (each,))


async def test_a_read_that_fails_takes_none_with_it_that_is_sent_at_once(database: Database) -> None:
    def dividing(by: int) -> Work[int]:
        def work(tx: Transaction) -> int:
            row = tx.one("SELECT (:number)::int / (:by)::int", number=60, by=by)
            assert row is not None
            return int(row[0])

        return work

    asked = [database.read_soon(dividing(by)) for by in (1, 2, 0, 3, 0, 4)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [answer for answer in answers if isinstance(answer, int)] == [60, 30, 20, 15]
    failures = [type(answer) for answer in answers if not isinstance(answer, int)]
    assert failures == [psycopg.errors.DivisionByZero] * 2


async def test_who_asks_the_same_at_once_gets_rows_of_its_own(database: Database) -> None:
    await database.write_soon(adding("ana"))
    answers = await asyncio.gather(*(database.read_soon(names) for _ in range(8)))
    answers[0].clear()
    assert answers[1:] == [["ana"]] * 7


async def test_a_text_that_postgres_cannot_hold_fails_its_own_statement_alone(database: Database) -> None:
    answers = await asyncio.gather(
        database.write_soon(adding("a\0b")), database.write_soon(adding("ben")), return_exceptions=True
    )
    assert isinstance(answers[0], psycopg.DataError)
    assert await database.read_soon(names) == ["ben"]


async def test_what_cannot_be_sent_fails_its_own_statement_alone(database: Database) -> None:
    """A half of a pair of surrogates is no text in UTF-8, which is noticed where it is to be sent."""
    asked = [
        database.write_soon(adding("a\ud800b")),
        database.write_soon(adding("ben")),
        database.write_soon(adding("a\ud800b"), adds=True),
        database.write_soon(adding("cleo"), adds=True),
        database.read_soon(lambda tx: tx.one("SELECT name FROM names WHERE name = :name", name="\ud800")),
    ]
    async with asyncio.timeout(SECONDS):
        answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answers[::2]] == [UnicodeEncodeError] * 3
    assert await database.read_soon(names) == ["ben", "cleo"]


async def test_a_statement_that_nobody_waited_for_undoes_all_when_it_fails(database: Database) -> None:
    def work(tx: Transaction) -> None:
        tx.run_later("INSERT INTO names (name) VALUES (:name)", name="ana")
        tx.run_later("INSERT INTO names (name) VALUES ((1 / (:zero)::int)::text)", zero=0)

    with pytest.raises(psycopg.errors.DivisionByZero):
        await database.write_soon(work)
    await database.write_soon(adding("ben"))
    assert await database.read_soon(names) == ["ben"]


async def test_what_is_asked_after_a_failure_that_nobody_waited_for_is_told_of_it_and_run_again(
    database: Database,
) -> None:
    await database.write_soon(adding("ana"))
    attempts: list[int] = []

    def work(tx: Transaction) -> int:
        attempts.append(len(attempts))
        name = "ana" if len(attempts) == 1 else "ben"
        tx.run_later("INSERT INTO names (name) VALUES (:name)", name=name)
        for _ in range(3):
            tx.one("SELECT 1")
        return len(attempts)

    assert await database.write_soon(work) == 2
    assert await database.read_soon(names) == ["ana", "ben"]


async def test_statements_and_answers_of_many_mebibytes_pass(database: Database) -> None:
    def work(tx: Transaction) -> None:
        for number in range(8):
            tx.run_later(
                "INSERT INTO names (name, payload) VALUES (:name, :payload)",
                name=str(number),
                payload=str(number) * MEBIBYTE,
            )

    await database.write_soon(work)
    payloads = await database.read_soon(lambda tx: tx.all("SELECT payload FROM names ORDER BY name"))
    assert payloads == [(str(number) * MEBIBYTE,) for number in range(8)]


async def test_a_list_of_any_length_is_one_parameter(database: Database) -> None:
    for name in ("ana", "ben", "eva"):
        await database.write_soon(adding(name))

    def among(wanted: list[str]) -> Work[list[str]]:
        return lambda tx: [
            row[0] for row in tx.all("SELECT name FROM names WHERE name IN :wanted ORDER BY name", wanted=wanted)
        ]

    assert await database.read_soon(among(["eva"])) == ["eva"]
    assert await database.read_soon(among(["ana", "eva", 'o"dd', "a,b", ""])) == ["ana", "eva"]


async def test_more_kinds_of_statements_than_a_connection_prepares_can_be_asked(database: Database) -> None:
    for _ in range(2):
        for number in range(600):
            padding = " " * number
            row = await database.read_soon(lambda tx, padding=padding: tx.one(f"SELECT{padding} 1"))  # type: ignore[misc]
            assert row == (1,)


async def test_a_connection_that_is_cut_while_idle_is_replaced(database: Database, postgres: str | None) -> None:
    readers = {await database.read_soon(pid) for _ in range(4)}
    writers = set(await asyncio.gather(*(database.write_soon(pid) for _ in range(4))))
    cut(postgres, [*readers, *writers])
    await asyncio.gather(*(database.write_soon(adding(str(number))) for number in range(8)))
    assert len(await database.read_soon(names)) == 8


async def test_a_connection_that_is_cut_under_a_write_has_the_write_done_once(
    database: Database, postgres: str | None
) -> None:
    attempts: list[int] = []

    def work(tx: Transaction) -> None:
        tx.run("INSERT INTO names (name) VALUES ('once')")
        attempts.append(pid(tx))
        if len(attempts) == 1:
            cut(postgres, attempts)
        tx.one("SELECT 1")

    await database.write_soon(work)
    assert len(attempts) == 2
    assert await database.read_soon(names) == ["once"]


async def test_a_connection_that_is_cut_under_shared_work_has_all_of_it_done_once(
    database: Database, postgres: str | None
) -> None:
    cuts: list[int] = []

    def adding_and_cutting(tx: Transaction) -> None:
        tx.run("INSERT INTO names (name) VALUES ('cut')")
        if not cuts:
            cuts.append(pid(tx))
            cut(postgres, cuts)
            tx.one("SELECT 1")

    works = [adding("ana"), adding_and_cutting, adding("ben")]
    await asyncio.gather(*(database.write_soon(work, adds=True) for work in works))
    assert await database.read_soon(names) == ["ana", "ben", "cut"]


async def test_a_group_of_work_that_another_was_faster_than_is_run_again_as_one(database: Database) -> None:
    """As when two groups begin the audit trail of one organization."""
    groups = 2
    asked = [str(number) for number in range(100)]  # more than one group takes
    runs: list[str] = []
    missed: set[str] = set()

    def adding_to_a_common_row(name: str) -> Work[None]:
        def work(tx: Transaction) -> None:
            runs.append(name)
            if tx.one("SELECT 1 FROM names WHERE name = 'common'") is None:
                missed.add(name)
                while len(missed) < groups:  # the other group has begun as well, and sees no more than this one
                    tx.one("SELECT pg_sleep(0.01)")
                tx.run("INSERT INTO names (name) VALUES ('common') ON CONFLICT (name) DO UPDATE SET payload = ''")
            tx.run("INSERT INTO names (name, payload) VALUES (:name, pg_current_xact_id()::text)", name=name)

        return work

    works = [adding_to_a_common_row(name) for name in asked]
    await asyncio.gather(*(database.write_soon(work, adds=True) for work in works))
    assert await database.read_soon(names) == sorted([*asked, "common"])
    made_by = await database.read_soon(lambda tx: tx.all("SELECT DISTINCT payload FROM names WHERE payload <> ''"))
    assert len(made_by) == groups
    assert len(runs) > len(asked)


async def test_what_is_told_late_of_a_group_that_was_undone_is_no_failure_of_the_next(database: Database) -> None:
    attempts: list[int] = []

    def failing_alone(tx: Transaction) -> None:
        attempts.append(1)
        tx.one("SELECT 1")
        if len(attempts) > 1:
            tx.run_later("SELECT 1 / (:zero)::int", zero=0)

    def adding_later(tx: Transaction) -> None:
        tx.one("SELECT 1")
        tx.run_later("INSERT INTO names (name) VALUES ('later')")

    def failing(tx: Transaction) -> None:
        tx.one("SELECT 1 / (:zero)::int", zero=0)

    works = [failing_alone, adding_later, failing]
    asked = (database.write_soon(work, adds=True) for work in works)
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [DivisionByZero, type(None), DivisionByZero]
    assert await database.read_soon(names) == ["later"]


async def test_who_goes_away_leaves_the_connection_to_the_next(database: Database) -> None:
    begun: list[Transaction] = []
    all_have_begun = asyncio.Event()

    def slow(tx: Transaction) -> None:
        begun.append(tx)
        if len(begun) == 4:
            all_have_begun.set()
        tx.one("SELECT pg_sleep(0.2)")
        tx.run("INSERT INTO names (name) VALUES ('gone')")

    going = [asyncio.create_task(database.write_soon(slow)) for _ in range(4)]
    await all_have_begun.wait()
    for task in going:
        task.cancel()
    await asyncio.gather(*going, return_exceptions=True)
    # As many as there are connections: each must have waited for the one before it on its own.
    await asyncio.gather(*(database.write_soon(adding(str(number))) for number in range(12)))
    assert len(await database.read_soon(names)) == 13


async def test_a_failing_work_is_undone_and_the_next_begins_anew(database: Database) -> None:
    def failing(tx: Transaction) -> None:
        tx.run("INSERT INTO names (name) VALUES ('undone')")
        raise Refused

    for _ in range(8):
        with pytest.raises(Refused):
            await database.write_soon(failing)
    await database.write_soon(adding("ana"))
    assert await database.read_soon(names) == ["ana"]


async def test_what_others_are_faster_than_each_time_is_told_as_contended(database: Database) -> None:
    def outrun(tx: Transaction) -> None:
        tx.run("INSERT INTO names (name) VALUES ('ana')")
        raise Collision

    answers = await asyncio.gather(
        database.write_soon(outrun),
        database.write_soon(outrun, adds=True),
        asyncio.to_thread(database.write, outrun),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [Contended] * 3
    assert await database.read_soon(names) == []


async def test_a_mistake_that_a_work_swallows_is_not_taken_for_a_commit(database: Database) -> None:
    def swallowing(tx: Transaction) -> None:
        tx.run("INSERT INTO names (name) VALUES ('lost')")
        try:
            tx.one("SELECT 1 / (:zero)::int", zero=0)
        except psycopg.Error:
            return

    with pytest.raises(Exception):  # noqa: B017, PT011 (whatever it is, it is no success)
        await database.write_soon(swallowing)
    assert await database.read_soon(names) == []


async def test_a_server_that_is_not_there_is_told_as_unavailable() -> None:
    database = open_database("postgresql://postgres@127.0.0.1:1/postgres", system_world())
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            await database.read_soon(pid)
        with pytest.raises(DatabaseUnavailable):
            await database.write_soon(pid)
        with pytest.raises(DatabaseUnavailable):
            await database.write_soon(pid, adds=True)
    database.close()


@pytest.fixture
async def readers(database: Database) -> AsyncIterator["Readers"]:
    """Connections of which those that are opened can be made to fail."""
    made = Readers(database)
    yield made
    made.connections.close()


class Readers:
    def __init__(self, database: Database) -> None:
        assert isinstance(database, PostgresDatabase)
        self._open = database._open_connection
        self.attempts = 0
        self.fails_after = 1000
        loop = asyncio.get_running_loop()
        self.connections = LoopConnections(
            loop, system_world(), self._try_to_open, lambda: None, readers=2, writers=1, wait_seconds=SECONDS
        )

    async def _try_to_open(self) -> psycopg.AsyncConnection[Row]:
        self.attempts += 1
        if self.attempts > self.fails_after:
            await asyncio.sleep(0.05)
            raise DatabaseUnavailable
        return await self._open()


async def test_reads_go_on_over_the_connection_that_there_is_when_another_fails(
    readers: Readers,
) -> None:
    readers.fails_after = 1
    pids = await asyncio.gather(*(readers.connections.read(pid) for _ in range(20)))
    assert len(set(pids)) == 1
    assert await readers.connections.read(pid) == pids[0]
    assert readers.attempts == 2


async def test_who_waits_for_a_connection_that_cannot_be_opened_is_told_at_the_first_failure(
    readers: Readers,
) -> None:
    readers.fails_after = 0
    answers = await asyncio.gather(*(readers.connections.read(pid) for _ in range(20)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {DatabaseUnavailable}
    assert readers.attempts == 1
    readers.fails_after = 1000
    assert await readers.connections.read(pid)


async def test_reads_come_to_use_two_connections(readers: Readers) -> None:
    pids: set[int] = set()
    async with asyncio.timeout(SECONDS):
        while len(pids) < 2:
            pids |= set(await asyncio.gather(*(readers.connections.read(pid) for _ in range(2))))
    assert readers.attempts == 2


async def test_a_process_holds_no_more_connections_than_it_was_told(
    postgres: str | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with fresh_database_url("postgres", tmp_path_factory.mktemp("database"), postgres) as url:
        database = open_database(url, system_world(), LEAST_CONNECTIONS)
        pids = await asyncio.gather(
            *(database.read_soon(held) for _ in range(8)),
            *(database.write_soon(held) for _ in range(8)),
            *(database.read_soon(held, scans=True) for _ in range(8)),
        )
        database.close()
    assert len(set(pids)) == LEAST_CONNECTIONS


async def test_a_server_that_is_gone_without_a_word_is_noticed(database: Database) -> None:
    """By TCP: what is not acknowledged within ten seconds ends the connection."""
    assert isinstance(database, PostgresDatabase)
    connection = await database._open_connection()
    with socket.socket(fileno=os.dup(connection.pgconn.socket)) as descriptor:
        assert descriptor.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
        assert descriptor.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert descriptor.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 5
    await connection.close()


async def test_what_is_asked_of_a_closed_database_is_unavailable(database: Database) -> None:
    asked = [asyncio.create_task(database.read_soon(lambda tx: tx.one("SELECT pg_sleep(0.5)"))) for _ in range(3)]
    await asyncio.sleep(0.1)
    await asyncio.to_thread(database.close)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answers] == [DatabaseUnavailable] * 3
