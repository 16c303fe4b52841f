"""The writes of one event loop to SQLite: those that wait together are one transaction, one sync to disk.

They run on the loop itself, a tenth of a millisecond at a time. In a thread of their own each statement
would wait for the interpreter, which a busy loop lets go of only every few milliseconds. What
takes long is for a thread all the same: the sync, a checkpoint, and work that looks at many rows.
"""

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from tenantry.core.db.base import Insertion, Values, Work
from tenantry.core.db.sqlite_checkpoint import Checkpoints
from tenantry.core.db.waiting import Waiting
from tenantry.core.errors import DatabaseUnavailable

BUSY_SECONDS = 5.0
_RETRY_SECONDS = 0.002
_SLICE_SECONDS = 0.0001
_LARGEST_GROUP = 256
_PRIMARY_CODE = 0xFF


class Shared:
    """What works in one transaction share: what those that only add rows have looked up, and rows to be inserted.

    The rows wait until a statement could see them, or the transaction ends. `added` counts them, and `changed`
    the changes that they made; where inserting them `failed`, some of them may be missing.
    """

    def __init__(self) -> None:
        self.known: dict[object, Any] = {}
        self.added = 0
        self.changed = 0
        self.failed = False
        self._waiting = Waiting()

    def wait_to_insert(self, insertion: Insertion, row: Values) -> None:
        """Keep a row until `insert_waiting`."""
        self.added += 1
        self._waiting.keep(insertion, row)

    def insert_waiting(self, connection: sqlite3.Connection) -> None:
        """Insert the rows that wait, those of a table in the order in which they came."""
        waiting = self._waiting.take()
        if not waiting:
            return
        before = connection.total_changes
        try:
            for insertion, rows in waiting:
                connection.executemany(insertion.numbered, rows)
        except sqlite3.Error:
            self.failed = True
            raise
        self.changed += connection.total_changes - before


