"""PostgreSQL: psycopg 3; transactions that collide are run again.

Threads have a pool of connections, each event loop has connections of its own (`postgres_loop`).
"""

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import LiteralString

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool, PoolTimeout

from tenantry.core.db.base import Database, Insertion, Row, T, Transaction, Values, Work, World
from tenantry.core.db.postgres_errors import ATTEMPTS, COLLISIONS, unavailable
from tenantry.core.db.postgres_loop import LoopConnections
from tenantry.core.db.postgres_sql import named
from tenantry.core.errors import Contended
from tenantry.core.retry import backoff

_CONNECT_SECONDS = 5.0
# A server that is gone without a word, as when its machine has stopped, is noticed within some ten seconds, not
# after the quarter of an hour that TCP takes. What the URL says goes before.
_PATIENCE = {
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
# What a GIN index has not taken in yet is looked through by every search: kilobytes, which take it 0.1 ms.
# What the planner believes to cost much is a walk that ends after some rows: to compile it, or to start processes
# for it, takes longer than to run it.
_CONFIGURE = (
    b"SET synchronous_commit = on; SET gin_pending_list_limit = 256;"
    b" SET jit = off; SET max_parallel_workers_per_gather = 0"
)
# On the event loop every statement is a range of an index. The planner takes a table that was never analyzed to be
# small, and would read all of it.
_CONFIGURE_LOOP = _CONFIGURE + b"; SET enable_seqscan = off"
_THREADS_SHARE = 4
_LEAST_THREADS = 2
_MOST_READERS = 2


class _ConnectionLost(Exception):
    """The connection was cut before its transaction could have been committed."""


class CursorTransaction(Transaction):
    """A transaction on one connection of a thread."""

    engine = "postgres"

    def __init__(self, connection: psycopg.Connection[Row], world: World) -> None:
        super().__init__(world)
        self._cursor = connection.cursor(binary=True)

    def _execute(self, sql: LiteralString, parameters: dict[str, object]) -> psycopg.Cursor[Row]:
        return self._cursor.execute(named(sql), parameters)

    def all(self, sql: LiteralString, **parameters: object) -> list[Row]:
        return self._execute(sql, parameters).fetchall()

    def one(self, sql: LiteralString, **parameters: object) -> Row | None:
        return self._execute(sql, parameters).fetchone()

    def run(self, sql: LiteralString, **parameters: object) -> int:
        return self._execute(sql, parameters).rowcount

    def run_all(self, sql: LiteralString, rows: list[dict[str, object]]) -> None:
        # psycopg sends them all before it reads the first answer: one round trip, not one each.
        self._cursor.executemany(named(sql), rows)

    def insert_all(self, insertion: Insertion, rows: list[Values]) -> None:
        if rows:
            self.run(insertion.all, **insertion.columns_of(rows))

    def has_table(self, name: str) -> bool:
        return self.one("SELECT 1 WHERE to_regclass(:name) IS NOT NULL", name=name) is not None

    def script(self, sql: str) -> None:
        self._cursor.connection.execute(sql.encode())


class PostgresDatabase(Database):
    """A database on a PostgreSQL server, which any number of processes may share.

    Of its `connections`, at least four, a quarter are for threads, which is where long work goes, and the rest for
    the event loop: up to two for what it reads, the others for what it writes.
    """

    engine = "postgres"

    def __init__(self, url: str, world: World, connections: int) -> None:
        super().__init__()
        assert connections >= _LEAST_THREADS + 2, f"{connections} connections are too few"
        self._conninfo = make_conninfo("", **{**_PATIENCE, **conninfo_to_dict(url)})
        self._world = world
        threads = max(_LEAST_THREADS, connections // _THREADS_SHARE)
        self._readers = min(_MOST_READERS, connections - threads - 1)
        self._writers = connections - threads - self._readers
        self._pool: ConnectionPool[psycopg.Connection[Row]] = ConnectionPool(
            self._conninfo,
            min_size=0,
            max_size=threads,
            timeout=_CONNECT_SECONDS,
            kwargs={"autocommit": True, "prepare_threshold": 2, "application_name": "tenantry"},
            configure=_configure,
            open=False,
        )
        self._opened = False
        self._threads = ThreadPoolExecutor(threads, "tenantry-postgres")
        self._loops: dict[asyncio.AbstractEventLoop, LoopConnections] = {}

    def read(self, work: Work[T]) -> T:
        def run(connection: psycopg.Connection[Row]) -> T:
            with _lost_before_commit(connection):
                return work(CursorTransaction(connection, self._world))

        return self._with_connection(run)

    def write(self, work: Work[T]) -> T:
        return self._with_connection(lambda connection: self._run_until_committed(connection, work))

    async def read_soon(self, work: Work[T], *, scans: bool = False) -> T:
        loop = asyncio.get_running_loop()
        if scans:
            return await loop.run_in_executor(self._threads, self._scan, work)
        return await self._connections_of(loop).read(work)

    async def write_soon(
        self,
        work: Work[T],
        *,
        scans: bool = False,
        many: bool = False,  # noqa: ARG002 (of which the event loop only waits for the answers)
        adds: bool = False,
    ) -> T:
        loop = asyncio.get_running_loop()
        if scans:
            return await loop.run_in_executor(self._threads, self.write, work)
        connections = self._connections_of(loop)
        return await (connections.add(work) if adds else connections.write(work))

    def close(self) -> None:
        self._threads.shutdown()
        for connections in self._loops.values():
            _close(connections)
        self._loops.clear()
        if self._opened:
            self._pool.close()

    def _connections_of(self, loop: asyncio.AbstractEventLoop) -> LoopConnections:
        found = self._loops.get(loop)
        if found is None:
            for ended in [each for each in self._loops if each.is_closed()]:
                self._loops.pop(ended).close()
            found = self._loops[loop] = LoopConnections(
                loop,
                self._world,
                self._open_connection,
                self.commits.tell,
                readers=self._readers,
                writers=self._writers,
                wait_seconds=_CONNECT_SECONDS,
            )
        return found

    async def _open_connection(self) -> psycopg.AsyncConnection[Row]:
        """Return a new connection of the running event loop. Raises DatabaseUnavailable."""
        try:
            return await asyncio.wait_for(self._connect(), _CONNECT_SECONDS)
        except (psycopg.OperationalError, TimeoutError) as error:
            raise unavailable(error) from error

    async def _connect(self) -> psycopg.AsyncConnection[Row]:
        connection = await psycopg.AsyncConnection.connect(
            self._conninfo, autocommit=True, application_name="tenantry"
        )
        try:
            await connection.execute(_CONFIGURE_LOOP)
        except BaseException:
            await connection.close()
            raise
        return connection

    def _scan(self, work: Work[T]) -> T:
        """Run `work` that changes nothing on one snapshot, which holds back neither writers nor the events."""
        begin = b"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
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
            raise unavailable(error) from error

    def _run_until_committed(self, connection: psycopg.Connection[Row], work: Work[T]) -> T:
        attempt = 0
        while True:
            try:
                return self._run_and_tell(connection, work)
            except COLLISIONS as error:
                attempt += 1
                if attempt == ATTEMPTS:
                    raise Contended from error
                time.sleep(backoff(attempt, random.random()))  # noqa: S311 (spreads load, guards nothing)

    def _run_and_tell(self, connection: psycopg.Connection[Row], work: Work[T]) -> T:
        # REPEATABLE READ: of two transactions that change one row, the later is refused and run again.
        result = self._run(connection, work, b"BEGIN ISOLATION LEVEL REPEATABLE READ")
        self.commits.tell()
        return result

    def _run(self, connection: psycopg.Connection[Row], work: Work[T], begin: bytes) -> T:
        with _lost_before_commit(connection):
            connection.execute(begin)
            try:
                result = work(CursorTransaction(connection, self._world))
            except BaseException:
                if not connection.closed:
                    connection.execute("ROLLBACK")
                raise
        connection.execute("COMMIT")
        return result


@contextlib.contextmanager
def _lost_before_commit(connection: psycopg.Connection[Row]) -> Iterator[None]:
    """Tell apart a connection that was cut before anything could be committed: that may be tried again."""
    try:
        yield
    except psycopg.OperationalError as error:
        # The server says FATAL before it closes: the connection may not know yet.
        if connection.closed or error.diag.severity_nonlocalized in {"FATAL", "PANIC"}:
            raise _ConnectionLost from error
        raise


def _configure(connection: psycopg.Connection[Row]) -> None:
    connection.execute(_CONFIGURE)


def _close(connections: LoopConnections) -> None:
    """Close what belongs to an event loop, on that loop if it still runs, from whatever thread."""
    loop = connections.loop
    if loop.is_closed() or not loop.is_running() or _is_running_here(loop):
        connections.close()
        return
    done = threading.Event()

    def close() -> None:
        connections.close()
        done.set()

    loop.call_soon_threadsafe(close)
    done.wait(_CONNECT_SECONDS)


def _is_running_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
