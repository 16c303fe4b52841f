"""SQLite: readers on their own connections, one writer thread that commits in groups."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, LiteralString

from tenantry.core.db.base import Database, Row, T, Transaction, Work, World, expand_lists
from tenantry.core.errors import DatabaseUnavailable

_BUSY_SECONDS = 5.0
_STATEMENTS_KEPT = 512
_LARGEST_GROUP = 256
_SCANNING_THREADS = 2

_SHARED_PRAGMAS = ("PRAGMA foreign_keys = ON", "PRAGMA temp_store = MEMORY")
# A checkpoint copies each page that changed once, however often: 8000 pages, 32 MiB, between
# two make a create a tenth cheaper than the 1000 by default.
_WRITER_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA wal_autocheckpoint = 8000",
    "PRAGMA cache_size = -16000",
)
_READER_PRAGMAS = ("PRAGMA query_only = ON", "PRAGMA cache_size = -16000")


class SqliteTransaction(Transaction):
    """A transaction on one SQLite connection."""

    engine = "sqlite"

    def __init__(self, connection: sqlite3.Connection, world: World) -> None:
        super().__init__(world)
        self._connection = connection

    def _execute(self, sql: LiteralString, parameters: dict[str, object]) -> sqlite3.Cursor:
        if " IN :" in sql:
            return self._connection.execute(*expand_lists(sql, parameters))
        return self._connection.execute(sql, parameters)

    def all(self, sql: LiteralString, **parameters: object) -> list[Row]:
        return self._execute(sql, parameters).fetchall()

    def one(self, sql: LiteralString, **parameters: object) -> Row | None:
        row: Row | None = self._execute(sql, parameters).fetchone()
        return row

    def run(self, sql: LiteralString, **parameters: object) -> int:
        return self._execute(sql, parameters).rowcount

    def run_all(self, sql: LiteralString, rows: list[dict[str, object]]) -> None:
        self._connection.executemany(sql, rows)

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


@dataclass(slots=True)
class _Outcome:
    value: Any = None
    error: Exception | None = None


@dataclass(slots=True, eq=False)
class _Job:
    work: Work[Any]
    loop: asyncio.AbstractEventLoop | None
    future: "asyncio.Future[Any] | Future[Any]"


class SqliteDatabase(Database):
    """A database in one file.

    Writes of all threads go through one thread, which takes every request that waits
    into one transaction: one sync to disk makes them all durable. Reads see the last
    commit and never wait for it.

    One that is not `durable` may lose it all in a power cut. There is no sync to share then, so its
    writes are made where they are asked for, which costs less than handing them to a thread.
    """

    engine = "sqlite"

    def __init__(self, path: Path, world: World, *, durable: bool = True) -> None:
        super().__init__()
        self._durable = durable
        self._path = path
        self._world = world
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._readers = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._committed = 0
        self._starting = threading.Lock()
        self._writer: threading.Thread | None = None
        self._writing = threading.Lock()
        self._writer_connection: sqlite3.Connection | None = None
        self._scanners = ThreadPoolExecutor(_SCANNING_THREADS, "tenantry-scan")

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
        if not self._durable:
            return self._write_here(work)
        future: Future[T] = Future()
        self._submit(_Job(work, None, future))
        return future.result()

    async def read_soon(self, work: Work[T], *, scans: bool = False) -> T:
        if scans:
            return await asyncio.get_running_loop().run_in_executor(self._scanners, self.read, work)
        # A look-up by index takes microseconds, less than handing it to a thread.
        return work(self._shared_transaction(asyncio.get_running_loop()))

    async def write_soon(self, work: Work[T]) -> T:
        if not self._durable:
            return self._write_here(work)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._submit(_Job(work, loop, future))
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
        if self._writer is not None:
            self._queue.put(None)
            self._writer.join()
        self._scanners.shutdown()
        for connection in self._connections:
            connection.close()

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

    def _open(self, mode: str, pragmas: tuple[str, ...]) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=_BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=_STATEMENTS_KEPT,
            )
            for pragma in pragmas + _SHARED_PRAGMAS:
                connection.execute(pragma)
        except sqlite3.OperationalError as error:
            raise DatabaseUnavailable(f"SQLite cannot open {self._path}: {error}.") from error
        self._connections.append(connection)
        return connection

    def _open_reader(self) -> sqlite3.Connection:
        return self._open("rw", _READER_PRAGMAS)

    def _submit(self, job: _Job) -> None:
        if self._writer is None:
            with self._starting:
                if self._writer is None:
                    self._start_writer()
        self._queue.put(job)

    def _open_writer(self) -> sqlite3.Connection:
        synchronous = "FULL" if self._durable else "OFF"
        return self._open("rwc", (*_WRITER_PRAGMAS, f"PRAGMA synchronous = {synchronous}"))

    def _write_here(self, work: Work[T]) -> T:
        with self._writing:
            if self._writer_connection is None:
                self._writer_connection = self._open_writer()
            [outcome] = _commit_group(self._writer_connection, self._world, [work])
            self._committed += 1
        self.commits.tell()
        if outcome.error is not None:
            raise outcome.error
        made: T = outcome.value
        return made

    def _start_writer(self) -> None:
        connection = self._open_writer()
        self._writer = threading.Thread(
            target=self._write_groups, args=(connection,), name="tenantry-writer", daemon=True
        )
        self._writer.start()

    def _write_groups(self, connection: sqlite3.Connection) -> None:
        while (group := self._take_group()) is not None:
            outcomes = _commit_group(connection, self._world, [job.work for job in group])
            self._committed += 1
            self.commits.tell()
            _settle(group, outcomes)

    def _take_group(self) -> list[_Job] | None:
        """Wait for a request, then take all that wait with it; None when told to stop."""
        first = self._queue.get()
        if first is None:
            return None
        group = [first]
        while len(group) < _LARGEST_GROUP:
            try:
                job = self._queue.get_nowait()
            except Empty:
                break
            if job is None:
                self._queue.put(None)
                break
            group.append(job)
        return group


def _commit_group(connection: sqlite3.Connection, world: World, works: list[Work[Any]]) -> list[_Outcome]:
    """Run all `works` in one durable transaction; each one's failure undoes that one alone.

    A savepoint around each costs more than what most of them do, so the group runs
    without, and only when one fails half done is it rolled back and run again with.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        outcomes = _run_bare(connection, world, works)
        if outcomes is None:
            connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")
            outcomes = [_run_guarded(connection, world, work) for work in works]
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        failure = DatabaseUnavailable(f"SQLite could not write: {error}. Try again.")
        failure.__cause__ = error
        return [_Outcome(error=failure) for _ in works]
    return outcomes


