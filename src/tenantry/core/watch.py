"""Waiting for what a database comes to hold: on the event loop, without a thread, a connection or a transaction.

Any number of requests wait; one task looks for all of them, once for each subject: when
this process has committed a write, and every so often, since another may have.
"""

import asyncio
import contextlib
from collections.abc import Callable, Hashable
from typing import Any

import msgspec
import structlog

from tenantry.core.db import Database, Transaction, Work

_INTERVAL_SECONDS = 0.25
_LEAST_REST_SECONDS = 0.005
_REST_SHARE = 4  # the task rests four times as long as it looked: it takes a fifth of the event loop at most
_MOST_REST_SECONDS = 1.0
_LOOKED_AT_ONCE = 50

log = structlog.get_logger("tenantry.watch")


def rest_after(seconds: float) -> float:
    """Seconds of rest after a look that took `seconds`.

    No longer than one: what a look takes while the database stands still is no work of the
    event loop, and those who wait should not wait for it five times.
    """
    return min(max(_LEAST_REST_SECONDS, _REST_SHARE * seconds), _MOST_REST_SECONDS)


class News(msgspec.Struct, frozen=True):
    """What came after a place: the items, the place past which to look next, and whether there is more."""

    items: list[Any]
    place: Any
    more: bool


class Subject(msgspec.Struct, frozen=True):
    """What can be waited for: `look` tells what came after a place; equal keys share one look.

    Places are compared: a later one is greater.
    """

    key: Hashable
    look: Callable[[Transaction, Any], News]


class _Waiter(msgspec.Struct, eq=False):
    woken: "asyncio.Future[None]"
    wanted: Callable[[Any], bool]

    def wake(self) -> None:
        if not self.woken.done():
            self.woken.set_result(None)


class _Watched:
    """A subject, how far it was looked at, and who waits."""

    def __init__(self, subject: Subject, place: Any) -> None:
        self._subject = subject
        self.place = place
        self.waiters: set[_Waiter] = set()

    def look(self, tx: Transaction) -> News:
        return self._subject.look(tx, self.place)

    def tell(self, news: News) -> None:
        self.place = news.place
        for waiter in list(self.waiters):
            if news.more or any(waiter.wanted(item) for item in news.items):
                waiter.wake()


class Watch:
    """Lets requests wait. It belongs to one event loop and is at rest while nobody waits."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._subjects: dict[Hashable, _Watched] = {}
        self._committed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._fails = False
        self.stopped = False

    async def wait(self, subject: Subject, place: Any, wanted: Callable[[Any], bool], seconds: float) -> None:
        """Return when something `wanted` may have come after `place`, or after `seconds`.

        `place` is how far the caller has looked itself. It looks again whatever the
        reason: this may return early, never late. Returns at once when stopped.
        """
        watched = self._subjects.get(subject.key)
        if self.stopped or (watched is not None and watched.place > place):
            return
        if watched is None:
            watched = self._subjects[subject.key] = _Watched(subject, place)
            self._committed.set()
        loop = asyncio.get_running_loop()
        waiter = _Waiter(loop.create_future(), wanted)
        timer = loop.call_later(seconds, waiter.wake)
        watched.waiters.add(waiter)
        self._start()
        try:
            await waiter.woken
        finally:
            timer.cancel()
            watched.waiters.discard(waiter)
            if not watched.waiters and self._subjects.get(subject.key) is watched:
                del self._subjects[subject.key]

    def stop(self) -> None:
        """Wake all who wait, and let nobody wait any more: the server is about to stop."""
        self.stopped = True
        for watched in list(self._subjects.values()):
            for waiter in list(watched.waiters):
                waiter.wake()

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._look_while_anyone_waits())

    async def _look_while_anyone_waits(self) -> None:
        loop = asyncio.get_running_loop()

        def ring() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(self._committed.set)

        self._database.commits.listen(ring)
        try:
            patience = _LEAST_REST_SECONDS
            while self._subjects and not self.stopped:
                # What was committed may have to wait for a transaction begun before it, of any
                # process: so after a commit it is looked often, and then less and less.
                patience = (
                    _LEAST_REST_SECONDS if self._committed.is_set() else min(2 * patience, _INTERVAL_SECONDS)
                )
                self._committed.clear()
                began = loop.time()
                await self._look()
                await asyncio.sleep(rest_after(loop.time() - began))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._committed.wait(), patience)
        finally:
            self._database.commits.leave(ring)

    async def _look(self) -> None:
        every = list(self._subjects.values())
        for first in range(0, len(every), _LOOKED_AT_ONCE):
            some = every[first : first + _LOOKED_AT_ONCE]
            try:
                found = await self._database.read_soon(_look_at(some))
            except Exception as error:
                # Those who wait look themselves when their time is up, and are told then.
                if not self._fails:
                    log.warning("cannot look", exc_info=error)
                self._fails = True
                return
            self._fails = False
            for watched, news in zip(some, found, strict=True):
                watched.tell(news)
            await asyncio.sleep(0)


def _look_at(some: list[_Watched]) -> Work[list[News]]:
    return lambda tx: [watched.look(tx) for watched in some]