@dataclass(slots=True, eq=False)
class Job:
    """Work that somebody waits for, and what has come of it.

    `scans` says that it may look at many rows, `adds` that it adds rows and changes none.
    """

    work: Work[Any]
    scans: bool
    adds: bool
    future: asyncio.Future[Any]
    value: Any = None
    error: Exception | None = None

    def settle(self) -> None:
        """Tell whoever waits. If nobody does any more, the work is done all the same."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.value)
        else:
            self.future.set_exception(self.error)


RunJob = Callable[[sqlite3.Connection, Shared | None, Job], Any]
"""Runs the work of a job in the transaction that is open on a connection, with what it shares with others."""


def unavailable(error: sqlite3.Error) -> DatabaseUnavailable:
    """Return the error for whoever asked, with its cause."""
    failure = DatabaseUnavailable(f"SQLite could not write: {error}. Try again.")
    failure.__cause__ = error
    return failure


def is_busy(error: sqlite3.Error) -> bool:
    """Return whether SQLite failed because of others who write."""
    return error.sqlite_errorcode & _PRIMARY_CODE in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class _Group:
    """Jobs in one transaction, each of which succeeds or is undone for itself.

    A savepoint around each costs more than what most of them do. So they run without, and
    only when one fails half done is all rolled back and run again with.
    """

    def __init__(self, connection: sqlite3.Connection, run_job: RunJob) -> None:
        self._connection = connection
        self._run_job = run_job
        self._guarded = False
        self._shared = Shared()
        self.jobs: list[Job] = []

    @property
    def is_full(self) -> bool:
        return len(self.jobs) >= _LARGEST_GROUP

    def run(self, job: Job) -> None:
        """Run a job within the transaction, which must be open."""
        self.jobs.append(job)
        if self._guarded:
            self._run_guarded(job)
            return
        before = self._done()
        self._run_bare(job, self._shared)
        if self._shared.failed or (job.error is not None and self._done() != before):
            self._run_again()

    def insert_waiting(self) -> None:
        """Insert the rows that the jobs have left to be inserted together."""
        with contextlib.suppress(sqlite3.IntegrityError):
            self._shared.insert_waiting(self._connection)
        if self._shared.failed:
            self._run_again()

    def _done(self) -> tuple[int, int]:
        """Return what grows with what a job changes, and not with what it inserts for those before it."""
        return self._connection.total_changes - self._shared.changed, self._shared.added

    def _run_again(self) -> None:
        self._guarded = True
        self._shared = Shared()
        self._connection.execute("ROLLBACK")
        self._connection.execute("BEGIN IMMEDIATE")
        for each in self.jobs:
            self._run_guarded(each)

    def commit(self) -> None:
        """Make what the jobs did durable, or fail them all."""
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self.fail(error)

    def fail(self, error: sqlite3.Error) -> None:
        """Undo what the jobs did, and let each of them have failed."""
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        for job in self.jobs:
            job.error = unavailable(error)

    def _run_bare(self, job: Job, shared: Shared | None) -> None:
        """Run a job. Raises sqlite3.Error if SQLite has undone the whole transaction, as on a full disk."""
        job.value = failure = None
        try:
            job.value = self._run_job(self._connection, shared, job)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is for the one who asked)
            failure = error
        job.error = unavailable(failure) if isinstance(failure, sqlite3.OperationalError) else failure
        if not self._connection.in_transaction:
            # Whatever came now would be committed by itself, statement by statement.
            raise sqlite3.OperationalError(str(failure or "the transaction was undone")) from failure

    def _run_guarded(self, job: Job) -> None:
        self._connection.execute("SAVEPOINT work")
        self._run_bare(job, None)
        if job.error is not None:
            self._connection.execute("ROLLBACK TO work")
        self._connection.execute("RELEASE work")


class GroupWriter:
    """Runs what the tasks of one event loop want written, on a connection of its own that never waits for a lock.

    `committed` is called after each commit, before whoever asked for a part of it goes on.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: sqlite3.Connection,
        checkpoints: Checkpoints,
        run_job: RunJob,
        threads: ThreadPoolExecutor,
        committed: Callable[[], None],
    ) -> None:
        self.thread = threading.get_ident()
        self._loop = loop
        self._connection = connection
        self._checkpoints = checkpoints
        self._run_job = run_job
        self._threads = threads
        self._copying: Future[None] | None = None
        self._committed = committed
        self._waiting: deque[Job] = deque()
        self._group: _Group | None = None
        self._ended: list[Job] = []
        self._away: Future[None] | None = None
        self._active = False
        self._busy_since: float | None = None

    def submit(self, job: Job) -> None:
        """Take a job, which becomes one transaction with those of the same turn of the loop."""
        self._waiting.append(job)
        if not self._active:
            self._active = True
            self._loop.call_soon(self._go_on)

    def finish(self) -> None:
        """Do here and now all that waits: the loop stands still meanwhile, or has ended."""
        if self._away is not None:
            wait([self._away])
            # What it was handed over for does not go on by itself any more: see `_hand_over`.
            self._away, self._active = None, False
        while self._waiting or self._group:
            if not self._open():
                time.sleep(_RETRY_SECONDS)
                continue
            while self._has_next():
                self._run_next()
            self._insert_waiting()
            self._commit()
        self._settle()

    def _go_on(self) -> None:
        """Do a part of what waits, and come back for the rest."""
        if self._away is not None:
            return
        answered = self._settle()
        if self._group is None and self._copying is None and self._checkpoints.is_due:
            self._copying = self._threads.submit(self._checkpoints.copy_ahead)
        if self._group is None and self._copying is not None and self._copying.done():
            self._copying = None
            self._hand_over(self._checkpoints.make)
        elif not self._waiting and self._group is None:
            self._active = False
        elif len(self._waiting) * 2 < answered:
            # Those who have their answer soon ask again, and a commit costs few hardly less than many.
            self._loop.call_soon(self._go_on)
        elif not self._open():
            self._loop.call_later(_RETRY_SECONDS, self._go_on)
        else:
            self._run_some()

    def _run_some(self) -> None:
        """Run what waits for as long as requests may be kept from the loop; commit when none of it is left."""
        ends = time.perf_counter() + _SLICE_SECONDS
        while self._has_next():
            if self._waiting[0].scans:
                self._hand_over(self._run_next)
                return
            self._run_next()
            if time.perf_counter() > ends:
                self._loop.call_soon(self._go_on)
                return
        self._insert_waiting()
        self._hand_over(self._commit)

    def _hand_over(self, step: Callable[[], None]) -> None:
        """Have a thread do `step`, and go on when it is done. The connection is left alone meanwhile."""

        def go_on() -> None:
            if self._away is away:
                self._away = None
                self._go_on()

        def back(_: Future[None]) -> None:
            # A loop that has ended is finished by whoever writes next.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(go_on)

        self._away = away = self._threads.submit(step)
        away.add_done_callback(back)

    def _open(self) -> bool:
        """Return whether a transaction is open; tries to begin one. In the end those that wait have failed."""
        if self._group is not None:
            return True
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            self._busy_since = self._busy_since or time.monotonic()
            if not is_busy(error) or time.monotonic() - self._busy_since > BUSY_SECONDS:
                self._give_up(error)
            return False
        self._busy_since = None
        self._group = _Group(self._connection, self._run_job)
        return True

    def _give_up(self, error: sqlite3.Error) -> None:
        self._busy_since = None
        while self._waiting:
            job = self._waiting.popleft()
            job.error = unavailable(error)
            self._ended.append(job)

    def _has_next(self) -> bool:
        return bool(self._waiting) and self._group is not None and not self._group.is_full

    def _run_next(self) -> None:
        self._go_through(lambda group: group.run(self._waiting.popleft()))

    def _insert_waiting(self) -> None:
        # Here, not in the thread of the commit: row by row it would wait there for the interpreter.
        self._go_through(_Group.insert_waiting)

    def _go_through(self, step: Callable[[_Group], None]) -> None:
        """Do a step with the open group, if there is one. Where the database fails, all of it has failed."""
        if self._group is None:
            return
        try:
            step(self._group)
        except sqlite3.Error as error:
            self._group.fail(error)
            self._ended += self._group.jobs
            self._group = None

    def _commit(self) -> None:
        if self._group is not None:
            self._group.commit()
            self._ended += self._group.jobs
            self._group = None

    def _settle(self) -> int:
        """Tell those whose work has ended; return how many they are."""
        if not self._ended:
            return 0
        ended, self._ended = self._ended, []
        self._committed()
        if not self._loop.is_closed():
            for job in ended:
                job.settle()
        return len(ended)