def _run_bare(connection: sqlite3.Connection, world: World, works: list[Work[Any]]) -> list[_Outcome] | None:
    """Run `works` one after the other; None when one failed after it had changed something."""
    outcomes = []
    for work in works:
        changes = connection.total_changes
        outcome = _run(connection, world, work)
        if outcome.error is not None and connection.total_changes != changes:
            return None
        outcomes.append(outcome)
    return outcomes


def _run_guarded(connection: sqlite3.Connection, world: World, work: Work[Any]) -> _Outcome:
    connection.execute("SAVEPOINT work")
    outcome = _run(connection, world, work)
    if outcome.error is not None:
        connection.execute("ROLLBACK TO work")
    connection.execute("RELEASE work")
    return outcome


def _run(connection: sqlite3.Connection, world: World, work: Work[Any]) -> _Outcome:
    try:
        return _Outcome(work(SqliteTransaction(connection, world)))
    except Exception as error:  # noqa: BLE001 (whatever it is, it is for the one who asked)
        return _Outcome(error=error)


def _settle(group: list[_Job], outcomes: list[_Outcome]) -> None:
    """Hand each outcome to who waits for it: one wake-up for all that wait on one event loop."""
    waiting: dict[asyncio.AbstractEventLoop, list[tuple[_Job, _Outcome]]] = {}
    for job, outcome in zip(group, outcomes, strict=True):
        if job.loop is None:
            _resolve(job, outcome)
        else:
            waiting.setdefault(job.loop, []).append((job, outcome))
    for loop, settled in waiting.items():
        _wake(loop, _resolver(settled))


def _wake(loop: asyncio.AbstractEventLoop, resolve: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(resolve)
    except RuntimeError:
        if not loop.is_closed():
            raise


def _resolver(settled: list[tuple[_Job, _Outcome]]) -> Callable[[], None]:
    def resolve() -> None:
        for job, outcome in settled:
            _resolve(job, outcome)

    return resolve


def _resolve(job: _Job, outcome: _Outcome) -> None:
    if job.future.done():
        return  # whoever asked has gone away; the work is done all the same
    if outcome.error is None:
        job.future.set_result(outcome.value)
    else:
        job.future.set_exception(outcome.error)
