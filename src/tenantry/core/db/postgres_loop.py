"""What an event loop reads and writes on PostgreSQL, over connections of its own.

Reads share a few connections: each of their statements is a transaction. A write has one to itself, until
it is committed. Writes that only add rows and wait at the same time are one transaction, in which they go
on side by side: their statements travel together, and there is one begin, one commit, one sync to disk.
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, LiteralString, NamedTuple, Protocol

import psycopg
from psycopg import errors

from tenantry.core.db.base import Collision, Insertion, Row, T, Transaction, Values, Work, World
from tenantry.core.db.postgres_errors import ATTEMPTS, COLLISIONS, unavailable
from tenantry.core.db.postgres_pipeline import Ahead, ConnectionLost, Pipeline, Undone, gather, start
from tenantry.core.db.postgres_sql import Statement, numbered
from tenantry.core.db.waiting import Waiting
from tenantry.core.errors import ApiError, Contended, DatabaseUnavailable
from tenantry.core.retry import backoff

_GROUPS_AT_ONCE = 2
_LARGEST_GROUP = 64
_SIDE_BY_SIDE = 16
_REST_SECONDS = 1.0
"""How long those that read make do with what they have when one more connection could not be opened."""

# Of two transactions that change one row the later is refused, and run again.
_BEGIN = numbered("BEGIN ISOLATION LEVEL REPEATABLE READ")
_COMMIT = numbered("COMMIT")
_ROLLBACK = numbered("ROLLBACK")

_CROSSED = (errors.SerializationFailure, errors.DeadlockDetected)
"""What another transaction is the cause of, never the same one."""

OpenConnection = Callable[[], Awaitable[psycopg.AsyncConnection[Row]]]


class _RunOnce(Protocol[T]):
    """Runs work; what it looks up may be assumed where it `assumes`."""

    async def __call__(self, work: Work[T], *, assumes: bool) -> T: ...


class _Shared:
    """What works in one transaction share: what those that only add rows have `known`, and rows to be inserted."""

    def __init__(self, known: dict[object, Any] | None = None, waiting: Waiting | None = None) -> None:
        self.known = known
        self.waiting = waiting or Waiting()


class PipelineTransaction(Transaction):
    """A transaction, or the reads of one work, on a pipeline.

    Rows to be inserted wait until a statement could see them, or `insert_waiting` is called.
    """

    engine = "postgres"

    def __init__(
        self, pipeline: Pipeline, world: World, shared: _Shared | None = None, *, assumes: bool = True
    ) -> None:
        super().__init__(world)
        self._assumes = assumes
        self._assumed: list[tuple[Row, Ahead]] = []
        self._pipeline = pipeline
        self._shared = shared or _Shared()
        self.known = self._shared.known
        self.has_changed = False
        """Whether something was inserted, or a statement run that may have changed something."""

    def _prepared(self, sql: LiteralString, parameters: dict[str, object]) -> tuple[Statement, list[object]]:
        statement = numbered(sql)
        self.has_changed |= statement.changes
        return statement, [parameters[name] for name in statement.names]

    def all(self, sql: LiteralString, **parameters: object) -> list[Row]:
        self.insert_waiting()
        return self._rows(sql, parameters)

    def _rows(self, sql: LiteralString, parameters: dict[str, object]) -> list[Row]:
        return self._pipeline.rows(self._pipeline.ask(*self._prepared(sql, parameters)))

    def one(self, sql: LiteralString, **parameters: object) -> Row | None:
        rows = self.all(sql, **parameters)
        return rows[0] if rows else None

    def one_assumed(self, assumed: Row | None, sql: LiteralString, **parameters: object) -> Row | None:
        if assumed is None or not self._assumes:
            return self.one(sql, **parameters)
        self.insert_waiting()
        self._assumed.append((assumed, self._pipeline.ask_ahead(*self._prepared(sql, parameters))))
        return assumed

    def check_assumed(self) -> None:
        """Return when all is known to be as it was assumed. Raises Collision where it is not."""
        for assumed, ahead in self._assumed:
            if self._pipeline.rows(self._pipeline.answer_of(ahead))[:1] != [assumed]:
                raise Collision

    def one_in_place(self, sql: LiteralString, **parameters: object) -> Row | None:
        if self.known is None:
            return self.one(sql, **parameters)
        rows = self._rows(sql, parameters)
        return rows[0] if rows else None

    def side_by_side(self, works: Sequence[Work[T]]) -> list[T]:
        if not self._assumes:
            return super().side_by_side(works)
        shared = _Shared({}, self._shared.waiting)
        # The first goes ahead: what it looks up the others need not.
        done = [work(self._beside(shared)) for work in works[:1]]
        for begin in range(1, len(works), _SIDE_BY_SIDE):
            some = works[begin : begin + _SIDE_BY_SIDE]
            done += gather([partial(work, self._beside(shared)) for work in some])
            self.insert_waiting()
        self.has_changed = True
        return done

    def _beside(self, shared: _Shared) -> "PipelineTransaction":
        """Return this transaction for one of several works that go on side by side in it."""
        beside = PipelineTransaction(self._pipeline, self._world, shared, assumes=False)
        beside.milliseconds, beside.now = self.milliseconds, self.now
        return beside

    def run(self, sql: LiteralString, **parameters: object) -> int:
        self.insert_waiting()
        return self._pipeline.ask(*self._prepared(sql, parameters)).command_tuples or 0

    def run_all(self, sql: LiteralString, rows: list[dict[str, object]]) -> None:
        for row in rows:
            self.run_later(sql, **row)

    def insert(self, insertion: Insertion, row: Values) -> None:
        self.has_changed = True
        self._shared.waiting.keep(insertion, row)

    def insert_all(self, insertion: Insertion, rows: list[Values]) -> None:
        for row in rows:
            self.insert(insertion, row)

    def run_later(self, sql: LiteralString, **parameters: object) -> None:
        self.insert_waiting()
        self._pipeline.post(*self._prepared(sql, parameters))

    def insert_waiting(self) -> None:
        """Send the rows that wait, whoever of those who share the transaction has inserted them."""
        for insertion, rows in self._shared.waiting.take():
            if len(rows) == 1:
                self._pipeline.post(*self._prepared(insertion.one, insertion.named(rows[0])))
            else:
                self._pipeline.post(*self._prepared(insertion.all, insertion.columns_of(rows)))

    def has_table(self, name: str) -> bool:
        return self.one("SELECT 1 WHERE to_regclass(:name) IS NOT NULL", name=name) is not None

    def script(self, sql: str) -> None:  # noqa: ARG002 (nobody may ask for it)
        raise AssertionError("migrations are not run on an event loop")


class _Job(NamedTuple):
    work: Work[Any]
    future: asyncio.Future[Any]


class LoopConnections:
    """Runs work for the tasks of one event loop, on at most `readers` and `writers` connections.

    `committed` is called after each commit, before whoever asked for a part of it goes on.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        world: World,
        open_connection: OpenConnection,
        committed: Callable[[], None],
        *,
        readers: int,
        writers: int,
        wait_seconds: float,
    ) -> None:
        self.loop = loop
        self._world = world
        self._open_connection = open_connection
        self._committed = committed
        self._wait_seconds = wait_seconds
        self._most_readers = readers
        self._readers: list[Pipeline] = []
        self._opening: asyncio.Task[None] | None = None
        self._rests_until = 0.0
        self._writers: set[Pipeline] = set()
        self._idle: list[Pipeline] = []
        self._places = asyncio.Semaphore(writers)
        self._most_lost = readers + writers
        self._closed = False
        self._waiting: deque[_Job] = deque()
        self._groups: set[asyncio.Task[None]] = set()

    async def read(self, work: Work[T]) -> T:
        """Run `work` that changes nothing, again when what it assumed was not so. Raises DatabaseUnavailable."""
        return await self._until_done(self._read_once, work)

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction of its own, again when it collides. Raises DatabaseUnavailable."""
        return await self._until_done(self._write_once, work)

    async def add(self, work: Work[T]) -> T:
        """Run `work` that only adds rows, in one transaction with other such work that waits."""
        job = _Job(work, self.loop.create_future())
        self._waiting.append(job)
        if len(self._groups) < _GROUPS_AT_ONCE:
            group = self.loop.create_task(self._work_off())
            self._groups.add(group)
            group.add_done_callback(self._groups.discard)
        value: T = await job.future
        return value

    def close(self) -> None:
        """Let go of every connection, on the loop or when it has ended."""
        self._closed = True
        for pipeline in (*self._readers, *self._writers):
            pipeline.close()

    async def _until_done(self, run_once: _RunOnce[T], work: Work[T]) -> T:
        attempt = lost = 0
        while True:
            try:
                return await run_once(work, assumes=attempt == 0)
            except COLLISIONS as error:
                attempt += 1
                if attempt == ATTEMPTS:
                    raise Contended from error
                await asyncio.sleep(backoff(attempt, random.random()))  # noqa: S311 (spreads load, guards nothing)
            except ConnectionLost as error:
                lost += 1
                if lost > self._most_lost:
                    raise unavailable(error) from error
            except psycopg.OperationalError as error:
                raise unavailable(error) from error

    async def _read_once(self, work: Work[T], *, assumes: bool) -> T:
        tx = PipelineTransaction(await self._reader(), self._world, assumes=assumes)
        return await start(self.loop, lambda: _done(tx, work))

    async def _write_once(self, work: Work[T], *, assumes: bool) -> T:
        pipeline = await self._borrow()
        tx = PipelineTransaction(pipeline, self._world, assumes=assumes)
        return await start(self.loop, lambda: self._transact(pipeline, tx, work))

    async def _open(self, *, gathers: bool) -> Pipeline:
        if self._closed:
            raise DatabaseUnavailable
        connection = await self._open_connection()
        if self._closed:
            connection.pgconn.finish()
            raise DatabaseUnavailable
        return Pipeline(connection, self.loop, gathers=gathers)

    async def _reader(self) -> Pipeline:
        """Return the connection for reads with the least to do. Raises DatabaseUnavailable."""
        if len(self._readers) < self._most_readers or any(each.closed for each in self._readers):
            self._readers = [each for each in self._readers if not each.closed]
            while not self._readers:
                await asyncio.shield(self._opening_reader())
            if len(self._readers) < self._most_readers and self.loop.time() >= self._rests_until:
                self._opening_reader()  # which nobody waits for
        return min(self._readers, key=_load)

    def _opening_reader(self) -> asyncio.Task[None]:
        """Return the attempt to open one more connection for reads: all who wait for one share it."""
        if self._opening is None or self._opening.done():
            self._opening = self.loop.create_task(self._add_reader())
            self._opening.add_done_callback(_look_at_failure)
        return self._opening

    async def _add_reader(self) -> None:
        try:
            reader = await self._open(gathers=True)
        except BaseException:
            self._rests_until = self.loop.time() + _REST_SECONDS
            raise
        self._readers.append(reader)

    async def _borrow(self) -> Pipeline:
        """Return a connection that nobody else uses until `_give_back`. Raises DatabaseUnavailable."""
        if self._places.locked():
            try:
                await asyncio.wait_for(self._places.acquire(), self._wait_seconds)
            except TimeoutError as error:
                raise unavailable(error) from error
        else:
            await self._places.acquire()
        while self._idle:
            pipeline = self._idle.pop()
            if not pipeline.closed:
                return pipeline
            self._writers.discard(pipeline)
        try:
            pipeline = await self._open(gathers=False)
        except BaseException:
            self._places.release()
            raise
        self._writers.add(pipeline)
        return pipeline

    def _give_back(self, pipeline: Pipeline) -> None:
        if pipeline.closed:
            self._writers.discard(pipeline)
        else:
            self._idle.append(pipeline)
        self._places.release()

    def _transact(self, pipeline: Pipeline, tx: PipelineTransaction, work: Work[T]) -> T:
        """Run `work` in a transaction, and give the connection back."""
        try:
            self._begin(pipeline)
            try:
                value = _done(tx, work)
                tx.insert_waiting()
            except BaseException:
                pipeline.post_whatever(_ROLLBACK)
                raise
            self._commit(pipeline)
        finally:
            self._give_back(pipeline)
        return value

    def _begin(self, pipeline: Pipeline) -> None:
        pipeline.failure = None
        pipeline.post(_BEGIN, [])

    def _commit(self, pipeline: Pipeline) -> None:
        """Make durable what was done. Raises what failed of it, or DatabaseUnavailable when that is not known."""
        try:
            done = pipeline.ask(_COMMIT, [])
        except ConnectionLost as error:
            raise unavailable(error) from error
        except BaseException:
            pipeline.post_whatever(_ROLLBACK)
            raise
        # A transaction in which something failed is undone by its COMMIT, which is no failure.
        if done.command_status != b"COMMIT":
            raise pipeline.failure or Undone
        self._committed()

    async def _work_off(self) -> None:
        while self._waiting:
            group = [self._waiting.popleft() for _ in range(min(len(self._waiting), _LARGEST_GROUP))]
            if not await self._run_together(group):
                await asyncio.gather(*(self._run_apart(job) for job in group))

    async def _run_together(self, group: list[_Job]) -> bool:
        """Run jobs in one transaction. Returns False, having undone it, when one stands in the way of others.

        When another transaction was faster, it is run once more: the jobs find what that one made.
        """
        try:
            pipeline = await self._borrow()
        except Exception as error:  # noqa: BLE001 (whatever it is, it is for those who asked)
            for job in group:
                _settle(job, error)
            return True
        works = [job.work for job in group]
        try:
            outcomes = await self._run_side_by_side(pipeline, works)
            if isinstance(outcomes, _CROSSED):
                outcomes = await self._run_side_by_side(pipeline, works)
        finally:
            self._give_back(pipeline)
        if not isinstance(outcomes, list):
            return False
        for job, outcome in zip(group, outcomes, strict=True):
            _settle(job, outcome)
        return True

    async def _run_side_by_side(self, pipeline: Pipeline, works: list[Work[Any]]) -> list[Any] | Exception:
        """Return the value of each work, or the exception that it raised; what all was undone for, if it was."""
        shared = _Shared(known={})

        def begin(work: Work[Any]) -> asyncio.Future[tuple[Any, bool]]:
            tx = PipelineTransaction(pipeline, self._world, shared)
            return start(self.loop, lambda: _outcome(tx, work))

        try:
            self._begin(pipeline)
            # The first goes ahead: what it looks up the others need not.
            outcomes = [await begin(works[0])]
            outcomes += await asyncio.gather(*(begin(work) for work in works[1:]))
            in_the_way = [error for error, stands_in_the_way in outcomes if stands_in_the_way]
            if in_the_way:
                pipeline.post_whatever(_ROLLBACK)
                return _first_cause(in_the_way)
            PipelineTransaction(pipeline, self._world, shared).insert_waiting()
            await start(self.loop, lambda: self._commit(pipeline))
        except (*COLLISIONS, psycopg.DataError, psycopg.ProgrammingError, ConnectionLost, Undone) as error:
            return error
        except psycopg.OperationalError as error:
            return [unavailable(error)] * len(works)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is for those who asked)
            return [error] * len(works)
        return [value for value, _ in outcomes]

    async def _run_apart(self, job: _Job) -> None:
        try:
            outcome: Any = await self.write(job.work)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is for the one who asked)
            outcome = error
        _settle(job, outcome)


def _done(tx: PipelineTransaction, work: Work[T]) -> T:
    """Return what `work` returns, or raise what it raises, once all is known to be as it was assumed."""
    try:
        value = work(tx)
    except ApiError:
        tx.check_assumed()
        raise
    tx.check_assumed()
    return value


def _outcome(tx: PipelineTransaction, work: Work[Any]) -> tuple[Any, bool]:
    """Return what `work` returned or raised, and whether its transaction must be undone for it."""
    try:
        return _done(tx, work), False
    except (psycopg.Error, Collision, ConnectionLost, Undone) as error:
        return error, True
    except Exception as error:  # noqa: BLE001 (whatever it is, it is for the one who asked)
        return error, tx.has_changed


def _first_cause(failures: list[Exception]) -> Exception:
    """Return the failure of a work of its own, rather than that of one which was undone with it."""
    return next((error for error in failures if not isinstance(error, Undone)), failures[0])


def _settle(job: _Job, outcome: Any) -> None:
    if job.future.done():
        return  # whoever asked has gone away; the work is done all the same
    if isinstance(outcome, Exception):
        job.future.set_exception(outcome)
    else:
        job.future.set_result(outcome)


def _look_at_failure(opening: "asyncio.Task[None]") -> None:
    """Keep asyncio from reporting a failure that nobody waited for: reads go on over another connection."""
    if not opening.cancelled():
        opening.exception()


def _load(pipeline: Pipeline) -> int:
    return pipeline.load
