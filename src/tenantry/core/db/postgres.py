"""PostgreSQL: psycopg 3 with a pool; transactions that collide are run again."""

import asyncio
import contextlib
import random
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, LiteralString

import psycopg
from psycopg import errors
from psycopg.abc import QueryNoTemplate
from psycopg_pool import ConnectionPool, PoolTimeout

from tenantry.core.db.base import Database, Insertion, Row, T, Transaction, Work, World, expand_lists
from tenantry.core.db.postgres_groups import Groups, Outcome
from tenantry.core.errors import DatabaseUnavailable
from tenantry.core.retry import backoff

_ATTEMPTS = 12
_CONNECT_SECONDS = 5.0
_SCANNING_SHARE = 4
_COLLISIONS = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.UniqueViolation,
    errors.ForeignKeyViolation,
)
"""A violation is a collision too: services look before they insert, so it means that another
transaction was faster. Run again, the look finds what that one made, or that it is gone."""

_ARRAY = re.compile(r"(?<!:):(\w+)(::\w+\[\])")
_PARAMETER = re.compile(r"(?<!:):(\w+)")


@lru_cache(maxsize=1024)
def _translate(sql: str) -> str:
    """Return `sql` with psycopg's placeholders in place of `:name`."""
    # psycopg writes an array as text if it may, which takes ten times as long as in binary.
    arrays = _ARRAY.sub(r"%(\1)b\2", sql.replace("%", "%%"))
    return _PARAMETER.sub(r"%(\1)s", arrays)


class _ConnectionLost(Exception):
    """The connection was cut before its transaction could have been committed."""


class _Apart(Exception):
    """The works of a group cannot share a transaction: it was undone, and each is to be run for itself."""


class PostgresTransaction(Transaction):
    """A transaction on one PostgreSQL connection."""

    engine = "postgres"

    def __init__(self, connection: psycopg.Connection[Row], world: World) -> None:
        super().__init__(world)
        self._cursor = connection.cursor(binary=True)
        self.changing = 0
        """How many statements that may have changed something were run."""
        self._later: dict[LiteralString, list[dict[str, object]]] = {}

    def _execute(self, sql: LiteralString, parameters: dict[str, object]) -> psycopg.Cursor[Row]:
        text: str = sql
        self.changing += not sql.lstrip().startswith("SELECT")
        if " IN :" in sql:
            text, parameters = expand_lists(sql, parameters)
        return self._cursor.execute(_as_query(_translate(text)), parameters)

    def all(self, sql: LiteralString, **parameters: object) -> list[Row]:
        return self._execute(sql, parameters).fetchall()

    def one(self, sql: LiteralString, **parameters: object) -> Row | None:
        return self._execute(sql, parameters).fetchone()

    def run(self, sql: LiteralString, **parameters: object) -> int:
        return self._execute(sql, parameters).rowcount

    def run_all(self, sql: LiteralString, rows: list[dict[str, object]]) -> None:
        self.changing += 1
        # psycopg sends them all before it reads the first answer: one round trip, not one each.
        self._cursor.executemany(_as_query(_translate(sql)), rows)

    def insert_all(self, insertion: Insertion, rows: list[dict[str, object]]) -> None:
        self.run(insertion.all, **{name: [row[name] for row in rows] for name in insertion.names})

    def run_later(self, sql: LiteralString, **parameters: object) -> None:
        self.changing += 1
        self._later.setdefault(sql, []).append(parameters)

    def finish(self) -> None:
        """Run what was left for later: no answer is waited for before the next is sent."""
        for sql, rows in self._later.items():
            self.run_all(sql, rows)

    def has_table(self, name: str) -> bool:
        return self.one("SELECT 1 WHERE to_regclass(:name) IS NOT NULL", name=name) is not None

    def script(self, sql: str) -> None:
        self._cursor.connection.execute(_as_query(sql))


def _as_query(text: str) -> QueryNoTemplate:
    """Vouch that `text` came from literal SQL, which the type checker cannot follow here."""
    return text.encode()


