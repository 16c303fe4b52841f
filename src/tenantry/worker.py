"""The background loop: small chores beside the requests, in every server process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import structlog

from tenantry.audit_logs import checkpoints, exports, following, partitions, sealing
from tenantry.audit_logs import service as audit_logs
from tenantry.audit_logs.exporter import Exporter
from tenantry.audit_logs.following import Chosen
from tenantry.audit_logs.streams import delivery as streams
from tenantry.audit_logs.streams.shipping import Shipper
from tenantry.core import idempotency
from tenantry.core.db import Database, Transaction, Work
from tenantry.core.db.statistics import analyze, never_analyzed
from tenantry.domains import checks
from tenantry.domains.checker import Checker
from tenantry.environments import service as environments
from tenantry.environments.service import KeyUses
from tenantry.events import service as events
from tenantry.organizations import metadata_keys
from tenantry.webhooks import delivery
from tenantry.webhooks.dispatch import Dispatcher

log = structlog.get_logger("tenantry.worker")

_USES_SECONDS = 5.0
_STATISTICS_SECONDS = 1.0
_PRUNE_SECONDS = 60.0
_METADATA_SECONDS = 1.0
_FOLLOW_SECONDS = 0.25
_SEAL_SECONDS = 0.25
_SIGN_SECONDS = 10.0
_PAUSE_SECONDS = 0.02  # between two parts of a long work, for the requests that wait

Chore = Callable[[], Awaitable[None]]


class Worker:
    """Runs chores at intervals until it is stopped."""

    def __init__(
        self,
        database: Database,
        uses: KeyUses,
        dispatcher: Dispatcher,
        checker: Checker,
        exporter: Exporter,
        shipper: Shipper,
        *,
        event_retention_days: int,
        attempt_retention_days: int,
        signing_key: bytes | None,
        own_changes: Chosen,
    ) -> None:
        self._database = database
        self._uses = uses
        self._dispatcher = dispatcher
        self._checker = checker
        self._exporter = exporter
        self._shipper = shipper
        self._event_retention_days = event_retention_days
        self._attempt_retention_days = attempt_retention_days
        self._signing_key = signing_key
        self._own_changes = own_changes
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_running(self) -> bool:
        """Whether it was started, and neither stopped nor put to rest."""
        return bool(self._tasks)

    def start(self) -> None:
        """Begin, on the running event loop. It may be at rest."""
        chores = (
            (_USES_SECONDS, self._record_uses),
            (_STATISTICS_SECONDS, self._analyze),
            (_PRUNE_SECONDS, self._prune),
            (_METADATA_SECONDS, self._index_metadata),
            (_FOLLOW_SECONDS, self._follow),
            (_SEAL_SECONDS, self._seal),
            (_SIGN_SECONDS, self._sign),
        )
        for seconds, chore in chores:
            self._tasks.append(asyncio.get_running_loop().create_task(_repeat(seconds, chore)))
        loops = (self._dispatcher.run(), self._checker.run(), self._exporter.run(), self._shipper.run())
        for loop in loops:
            self._tasks.append(asyncio.get_running_loop().create_task(loop))

    async def stop(self) -> None:
        """Stop, and write what is still in memory."""
        await self._end_tasks()
        await self._dispatcher.stop()
        await self._checker.stop()
        await self._shipper.stop()
        await self._record_uses()

    async def rest(self) -> bool:
        """Stop until it is started again, unless there is something to do now; return whether it has stopped.

        Nothing falls due then but at `next_due`, or by what somebody writes.
        """
        async with self.held():
            is_idle = self._dispatcher.is_idle and self._checker.is_idle
            if not is_idle or await self._database.read_soon(self._has_work):
                return False
            await self._end_tasks()
            return True

    def _has_work(self, tx: Transaction) -> bool:
        owed = delivery.waiting(tx)
        return bool(
            owed.environments
            or owed.endpoints
            or checks.any_due(tx)
            or exports.has_pending(tx)
            or metadata_keys.at_work(tx)
            or sealing.pending(tx)
            or following.waiting(tx, self._own_changes)
        )

    async def _end_tasks(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def wake(self) -> None:
        """Look now for deliveries to make, domains to check and log streams to feed."""
        self._dispatcher.wake()
        self._checker.wake()
        self._shipper.wake()

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Begin no delivery, no check and no batch meanwhile but by `settle`."""
        async with self._dispatcher.held(), self._checker.held(), self._shipper.held():
            yield

    async def settle(self) -> None:
        """Do all that is due now, and return when what came of it is recorded. Only while `held`.

        A check may make events to deliver; a delivery makes nothing to check. Audit log events are sealed
        before they are sent.
        """
        await self._checker.settle()
        await self._dispatcher.settle()
        await self._seal()
        await self._shipper.settle()

    async def next_due(self) -> int | None:
        """Return when the next delivery, check or batch is due, in milliseconds; None when nothing is owed."""
        return await self._database.read_soon(_next_due)

    async def catch_up(self) -> None:
        """Do what else is done now and then: follow, seal, sign, index, and delete what is past its time."""
        await self._follow()
        await self._seal()
        await self._sign()
        await self._index_metadata()
        await self._prune()

    async def _record_uses(self) -> None:
        uses = self._uses.take()
        if uses:
            await self._database.write_soon(lambda tx: environments.record_uses(tx, uses))

    async def _analyze(self) -> None:
        # In a thread: to ask for a table's size waits for whoever has it locked.
        for table in await self._database.read_soon(never_analyzed, scans=True):
            await self._database.write_soon(partial(analyze, table=table), scans=True)

    async def _prune(self) -> None:
        await self._until_done(idempotency.prune)
        await self._until_done(lambda tx: events.prune(tx, self._event_retention_days))
        await self._until_done(lambda tx: delivery.prune(tx, self._event_retention_days))
        await self._until_done(lambda tx: checks.prune(tx, self._attempt_retention_days))
        await self._seal()  # what is not sealed is not deleted
        await self._until_done(lambda tx: audit_logs.prune(tx, self._signing_key))
        await self._until_done(exports.prune)
        await asyncio.to_thread(partitions.maintain, self._database)

    async def _follow(self) -> None:
        waiting = partial(following.waiting, chosen=self._own_changes)
        while some := await self._database.read_soon(waiting):
            for environment_id in some:
                await self._database.write_soon(
                    partial(following.follow, environment_id=environment_id, chosen=self._own_changes)
                )
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _seal(self) -> None:
        if await self._database.read_soon(sealing.pending):
            await self._until_done(sealing.seal)

    async def _sign(self) -> None:
        await self._until_done(lambda tx: checkpoints.sign_due(tx, self._signing_key))

    async def _index_metadata(self) -> None:
        for environment_id, key in await self._database.read_soon(metadata_keys.at_work):
            advance = partial(metadata_keys.advance, environment_id=environment_id, key=key)
            while await self._database.write_soon(advance, scans=True):  # noqa: ASYNC110 (it waits for nothing: a pause)
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _until_done(self, part: Work[object]) -> None:
        """Do the parts of a long work, each a transaction of its own, until one says that there was nothing."""
        while await self._database.write_soon(part, scans=True):
            pass


def _next_due(tx: Transaction) -> int | None:
    due = (delivery.next_due(tx), checks.next_due(tx), streams.next_due(tx))
    return min((each for each in due if each is not None), default=None)


async def _repeat(seconds: float, chore: Chore) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await chore()
        except Exception as error:
            log.error("chore failed", chore=chore.__name__, exc_info=error)
