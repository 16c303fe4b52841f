"""The loop that delivers: look, claim, send, record, in every server process.

Nothing is sent within a transaction. Each endpoint has only so many deliveries under way
at once, and those that are not known to be quick only a share of all, so that however
many are slow or dead, they hold up nobody else. Beside requests deliveries are begun at
an even pace, so that the requests go on as quickly as before.
"""

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import msgspec
import structlog

from tenantry.core.clock import Clock
from tenantry.core.db import Database
from tenantry.core.outgoing import Outcome, Sender
from tenantry.core.pace import Pace
from tenantry.core.signature import HEADER, signature
from tenantry.webhooks import delivery
from tenantry.webhooks.delivery import Parcel, Result

log = structlog.get_logger("tenantry.webhooks")

_INTERVAL_SECONDS = 0.25
_LEAST_REST_SECONDS = 0.005
_REST_BESIDE_REQUESTS_SECONDS = 0.008
_AFTER_FAILURE_SECONDS = 1.0
_STOP_SECONDS = 3.0
_MOST_AT_ONCE = 512  # in hand, those that wait to be sent among them
_PACE_BESIDE_REQUESTS = 1500.0  # a second
_BURST_SECONDS = 0.005
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


class _Line:
    """What this process has in hand for one endpoint: what waits to be sent, what is under way since when."""

    def __init__(self) -> None:
        self.waiting: deque[Parcel] = deque()
        self.under_way: dict[asyncio.Task[None], float] = {}
        self.most = 1
        self.begun: float | None = None

    @property
    def in_hand(self) -> int:
        return len(self.waiting) + len(self.under_way)

    def is_quick(self, now: float) -> bool:
        """Return whether the endpoint took its last delivery quickly, and none has been under way for long."""
        oldest = next(iter(self.under_way.values()), now)
        return self.most > _FEW_AT_ONCE and (now - oldest) * 1000 < _QUICK_MILLISECONDS

    def room(self, now: float, concurrency: int) -> int:
        """Return how many may be under way at once."""
        return min(self.most, concurrency if self.is_quick(now) else _FEW_AT_ONCE)

    def learn(self, outcome: Outcome) -> None:
        """Take in how the endpoint took a delivery."""
        if not outcome.delivered:
            self.most = 1
        elif outcome.latency_ms < _QUICK_MILLISECONDS:
            self.most = max(self.most, _FEW_AT_ONCE) + 1
        else:
            self.most = _FEW_AT_ONCE


