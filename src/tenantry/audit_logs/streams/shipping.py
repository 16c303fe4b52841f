"""The loop that sends batches to streams: look, claim, read, send, record, in every server process.

Nothing is sent within a transaction. A stream has one batch under way at once, and each grade of
streams has places of its own: however many are slow or dead, they hold up no other.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial

import structlog

from tenantry.audit_logs.streams import delivery
from tenantry.audit_logs.streams.batches import Batch
from tenantry.audit_logs.streams.delivery import Parcel, Result
from tenantry.audit_logs.streams.kinds import KINDS, decode
from tenantry.audit_logs.streams.policy import Grade
from tenantry.core.clock import Clock
from tenantry.core.db import Database
from tenantry.core.outgoing import Sender

log = structlog.get_logger("tenantry.audit_logs.streams")

_INTERVAL_SECONDS = 0.5
_LEAST_REST_SECONDS = 0.01
_AFTER_FAILURE_SECONDS = 1.0
_STOP_SECONDS = 3.0
_LEASE_SLACK_SECONDS = 10.0
_READ_AT_ONCE = 200

# A batch under way takes some MiB, so these bound memory too. Tests share the places of untried streams.
PLACES: Mapping[Grade, int] = {"quick": 16, "slow": 8, "untried": 8, "failing": 8, "dead": 8}


class Shipper:
    """Sends what is due until it is stopped."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        chance: Callable[[], float],
        timeout: float,
        connect: Callable[[], Awaitable[Sender]],
    ) -> None:
        """`timeout` is the seconds that a receiver has to answer."""
        self._database = database
        self._clock = clock
        self._chance = chance
        self._lease = round((timeout + _LEASE_SLACK_SECONDS) * 1000)
        self._connect = connect
        self._sender: Sender | None = None
        self._under_way: dict[asyncio.Task[None], Grade] = {}
        self._woken = asyncio.Event()
        self._turning = asyncio.Lock()

    async def run(self) -> None:
        """Send, until cancelled."""
        while True:
            try:
                async with self._turning:
                    await self._turn()
            except Exception as error:
                log.error("log streams failed", exc_info=error)
                await asyncio.sleep(_AFTER_FAILURE_SECONDS)
            # Not `wait_for`, which before Python 3.12 may lose the cancellation that ends this loop.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_INTERVAL_SECONDS):
                    await self._woken.wait()
            self._woken.clear()
            await asyncio.sleep(_LEAST_REST_SECONDS)

    def wake(self) -> None:
        """Look now: there may be something to send."""
        self._woken.set()

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Begin nothing meanwhile but by `settle`."""
        async with self._turning:
            yield

    async def settle(self) -> None:
        """Send all that is due now, and return when what came of it is recorded. Only while `held`."""
        while await self._turn() or self._under_way:
            if self._under_way:
                await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)

    async def stop(self) -> None:
        """Wait a little for what is under way. What is not through by then is sent again when its lease ends."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=_STOP_SECONDS)
        for task in self._under_way:
            task.cancel()
        if self._sender is not None:
            await self._sender.close()

    async def _turn(self) -> bool:
        """Begin what is due and has a place; return whether anything was."""
        waiting = await self._database.read_soon(delivery.waiting)
        rooms = {grade: room for grade in waiting.grades if (room := self._room(grade)) > 0}
        parcels: list[Parcel] = []
        if rooms:
            claim = partial(delivery.claim, rooms=rooms, lease_milliseconds=self._lease)
            parcels = await self._database.write_soon(claim, scans=True)
        if waiting.tests and (room := self._room("untried") - _count(parcels, "untried")) > 0:
            parcels += await self._database.write_soon(lambda tx: delivery.claim_tests(tx, room, self._lease))
        if parcels and self._sender is None:
            self._sender = await self._connect()
        for parcel in parcels:
            task = asyncio.get_running_loop().create_task(self._ship(parcel))
            self._under_way[task] = "untried" if parcel.end is None else parcel.stream.grade
            task.add_done_callback(partial(self._end, parcel))
        return bool(parcels)

    def _room(self, grade: Grade) -> int:
        return PLACES[grade] - sum(each == grade for each in self._under_way.values())

    def _end(self, parcel: Parcel, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("log stream failed", stream=parcel.stream.id, exc_info=error)
        self._woken.set()

    async def _ship(self, parcel: Parcel) -> None:
        result = await self._send(parcel)
        await self._database.write_soon(lambda tx: delivery.record(tx, result))

    async def _send(self, parcel: Parcel) -> Result:
        assert self._sender is not None
        batch = await self._batch(parcel)
        if not batch.events:
            return Result(parcel, None, None, self._chance())
        kind = KINDS[parcel.stream.type]
        to = decode(parcel.stream.type, parcel.stream.destination)
        request = await asyncio.to_thread(kind.request, to, batch, self._clock())
        del batch  # while the answer is waited for, the body is enough
        outcome = await self._sender.send(request.url, request.body, request.headers, request.method)
        return Result(parcel, outcome, kind.answer(outcome), self._chance())

    async def _batch(self, parcel: Parcel) -> Batch:
        if parcel.end is None:
            return delivery.test_batch(parcel.stream, self._clock())
        events: list[bytes] = []
        after = parcel.stream.position
        while after < parcel.end:
            # In parts, for the requests that wait: on SQLite they are read on the event loop.
            end = min(after + _READ_AT_ONCE, parcel.end)
            part = partial(delivery.events_of, parcel=parcel, after=after, end=end)
            events += await self._database.read_soon(part)
            await asyncio.sleep(0)
            after = end
        return delivery.batch_of(parcel, events)


def _count(parcels: list[Parcel], grade: Grade) -> int:
    return sum(parcel.stream.grade == grade for parcel in parcels)