class PostgresDatabase(Database):
    """A database on a PostgreSQL server, which any number of processes may share."""

    engine = "postgres"

    def __init__(self, url: str, world: World, connections: int) -> None:
        super().__init__()
        self._world = world
        self._pool: ConnectionPool[psycopg.Connection[Row]] = ConnectionPool(
            url,
            min_size=1,
            max_size=connections,
            timeout=_CONNECT_SECONDS,
            kwargs={"autocommit": True, "prepare_threshold": 2, "application_name": "tenantry"},
            configure=_configure,
            open=False,
        )
        self._opened = False
        self._threads = ThreadPoolExecutor(connections, "tenantry-postgres")
        self._groups = Groups(self._run_together, self._threads)
        # Few enough that long reads never have all the connections.
        self._scanners = ThreadPoolExecutor(max(1, connections // _SCANNING_SHARE), "tenantry-scan")

    def read(self, work: Work[T]) -> T:
        def run(connection: psycopg.Connection[Row]) -> T:
            with _lost_before_commit(connection):
                return work(PostgresTransaction(connection, self._world))

        return self._with_connection(run)

    def write(self, work: Work[T]) -> T:
        return self._with_connection(lambda connection: self._run_until_committed(connection, work))

    async def read_soon(self, work: Work[T], *, scans: bool = False) -> T:
        loop = asyncio.get_running_loop()
        if scans:
            return await loop.run_in_executor(self._scanners, self._scan, work)
        return await loop.run_in_executor(self._threads, self.read, work)

    async def write_soon(self, work: Work[T], *, scans: bool = False, adds: bool = False) -> T:
        if adds and not scans:
            value: T = await self._groups.add(work)
            return value
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.write, work)

    def close(self) -> None:
        self._threads.shutdown()
        self._scanners.shutdown()
        if self._opened:
            self._pool.close()

    def _scan(self, work: Work[T]) -> T:
        """Run `work` that changes nothing on one snapshot, which holds back neither writers nor the events."""
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
        return self._with_connection(lambda connection: self._run(connection, work, begin))

    def _with_connection(self, use: Callable[[psycopg.Connection[Row]], T]) -> T:
        """Run `use` on a connection of the pool, on another one when that proves to have been cut."""
        if not self._opened:
            self._pool.open()
            self._opened = True
        try:
            for _ in range(self._pool.max_size):
                with contextlib.suppress(_ConnectionLost), self._pool.connection() as connection:
                    return use(connection)
            with self._pool.connection() as connection:
                return use(connection)
        except (psycopg.OperationalError, PoolTimeout, _ConnectionLost) as error:
            raise DatabaseUnavailable from error

    def _run_until_committed(self, connection: psycopg.Connection[Row], work: Work[T]) -> T:
        for attempt in range(1, _ATTEMPTS):
            try:
                return self._run_and_tell(connection, work)
            except _COLLISIONS:
                time.sleep(backoff(attempt, random.random()))  # noqa: S311 (spreads load, guards nothing)
        return self._run_and_tell(connection, work)

    def _run_and_tell(self, connection: psycopg.Connection[Row], work: Work[T]) -> T:
        # REPEATABLE READ: of two transactions that change one row, the later is refused and run again.
        result = self._run(connection, work, "BEGIN ISOLATION LEVEL REPEATABLE READ")
        self.commits.tell()
        return result

    def _run_together(self, works: list[Work[Any]]) -> list[Outcome]:
        """Run works that only add rows in one transaction, or each for itself when one is in the way."""

        def use(connection: psycopg.Connection[Row]) -> list[Outcome]:
            try:
                return self._run_and_tell(connection, lambda tx: _outcomes(tx, works))
            except (*_COLLISIONS, psycopg.DataError, psycopg.ProgrammingError) as error:
                raise _Apart from error

        try:
            return self._with_connection(use)
        except _Apart:
            return [self._run_apart(work) for work in works]
        except Exception as error:  # noqa: BLE001 (whatever it is, it is for those who asked)
            return [Outcome(error=error) for _ in works]

    def _run_apart(self, work: Work[Any]) -> Outcome:
        try:
            return Outcome(self.write(work))
        except Exception as error:  # noqa: BLE001 (whatever it is, it is for the one who asked)
            return Outcome(error=error)

    def _run(self, connection: psycopg.Connection[Row], work: Work[T], begin: LiteralString) -> T:
        with _lost_before_commit(connection):
            connection.execute(begin)
            try:
                transaction = PostgresTransaction(connection, self._world)
                result = work(transaction)
                transaction.finish()
            except BaseException:
                if not connection.closed:
                    connection.execute("ROLLBACK")
                raise
        connection.execute("COMMIT")
        return result


def _outcomes(tx: Transaction, works: list[Work[Any]]) -> list[Outcome]:
    """Return what came of each work. Raises _Apart when one failed that may have changed something."""
    assert isinstance(tx, PostgresTransaction)
    tx.known = {}
    outcomes = []
    for work in works:
        changing = tx.changing
        try:
            outcomes.append(Outcome(work(tx)))
        except psycopg.Error:
            raise
        except Exception as error:
            if tx.changing != changing:
                raise _Apart from error
            outcomes.append(Outcome(error=error))
    return outcomes


@contextlib.contextmanager
def _lost_before_commit(connection: psycopg.Connection[Row]) -> Iterator[None]:
    """Tell apart a connection that was cut before anything could be committed: that may be tried again."""
    try:
        yield
    except psycopg.OperationalError as error:
        if connection.closed:
            raise _ConnectionLost from error
        raise


def _configure(connection: psycopg.Connection[Row]) -> None:
    connection.execute("SET synchronous_commit = on")