class Dispatcher:
    """Delivers what is owed until it is stopped. `is_asked` tells whether requests come in meanwhile."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        chance: Callable[[], float],
        options: Options,
        connect: Callable[[], Awaitable[Sender]],
        is_asked: Callable[[], bool],
    ) -> None:
        self._database = database
        self._at_once = delivery.AT_ONCE[database.engine]
        self._clock = clock
        self._chance = chance
        self._options = options
        self._connect = connect
        self._sender: Sender | None = None
        self._is_asked = is_asked
        self._pace = Pace(_PACE_BESIDE_REQUESTS, _BURST_SECONDS)
        self._lines: defaultdict[str, _Line] = defaultdict(_Line)
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
            await asyncio.sleep(_REST_BESIDE_REQUESTS_SECONDS if self._is_asked() else _LEAST_REST_SECONDS)

    @property
    def is_idle(self) -> bool:
        """Whether no delivery is under way, and none waits to be recorded."""
        return not self._tasks and not self._finished

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
        await self._release(list(self._lines.values()))  # or what ends would begin the next
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_SECONDS)
        for task in self._tasks:
            task.cancel()
        await self._record()
        if self._sender is not None:
            await self._sender.close()

    async def _turn(self) -> bool:
        """Record what is through and begin what is due; return whether anything was found to do.

        What is written is asked for at once: SQLite makes one transaction of it.
        """
        found = await self._database.read_soon(delivery.waiting)
        rooms = self._rooms(found.endpoints)
        now = asyncio.get_running_loop().time()
        slow = [line for line in self._lines.values() if line.waiting and not line.is_quick(now)]
        write = self._database.write_soon
        fanning = [write(partial(delivery.fan_out, environment_id=each)) for each in found.environments]
        claiming = asyncio.ensure_future(self._claim(rooms))
        await asyncio.gather(self._record(), self._release(slow), *fanning, claiming)
        parcels = claiming.result()
        if parcels and self._sender is None:
            self._sender = await self._connect()
        for parcel in parcels:
            self._lines[parcel.endpoint_id].waiting.append(parcel)
        for endpoint_id in rooms:
            self._advance(self._lines[endpoint_id])
        if found.environments:
            self._woken.set()
        return bool(found.environments or rooms)

    def _rooms(self, endpoints: list[str]) -> dict[str, int]:
        """Return how many more deliveries may be claimed for each endpoint, those with the fewest in hand first.

        Those that are quick get equal parts of what is free, and one part stays free for who comes next. Of
        theirs as many are claimed ahead as may be under way: the next is at hand when one is through.
        """
        now = asyncio.get_running_loop().time()
        lines = self._lines
        free = _MOST_AT_ONCE - sum(line.in_hand for line in lines.values())
        doubtful = sum(min(len(line.under_way), _FEW_AT_ONCE) for line in lines.values() if not line.is_quick(now))
        quick = {each for each in endpoints if lines[each].is_quick(now)}
        part = free // (len(quick) + 1)
        rooms = {}
        for endpoint_id in sorted(endpoints, key=self._order):
            line = lines[endpoint_id]
            most = line.room(now, self._options.concurrency)
            if endpoint_id in quick:
                room = min(2 * most - line.in_hand, self._at_once, max(part, 1 - line.in_hand), free)
            else:
                share = _UNTRIED_AT_ONCE if line.begun is None else _TRIED_AT_ONCE
                room = min(most - line.in_hand, share - doubtful, free)
                doubtful += max(0, room)
            if room > 0:
                rooms[endpoint_id] = room
                free -= room
        return rooms

    def _order(self, endpoint_id: str) -> tuple[int, float]:
        """Return what sorts those first that have the fewest in hand, then those not begun for the longest."""
        line = self._lines[endpoint_id]
        return line.in_hand, line.begun or 0.0

    async def _claim(self, rooms: dict[str, int]) -> list[Parcel]:
        if not rooms:
            return []
        lease = round((self._options.timeout + _LEASE_SLACK_SECONDS) * 1000)
        return await self._database.write_soon(lambda tx: delivery.claim(tx, rooms, lease))

    async def _release(self, lines: list[_Line]) -> None:
        """Let what waits to be sent be due again, for this process or another."""
        parcels = [parcel for line in lines for parcel in line.waiting]
        for line in lines:
            line.waiting.clear()
        if parcels:
            await self._database.write_soon(lambda tx: delivery.release(tx, parcels))

    def _advance(self, line: _Line) -> None:
        """Begin what waits, as far as there is room."""
        loop = asyncio.get_running_loop()
        room = line.room(loop.time(), self._options.concurrency)
        while line.waiting and len(line.under_way) < room:
            parcel = line.waiting.popleft()
            task = loop.create_task(self._deliver(parcel, line))
            line.begun = line.under_way[task] = loop.time()
            self._tasks.add(task)
            task.add_done_callback(partial(self._end, parcel, line))

    def _end(self, parcel: Parcel, line: _Line, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        del line.under_way[task]
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            log.error("delivery failed", delivery=parcel.delivery_id, exc_info=error)
        self._advance(line)
        self._woken.set()

    async def _deliver(self, parcel: Parcel, line: _Line) -> None:
        """Send a parcel signed by its newest secret; when that is refused and an older one counts, by that."""
        assert self._sender is not None
        if self._is_asked():
            await self._pace.turn()
        outcome = Outcome(None, 0)
        for secret in parcel.secrets:
            headers = {HEADER: signature(secret, self._clock(), parcel.body)}
            outcome = await self._sender.send(parcel.url, parcel.body, headers)
            if outcome.delivered or outcome.status is None:
                break
        line.learn(outcome)
        self._finished.append(Result(parcel, outcome, self._chance()))

    async def _record(self) -> None:
        finished, self._finished = self._finished, []
        some = [finished[at : at + self._at_once] for at in range(0, len(finished), self._at_once)]
        await asyncio.gather(*(self._record_some(results) for results in some))

    async def _record_some(self, results: list[Result]) -> None:
        """Record some results, which stay when that fails."""
        try:
            await self._database.write_soon(lambda tx: delivery.record(tx, results, self._options.waits))
        except BaseException:
            self._finished = results + self._finished
            raise
