"""SQLite: readers on their own connections, writers that take turns."""

import asyncio
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import LiteralString

from tenantry.core.db.base import Database, Insertion, Row, T, Transaction, Values, Work, World, expand_lists
from tenantry.core.db.sqlite_checkpoint import Checkpoints
from tenantry.core.db.sqlite_writer import BUSY_SECONDS, GroupWriter, Job, Shared, is_busy, unavailable
from tenantry.core.errors import DatabaseUnavailable

_STATEMENTS_KEPT = 512
_SCANNING_THREADS = 2
_COMMITTING_THREADS = 2  # one commits while the other copies ahead of a checkpoint
_ROWS_AT_ONCE = 16
_RETRY_SECONDS = 0.01

_SHARED_PRAGMAS = ("PRAGMA foreign_keys = ON", "PRAGMA temp_store = MEMORY")
_WRITER_PRAGMAS = ("PRAGMA wal_autocheckpoint = 0",)  # `Checkpoints` are made instead
# Domains are found by names in no order: an import of 100,000 organizations reads most of their index again and
# again, which takes a third of its time where the pages do not stay.
_LOOP_CACHE = "PRAGMA cache_size = -16000"
_THREAD_CACHE = "PRAGMA cache_size = -64000"
_READER_PRAGMAS = ("PRAGMA query_only = ON", "PRAGMA cache_size = -16000")


class SqliteTransaction(Transaction):
    """A transaction on one SQLite connection."""

    engine = "sqlite"

    def __init__(self, connection: sqlite3.Connection, world: World, shared: Shared | None = None) -> None:
        super().__init__(world)
        self._connection = connection
        self._shared = shared

    def _execute(self, sql: LiteralString, parameters: dict[str, object]) -> sqlite3.Cursor:
        self._insert_waiting()
        return self._execute_in_place(sql, parameters)

    def _execute_in_place(self, sql: LiteralString, parameters: dict[str, object]) -> sqlite3.Cursor:
        """Run a statement; rows that wait to be inserted go on waiting."""
        if " IN :" in sql:
            return self._connection.execute(*expand_lists(sql, parameters))
        return self._connection.execute(sql, parameters)

    def all(self, sql: LiteralString, **parameters: object) -> list[Row]:
        return self._execute(sql, parameters).fetchall()

    def one(self, sql: LiteralString, **parameters: object) -> Row | None:
        row: Row | None = self._execute(sql, parameters).fetchone()
        return row

    def one_in_place(self, sql: LiteralString, **parameters: object) -> Row | None:
        execute = self._execute if self.known is None else self._execute_in_place
        row: Row | None = execute(sql, parameters).fetchone()
        return row

    def run(self, sql: LiteralString, **parameters: object) -> int:
        return self._execute(sql, parameters).rowcount

    def run_all(self, sql: LiteralString, rows: list[dict[str, object]]) -> None:
        self._insert_waiting()
        self._connection.executemany(sql, rows)

    def insert(self, insertion: Insertion, row: Values) -> None:
        if self._shared is None:
            super().insert(insertion, row)
        else:
            self._shared.wait_to_insert(insertion, row)

    def insert_all(self, insertion: Insertion, rows: list[Values]) -> None:
        self._insert_waiting()
        # Sixteen rows in one statement cost six tenths of what they do one by one.
        whole = len(rows) - len(rows) % _ROWS_AT_ONCE if insertion.is_plain else 0
        for start in range(0, whole, _ROWS_AT_ONCE):
            values = list(chain.from_iterable(rows[start : start + _ROWS_AT_ONCE]))
            self._connection.execute(insertion.of_many(_ROWS_AT_ONCE), values)
        self._connection.executemany(insertion.numbered, rows[whole:])

    def _insert_waiting(self) -> None:
        if self._shared is not None:
            self._shared.insert_waiting(self._connection)

    def has_table(self, name: str) -> bool:
        return self.one("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :name", name=name) is not None

    def script(self, sql: str) -> None:
        # Not executescript(): that commits what is open before it starts.
        statement = ""
        for line in sql.splitlines(keepends=True):
            statement += line
            if sqlite3.complete_statement(statement):
                self._connection.execute(statement)
                statement = ""


@dataclass(slots=True, frozen=True)
class _Turn:
    """The transaction of the look-ups in one turn of an event loop, and what it was begun after."""

    tx: SqliteTransaction
    loop: asyncio.AbstractEventLoop
    commits: int


