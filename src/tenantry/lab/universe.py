"""One universe: a whole small server with its own data and its own clock."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import msgspec

from tenantry.core.db import Database
from tenantry.core.endpoints import Answer, Request
from tenantry.core.faces import AnswerRequest, ReadBody
from tenantry.core.http import Api
from tenantry.domains.examine import Asker
from tenantry.lab.clock import Chores, TestClock
from tenantry.lab.faults import Faults
from tenantry.lab.inbox import Inbox
from tenantry.lab.observing import Observed
from tenantry.lab.request_log import RequestLog
from tenantry.lab.zones import Others, Zones

_LEAVING_SECONDS = 5.0  # for the requests that are under way when their universe ends
_LEAVING_POLL_SECONDS = 0.01
_QUIET_SECONDS = 2.0  # after the last commit, until what goes on beside the requests may rest

Ask = Callable[[], Awaitable[Asker]]
"""Makes what asks the DNS."""


class Worker(Chores, Protocol):
    """The work beside the requests of a universe."""

    @property
    def is_running(self) -> bool:
        """Whether it is at work, and not at rest."""

    def start(self) -> None:
        """Begin, or go on after a rest."""

    async def rest(self) -> bool:
        """Stop until it is started again, unless there is something to do now; return whether it has stopped."""

    def wake(self) -> None:
        """Look now for what there is to do."""

    def held(self) -> AbstractAsyncContextManager[None]:
        """Begin nothing meanwhile but by `settle`."""


class Node(Protocol):
    """A database being served."""

    @property
    def database(self) -> Database:
        """The database."""

    @property
    def app(self) -> Api:
        """The application that answers for it."""

    @property
    def worker(self) -> Worker:
        """The work beside its requests."""

    def start(self) -> None:
        """Begin that work."""

    async def stop(self) -> None:
        """End it, and let go of the database."""


class Origin(msgspec.Struct, frozen=True):
    """What a universe is forked from and reset to: a database file that nobody changes, and its last moment."""

    name: str
    file: Path
    at: int


class Start(msgspec.Struct, frozen=True):
    """What a universe's clock shows at first, in milliseconds, and whether it stands still; None: as others do."""

    at: int | None
    frozen: bool | None


class Life:
    """A universe from its beginning, or from one reset, to the next: all that a reset forgets.

    What a part of the lab keeps for each universe stands here, and what it does around each request is put
    around `answer`.
    """

    def __init__(
        self,
        clock: TestClock,
        open_node: "Callable[[Life], Node]",
        file: Path | None = None,
        others: Others = "nxdomain",
    ) -> None:
        """`file` holds its database, deleted at its end; `others` is what names get that its DNS does not have."""
        self.clock = clock
        self._file = file
        self.zones = Zones(others)
        self.under_way = 0
        self.ended = False
        self._stirred_at = 0.0
        self._due_at: int | None = 0  # not looked at yet: what a fork begins with may be due
        self.faults = Faults()
        self.requests = RequestLog()
        self.inbox = Inbox()
        self.node = open_node(self)
        self.answer: AnswerRequest = Observed(self.node.app.answer, clock, self.faults, self.requests)

    def stop_waiting(self) -> None:
        """Answer the requests that wait."""
        self.node.app.stop_waiting()
        self.inbox.stop()

    async def end(self, changing: asyncio.Lock, *files: Path) -> None:
        """Let go of it all, and delete `files` too.

        That is when the requests that are under way have their answers, or have had their time, and when
        what holds `changing` is through.
        """
        self.ended = True
        self.stop_waiting()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LEAVING_SECONDS):
                while self.under_way:  # noqa: ASYNC110 (requests do not tell when they end)
                    await asyncio.sleep(_LEAVING_POLL_SECONDS)
        await asyncio.sleep(0)  # look-ups of this turn of the event loop share a transaction
        async with changing:
            await self.node.stop()
        # In a thread: to free what is large takes as long as to copy it.
        await asyncio.to_thread(_delete, *files, *(() if self._file is None else (self._file,)))

    def listen(self) -> None:
        """Be at work from each commit on, until `look_after` puts it to rest: on the running event loop."""
        loop, own_thread = asyncio.get_running_loop(), threading.get_ident()

        def stir() -> None:
            if threading.get_ident() == own_thread:
                self._stir()
                return
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._stir)

        self.node.database.commits.listen(stir)

    def _stir(self) -> None:
        worker, self._stirred_at = self.node.worker, asyncio.get_running_loop().time()
        if worker.is_running:
            worker.wake()
        elif not self.ended:
            worker.start()

    async def look_after(self) -> None:
        """Let what goes on beside the requests rest while there is nothing to do: loops would go on looking."""
        worker = self.node.worker
        if worker.is_running:
            quiet = asyncio.get_running_loop().time() - self._stirred_at
            # It may have ended while its work came to rest: then its database is being closed.
            if quiet > _QUIET_SECONDS and await worker.rest() and not self.ended:
                self._due_at = await worker.next_due()
        elif self._due_at is not None and self.clock() >= self._due_at:
            worker.start()


class Universe:
    """One universe: what names it, and its life.

    `main` has no origin: it is what the server serves to its own key, whatever database that is.
    """

    def __init__(
        self,
        identity: str,
        life: Life,
        *,
        created_at: int,
        name: str | None = None,
        origin: Origin | None = None,
        start: Start | None = None,
        idle_seconds: int = 0,
    ) -> None:
        """Times are by the machine's clock, in milliseconds."""
        self.id = identity
        self.life = life
        self.name = name
        self.origin = origin
        self.start = start
        self.idle_seconds = idle_seconds
        self.created_at = created_at
        self.used_at = created_at
        self.changing = asyncio.Lock()

    @property
    def clock(self) -> TestClock:
        """Its clock."""
        return self.life.clock

    @property
    def node(self) -> Node:
        """Its database being served."""
        return self.life.node

    @property
    def faults(self) -> Faults:
        """What goes wrong in it on purpose."""
        return self.life.faults

    @property
    def requests(self) -> RequestLog:
        """The log of its requests."""
        return self.life.requests

    @property
    def inbox(self) -> Inbox:
        """The webhooks that it got."""
        return self.life.inbox

    @property
    def zones(self) -> Zones:
        """Its DNS."""
        return self.life.zones

    async def answer(self, request: Request, read_body: ReadBody) -> Answer:
        """Answer a request in this universe. Raises Broken where its connection is to end instead."""
        life = self.life
        life.under_way += 1
        try:
            return await life.answer(request, read_body)
        finally:
            life.under_way -= 1

    @contextlib.asynccontextmanager
    async def standing_still(self) -> AsyncIterator[None]:
        """Hold its clock, and what goes on beside its requests, meanwhile."""
        async with self.changing, self.node.worker.held():
            ran = not self.clock.frozen
            self.clock.freeze()
            try:
                yield
            finally:
                if ran:
                    self.clock.unfreeze()


def _delete(*databases: Path) -> None:
    for database in databases:
        for end in ("", "-wal", "-shm"):
            database.with_name(database.name + end).unlink(missing_ok=True)
