"""The loop that checks domains: look, claim, ask, record, in every server process.

Nothing is asked within a transaction. How fast questions go out is the resolver's pace; here only so
many checks are under way at once that none waits in its queue until its lease has run out.
"""

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from itertools import groupby

import structlog

from tenantry.core.clock import Clock
from tenantry.core.db import Database
from tenantry.domains import checks
from tenantry.domains.checks import Check, Result, Rules
from tenantry.domains.examine import Asker, ResolverOptions, examine
from tenantry.domains.service import Refresh

log = structlog.get_logger("tenantry.domains")

_INTERVAL_SECONDS = 0.25
_BUSY_SECONDS = 0.05  # what is through by then is recorded together: each commit costs those who read
_AFTER_FAILURE_SECONDS = 1.0
_LEASE_MILLISECONDS = 5 * 60 * 1000
_RECORDED_AT_ONCE = 32
_PART = 8  # of these, or a few more; requests have their turn between two parts


def dns_asker(options: ResolverOptions) -> Callable[[], Awaitable[Asker]]:
    """Return what makes the resolver, whose library is loaded then: it would cost everybody some 6 MiB."""

    async def connect() -> Asker:
        resolver = await asyncio.to_thread(importlib.import_module, "tenantry.domains.resolver")
        asker: Asker = resolver.Resolver(options)
        return asker

    return connect


class Checker:
    """Asks the DNS about the domains that are due, until it is stopped."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        chance: Callable[[], float],
        rules: Rules,
        refresh: Refresh,
        connect: Callable[[], Awaitable[Asker]],
        at_once: int,
    ) -> None:
        self._database = database
        self._clock = clock
        self._chance = chance
        self._rules = rules
        self._refresh = refresh
        self._connect = connect
        self._at_once = at_once
        self._asker: Asker | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._finished: list[Result] = []
        self._woken = asyncio.Event()
        self._turning = asyncio.Lock()

    async def run(self) -> None:
        """Check, until cancelled."""
        while True:
            try:
                async with self._turning:
                    await self._turn()
            except Exception as error:
                log.error("checks of domains failed", exc_info=error)
                await asyncio.sleep(_AFTER_FAILURE_SECONDS)
            # Not `wait_for`, which before Python 3.12 may lose the cancellation that ends this loop.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._woken.wait()
            self._woken.clear()

    @property
    def is_idle(self) -> bool:
        """Whether no check is under way, and none waits to be recorded."""
        return not self._tasks and not self._finished

    def wake(self) -> None:
        """Look now: there may be a domain to check."""
        self._woken.set()

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Begin no check meanwhile but by `settle`."""
        async with self._turning:
            yield

    async def settle(self) -> None:
        """Make all checks that are due now, and return when they are recorded. Only while `held`."""
        while await self._turn() or self._tasks or self._finished:
            if self._tasks:
                await asyncio.wait(self._tasks)

    async def stop(self) -> None:
        """Let go of what is under way, which is due again when its lease ends, and record the rest."""
        for task in self._tasks:
            task.cancel()
        while self._finished:
            await self._record()

    def _pause(self) -> float:
        if len(self._finished) >= _RECORDED_AT_ONCE:
            return 0
        return _BUSY_SECONDS if self._tasks or self._finished else _INTERVAL_SECONDS

    async def _turn(self) -> bool:
        """Record what is through and begin what is due; return whether anything was begun."""
        # Asked for together, SQLite makes them one transaction.
        recorded, claimed = await asyncio.gather(self._record(), self._claim(), return_exceptions=True)
        if isinstance(claimed, BaseException):
            raise claimed
        if claimed and self._asker is None:
            self._asker = await self._connect()
        for check in claimed:
            self._start(check)
        if recorded is not None:
            raise recorded
        return bool(claimed)

    async def _claim(self) -> list[Check]:
        # Those that wait to be recorded count too: a slow database slows the questions down.
        free = self._at_once - len(self._tasks) - len(self._finished)
        if free <= 0 or not await self._database.read_soon(checks.any_due):
            return []
        return await self._database.write_soon(lambda tx: checks.claim(tx, free, _LEASE_MILLISECONDS))

    def _start(self, check: Check) -> None:
        task = asyncio.get_running_loop().create_task(self._examine(check))
        self._tasks.add(task)
        task.add_done_callback(partial(self._end, check))

    def _end(self, check: Check, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("check of a domain failed", domain=check.expected.domain, exc_info=error)

    async def _examine(self, check: Check) -> None:
        assert self._asker is not None
        examination = await examine(self._asker, check.expected, self._clock)
        self._finished.append(Result(check, examination, self._chance()))

    async def _record(self) -> None:
        """Record the first of what is through; what fails to be recorded stays. Raises what the database did."""
        some = self._finished[:_RECORDED_AT_ONCE]
        parts = _parts(some)
        outcomes = await asyncio.gather(*map(self._record_part, parts), return_exceptions=True)
        failed = [part for part, outcome in zip(parts, outcomes, strict=True) if outcome is not None]
        self._finished[: len(some)] = [result for part in failed for result in part]
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def _record_part(self, part: list[Result]) -> None:
        await self._database.write_soon(lambda tx: checks.record(tx, part, self._rules, self._refresh))


def _parts(results: list[Result]) -> list[list[Result]]:
    """Return the results in parts, those of one organization in one: two that write it at once would collide."""
    parts: list[list[Result]] = []
    for _, of_one in groupby(sorted(results, key=_organization), _organization):
        if not parts or len(parts[-1]) >= _PART:
            parts.append([])
        parts[-1] += of_one
    return parts


def _organization(result: Result) -> str:
    return result.check.organization_id
