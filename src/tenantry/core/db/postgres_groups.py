"""Requests to PostgreSQL that only add rows: those that wait at the same time share a transaction.

Each statement is a round trip, and each commit a sync to disk: together they cost one begin, one
commit, and one look-up of what all of them need.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tenantry.core.db.base import Work

_AT_ONCE = 2
_LARGEST_GROUP = 64


@dataclass(slots=True, frozen=True)
class Outcome:
    """What came of a work: its value, or the error that it raised."""

    value: Any = None
    error: Exception | None = None


@dataclass(slots=True, frozen=True, eq=False)
class _Job:
    work: Work[Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class Groups:
    """Takes works of event loops, and runs those that wait as one, two such groups at a time.

    `run` returns what came of each work, and raises nothing.
    """

    def __init__(self, run: Callable[[list[Work[Any]]], list[Outcome]], threads: ThreadPoolExecutor) -> None:
        self._run = run
        self._threads = threads
        self._waiting: deque[_Job] = deque()
        self._running = 0
        self._lock = threading.Lock()

    async def add(self, work: Work[Any]) -> Any:
        """Return what `work` returns, once it is durable; raise what it raises."""
        loop = asyncio.get_running_loop()
        job = _Job(work, loop, loop.create_future())
        with self._lock:
            self._waiting.append(job)
            starts = self._running < _AT_ONCE
            self._running += starts
        if starts:
            self._threads.submit(self._work_off)
        return await job.future

    def _work_off(self) -> None:
        while group := self._take():
            outcomes = self._run([job.work for job in group])
            for loop in {job.loop for job in group}:
                settled = [each for each in zip(group, outcomes, strict=True) if each[0].loop is loop]
                with contextlib.suppress(RuntimeError):  # a loop that is closed has nobody who waits
                    loop.call_soon_threadsafe(_settle, settled)

    def _take(self) -> list[_Job]:
        with self._lock:
            group = [self._waiting.popleft() for _ in range(min(len(self._waiting), _LARGEST_GROUP))]
            self._running -= not group
            return group


def _settle(settled: list[tuple[_Job, Outcome]]) -> None:
    for job, outcome in settled:
        if job.future.done():
            continue  # whoever asked has gone away; the work is done all the same
        if outcome.error is None:
            job.future.set_result(outcome.value)
        else:
            job.future.set_exception(outcome.error)
