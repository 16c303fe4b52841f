"""The loop that makes exports: claim, read, record, in every server process.

One step of one export at a time, and the export that has waited the longest first: a large one holds up
no small one. A step reads a few events at once, where the requests are answered, and while they come in rests
after each time.
"""

import asyncio
from collections.abc import Callable
from functools import partial

import structlog
from isal import isal_zlib

from tenantry.audit_logs import exports
from tenantry.audit_logs.exports import Part, Work
from tenantry.audit_logs.search import is_led
from tenantry.core.db import Database, Transaction

log = structlog.get_logger("tenantry.audit_logs")

_INTERVAL_SECONDS = 0.25
_AFTER_FAILURE_SECONDS = 1.0
_LEASE_MILLISECONDS = 60_000
# Fewer, and 1,000,000 events beside requests take more than a minute; more, and the requests wait longer.
# On SQLite they wait for the whole look, and one that an index leads goes to more places for each event.
_LOOKED_AT_ONCE = {"sqlite": 24, "postgres": 56}
_LED_TO_AT_ONCE = {"sqlite": 16, "postgres": 56}
_REST_SECONDS = {"sqlite": 0.001, "postgres": 0.002}
_LOOKED_IN_A_STEP = 20_000
_PART_BYTES = 2 << 20
# Of compression. What requests wait for this where they are answered is less than the handing over to a thread and
# back would cost them, the more so as that takes the second core from others.
_LEVEL = 1


class Exporter:
    """Makes the files that are asked for, until it is stopped. A file is kept for `keep_days`.

    One that can be proved is signed with the private key, or else with the one that Tenantry makes.
    `is_asked` tells whether requests come in meanwhile.
    """

    def __init__(
        self, database: Database, keep_days: int, signing_key: bytes | None, is_asked: Callable[[], bool]
    ) -> None:
        self._database = database
        self._keep_days = keep_days
        self._signing_key = signing_key
        self._is_asked = is_asked

    async def run(self) -> None:
        """Make exports, until cancelled. The step under way is then made again, by whoever comes next."""
        while True:
            try:
                if await self._database.read_soon(exports.has_due):
                    await self._make_all()
            except Exception as error:
                log.error("exports failed", exc_info=error)
                await asyncio.sleep(_AFTER_FAILURE_SECONDS)
            await asyncio.sleep(_INTERVAL_SECONDS)

    async def _make_all(self) -> None:
        """Make steps of exports until none waits for its next."""
        work = await self._database.write_soon(self._claim)
        while work is not None:
            try:
                part = await self._make(work)
            except Exception:
                await self._database.write_soon(partial(exports.put_off, work=work))
                raise
            work = await self._database.write_soon(partial(self._record, work=work, part=part))

    def _claim(self, tx: Transaction) -> Work | None:
        return exports.claim(tx, _LEASE_MILLISECONDS, self._keep_days, self._signing_key)

    def _record(self, tx: Transaction, work: Work, part: Part) -> Work | None:
        """Record a step and claim the next one: each commit costs those who read meanwhile."""
        exports.record(tx, work, part, self._keep_days)
        return self._claim(tx)

    async def _make(self, work: Work) -> Part:
        packer = isal_zlib.compressobj(_LEVEL)
        packed, size, place = [], 0, work.place
        engine = self._database.engine
        most = (_LED_TO_AT_ONCE if is_led(work.filter) else _LOOKED_AT_ONCE)[engine]
        for _ in range(_LOOKED_IN_A_STEP // most):
            part = await self._look(work, place, most)
            size += len(part.content)
            place = part.end
            if place is None:
                packed.append(await asyncio.to_thread(packer.compress, part.content))
                break
            packed.append(packer.compress(part.content))
            if size >= _PART_BYTES:
                break
            await asyncio.sleep(_REST_SECONDS[engine] if self._is_asked() else 0)
        return Part(b"".join([*packed, packer.flush()]) if size else b"", place)

    async def _look(self, work: Work, place: str | None, most: int) -> Part:
        """Look where the requests are answered: in a thread it would fight them for the interpreter.

        What a file ends with is for a thread all the same.
        """
        part = await self._database.read_soon(partial(exports.look_on, work=work, place=place, most=most))
        if part is not None:
            return part
        last = partial(exports.look_at_last, work=work, place=place, most=most)
        return await self._database.read_soon(last, scans=True)
