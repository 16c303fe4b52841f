"""The loop that delivers: look, claim, send, record, in every server process.

Nothing is sent within a transaction. Each endpoint has only so many deliveries under way
at once, and those that are not known to be quick only a share of all, so that however
many are slow or dead, they hold up nobody else.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import msgspec
import structlog

from tenantry.core.clock import Clock
from tenantry.core.db import Database
from tenantry.core.outgoing import Outcome, Sender
from tenantry.core.signature import HEADER, signature
from tenantry.webhooks import delivery
from tenantry.webhooks.delivery import Parcel, Result

log = structlog.get_logger("tenantry.webhooks")

_INTERVAL_SECONDS = 0.25
_LEAST_REST_SECONDS = 0.002
_AFTER_FAILURE_SECONDS = 1.0
_STOP_SECONDS = 3.0
_MOST_AT_ONCE = 512
_STARTED_AT_ONCE = 4
# An endpoint has one delivery at once until it takes one, then a few. Each that it takes quickly is room
# for another; one that is slow, from the moment at which it is, takes it back to the few, a failure to one.
_FEW_AT_ONCE = 4
_QUICK_MILLISECONDS = 1000
# Deliveries to endpoints not known to be quick are begun while only so many of them are under way: fewer for
# endpoints tried before, so that new ones find out soon, and what is left is for those that are quick.
_TRIED_AT_ONCE = 192
_UNTRIED_AT_ONCE = 384
_LEASE_SLACK_SECONDS = 10.0


class Options(msgspec.Struct, frozen=True):
    """How to deliver: the waits between attempts, one attempt's time, how many at once to one endpoint."""

    waits: tuple[float, ...]
    timeout: float
    concurrency: int