class SqliteDatabase(Database):
    """A database in one file.

    Reads see the last commit and never wait for a writer. Writes of an event loop share
    transactions: see `sqlite_writer`.

    One that is not `durable` may lose it all in a power cut. There is no sync to share then, so its
    writes are made where they are asked for, which costs less than handing them to a thread.
    """

    engine = "sqlite"

    def __init__(self, path: Path, world: World, *, durable: bool = True) -> None:
        super().__init__()
        self._durable = durable
        self._path = path
        self._world = world
        self._readers = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._committed = 0
        self._writing = threading.Lock()
        self._writer: tuple[sqlite3.Connection, Checkpoints] | None = None
        self._groups: dict[asyncio.AbstractEventLoop, GroupWriter] = {}
        self._scanners = ThreadPoolExecutor(_SCANNING_THREADS, "tenantry-scan")
        self._committers = ThreadPoolExecutor(_COMMITTING_THREADS, "tenantry-commit")

    def read(self, work: Work[T]) -> T:
        connection: sqlite3.Connection | None = getattr(self._readers, "connection", None)
        if connection is None:
            connection = self._readers.connection = self._open_reader()
        connection.execute("BEGIN")
        try:
            return work(SqliteTransaction(connection, self._world))
        finally:
            connection.execute("COMMIT")

    def write(self, work: Work[T]) -> T:
        self._finish_groups()
        with self._writing:
            if self._writer is None:
                self._writer = self._open_writer(BUSY_SECONDS, _THREAD_CACHE)
            connection, checkpoints = self._writer
            value = _write_alone(connection, self._world, work)
            if checkpoints.is_due:
                checkpoints.make()
        self._tell()
        return value

    async def read_soon(self, work: Work[T], *, scans: bool = False) -> T:
        if scans:
            return await asyncio.get_running_loop().run_in_executor(self._scanners, self.read, work)
        # A look-up by index takes microseconds, less than handing it to a thread.
        return work(self._shared_transaction(asyncio.get_running_loop()))

    async def write_soon(self, work: Work[T], *, scans: bool = False, many: bool = False, adds: bool = False) -> T:
        if not self._durable:
            return self.write(work)
        loop = asyncio.get_running_loop()
        group = self._groups.get(loop)
        if group is None:
            connection, checkpoints = self._open_writer(0, _LOOP_CACHE)
            group = self._groups[loop] = GroupWriter(
                loop, connection, checkpoints, self._run, self._committers, self._tell
            )
        future: asyncio.Future[T] = loop.create_future()
        group.submit(Job(work, scans or many, adds, future))
        return await future

    def copy_to(self, path: Path) -> None:
        """Write the last committed state to a new file, without disturbing who reads or writes meanwhile."""
        source, copy = self._open_reader(), sqlite3.connect(path)
        try:
            source.backup(copy)
        finally:
            copy.close()
            self._connections.remove(source)
            source.close()

    def close(self) -> None:
        self._finish_groups()
        self._committers.shutdown()
        self._scanners.shutdown()
        for connection in self._connections:
            connection.close()

    def _finish_groups(self) -> None:
        """Commit what the event loop of this thread, or one that has ended, has not come to.

        The group is open on a connection of its own: it would be waited for in vain.
        """
        for loop, group in list(self._groups.items()):
            if loop.is_closed():
                # Of several threads that come to it one finishes it.
                if self._groups.pop(loop, None) is not None:
                    group.finish()
            elif group.thread == threading.get_ident():
                group.finish()

    def _run(self, connection: sqlite3.Connection, shared: Shared | None, job: Job) -> object:
        tx = SqliteTransaction(connection, self._world, shared)
        if shared is not None and job.adds:
            tx.known = shared.known
        elif shared is not None:
            # What it changes may be what those before it have looked up.
            shared.known = {}
        return job.work(tx)

    def _tell(self) -> None:
        self._committed += 1
        self.commits.tell()

    def _shared_transaction(self, loop: asyncio.AbstractEventLoop) -> SqliteTransaction:
        """Return the transaction that the look-ups of this turn of the loop share.

        Beginning and ending one costs as much as a look-up. It ends before the loop comes to
        what reached it after this call, and when this process commits: so whoever asks sees
        all that was committed before.
        """
        turn: _Turn | None = getattr(self._readers, "turn", None)
        if turn is not None and turn.loop is loop and turn.commits == self._committed:
            return turn.tx
        if turn is not None:
            self._end_turn(turn)
        connection: sqlite3.Connection | None = getattr(self._readers, "shared", None)
        if connection is None:
            connection = self._readers.shared = self._open_reader()
        committed = self._committed
        connection.execute("BEGIN")
        turn = self._readers.turn = _Turn(SqliteTransaction(connection, self._world), loop, committed)
        loop.call_soon(self._end_turn, turn)
        return turn.tx

    def _end_turn(self, turn: _Turn) -> None:
        if self._readers.turn is turn:
            self._readers.turn = None
            self._readers.shared.execute("COMMIT")

    def _open(self, mode: str, pragmas: tuple[str, ...], busy_seconds: float) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=busy_seconds,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=_STATEMENTS_KEPT,
            )
            try:
                if mode == "rwc":
                    _use_log(connection)
                for pragma in pragmas + _SHARED_PRAGMAS:
                    connection.execute(pragma)
            except sqlite3.Error:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise DatabaseUnavailable(f"SQLite cannot open {self._path}: {error}.") from error
        self._connections.append(connection)
        return connection

    def _open_reader(self) -> sqlite3.Connection:
        return self._open("rw", _READER_PRAGMAS, BUSY_SECONDS)

    def _open_writer(self, busy_seconds: float, cache: str) -> tuple[sqlite3.Connection, Checkpoints]:
        synchronous = "FULL" if self._durable else "OFF"
        pragmas = (*_WRITER_PRAGMAS, cache, f"PRAGMA synchronous = {synchronous}")
        connection = self._open("rwc", pragmas, busy_seconds)
        guard, copier = (self._open("rw", (), BUSY_SECONDS) for _ in range(2))
        return connection, Checkpoints(connection, guard, copier)


def _use_log(connection: sqlite3.Connection) -> None:
    """Have a database keep a log (WAL). Of several who do it to a new one at once SQLite lets none wait."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return


def _write_alone(connection: sqlite3.Connection, world: World, work: Work[T]) -> T:
    """Run `work` in a transaction of its own; what it raises undoes it."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            value = work(SqliteTransaction(connection, world))
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise unavailable(error) from error
    return value