class Dispatcher:
    """Delivers what is owed until it is stopped."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        chance: Callable[[], float],
        options: Options,
        connect: Callable[[], Awaitable[Sender]],
    ) -> None:
        self._database = database
        self._clock = clock
        self._chance = chance
        self._options = options
        self._connect = connect
        self._sender: Sender | None = None
        self._under_way: dict[str, dict[asyncio.Task[None], float]] = {}
        self._begun: dict[str, float] = {}
        self._most: dict[str, int] = {}
        self._finished: list[Result] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._turning = asyncio.Lock()

    async def run(self) -> None:
        """Deliver, until cancelled."""
        while True:
            try:
                async with self._turning:
                    await self._turn()
            except Exception as error:
                log.error("deliveries failed", exc_info=error)
                await asyncio.sleep(_AFTER_FAILURE_SECONDS)
            # Not `wait_for`, which before Python 3.12 may lose the cancellation that ends this loop.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_INTERVAL_SECONDS):
                    await self._woken.wait()
            self._woken.clear()
            await asyncio.sleep(_LEAST_REST_SECONDS)

    def wake(self) -> None:
        """Look now: there may be something to deliver."""
        self._woken.set()

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Begin no delivery meanwhile but by `settle`."""
        async with self._turning:
            yield

    async def settle(self) -> None:
        """Deliver all that is due now, and return when what came of it is recorded. Only while `held`."""
        while await self._turn() or self._tasks or self._finished:
            if self._tasks:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def stop(self) -> None:
        """Wait a little for what is under way and record it. What is not through by then is sent anew later."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_SECONDS)
        for task in self._tasks:
            task.cancel()
        await self._record()
        if self._sender is not None:
            await self._sender.close()

    async def _turn(self) -> bool:
        """Record what is through and begin what is due; return whether anything was found to do."""
        found, _ = await asyncio.gather(self._database.read_soon(delivery.waiting), self._record())
        for environment_id in found.environments:
            await self._database.write_soon(partial(delivery.fan_out, environment_id=environment_id))
            self._woken.set()
        rooms = self._rooms(found.endpoints)
        if not any(rooms.values()):
            return bool(found.environments)
        lease = round((self._options.timeout + _LEASE_SLACK_SECONDS) * 1000)
        parcels = await self._database.write_soon(lambda tx: delivery.claim(tx, rooms, lease))
        if parcels and self._sender is None:
            self._sender = await self._connect()
        for index, parcel in enumerate(parcels):
            if index % _STARTED_AT_ONCE == 0:
                await asyncio.sleep(0)  # requests have their turn in between
            self._start(parcel)
        return True

    def _rooms(self, endpoints: list[str]) -> dict[str, int]:
        """Return how many more deliveries may be under way to each endpoint, those with the fewest first.

        Those that are quick get equal parts of what is free, and one part stays free for who comes next.
        """
        now = asyncio.get_running_loop().time()
        free = _MOST_AT_ONCE - len(self._tasks)
        doubtful = sum(
            min(len(tasks), _FEW_AT_ONCE)
            for each, tasks in self._under_way.items()
            if not self._is_quick(each, now)
        )
        quick = {each for each in endpoints if self._is_quick(each, now)}
        part = free // (len(quick) + 1)
        rooms = {}
        for endpoint_id in sorted(endpoints, key=self._order):
            under_way = len(self._under_way.get(endpoint_id, ()))
            most = min(self._options.concurrency, self._most.get(endpoint_id, 1))
            if endpoint_id in quick:
                room = min(most - under_way, max(part, 1 - under_way), free)
            else:
                share = _TRIED_AT_ONCE if endpoint_id in self._begun else _UNTRIED_AT_ONCE
                room = min(min(most, _FEW_AT_ONCE) - under_way, share - doubtful, free)
                doubtful += max(0, room)
            if room > 0:
                rooms[endpoint_id] = room
                free -= room
        return rooms

    def _order(self, endpoint_id: str) -> tuple[int, float]:
        """Return what sorts those first that have the fewest under way, then those not begun for the longest."""
        return len(self._under_way.get(endpoint_id, ())), self._begun.get(endpoint_id, 0.0)

    def _is_quick(self, endpoint_id: str, now: float) -> bool:
        """Return whether an endpoint took its last delivery quickly, and none has been under way for long."""
        oldest = next(iter(self._under_way.get(endpoint_id, {}).values()), now)
        most = self._most.get(endpoint_id, 1)
        return most > _FEW_AT_ONCE and (now - oldest) * 1000 < _QUICK_MILLISECONDS

    def _start(self, parcel: Parcel) -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._deliver(parcel))
        self._begun[parcel.endpoint_id] = loop.time()
        self._under_way.setdefault(parcel.endpoint_id, {})[task] = loop.time()
        self._tasks.add(task)
        task.add_done_callback(partial(self._end, parcel))

    def _end(self, parcel: Parcel, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        del self._under_way[parcel.endpoint_id][task]
        if not self._under_way[parcel.endpoint_id]:
            del self._under_way[parcel.endpoint_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("delivery failed", delivery=parcel.delivery_id, exc_info=error)
        self._woken.set()

    async def _deliver(self, parcel: Parcel) -> None:
        """Send a parcel signed by its newest secret; when that is refused and an older one counts, by that."""
        assert self._sender is not None
        outcome = Outcome(None, 0)
        for secret in parcel.secrets:
            headers = {HEADER: signature(secret, self._clock(), parcel.body)}
            outcome = await self._sender.send(parcel.url, parcel.body, headers)
            if outcome.delivered or outcome.status is None:
                break
        self._learn(parcel.endpoint_id, outcome)
        self._finished.append(Result(parcel, outcome, self._chance()))

    def _learn(self, endpoint_id: str, outcome: Outcome) -> None:
        if not outcome.delivered:
            self._most.pop(endpoint_id, None)
        elif outcome.latency_ms < _QUICK_MILLISECONDS:
            self._most[endpoint_id] = self._most.get(endpoint_id, _FEW_AT_ONCE) + 1
        else:
            self._most[endpoint_id] = _FEW_AT_ONCE

    async def _record(self) -> None:
        finished, self._finished = self._finished, []
        if not finished:
            return
        try:
            await self._database.write_soon(lambda tx: delivery.record(tx, finished, self._options.waits))
        except BaseException:
            self._finished = finished + self._finished
            raise
