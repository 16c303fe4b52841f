"""The loop that makes exports: look, claim, read, record, in every server process.

One step of one export at a time, and the export that has waited the longest first: a large one holds up
no small one. A step reads a few events at once, and while requests come in rests for longer than that took.
"""

import asyncio
import time
import zlib
from collections.abc import Callable
from functools import partial

import structlog

from tenantry.audit_logs import exports
from tenantry.audit_logs.exports import Part, Work
from tenantry.core.db import Database, Transaction

log = structlog.get_logger("tenantry.audit_logs")

_INTERVAL_SECONDS = 0.25
_AFTER_FAILURE_SECONDS = 1.0
_LEASE_MILLISECONDS = 60_000
# On PostgreSQL a transaction of its own costs as much as a hundred events.
_LOOKED_AT_ONCE = {"sqlite": 16, "postgres": 40}
_REST_SHARE_ASKED = {"sqlite": 4.0, "postgres": 2.5}
_REST_SHARE = 0.1
_LOOKED_IN_A_STEP = 20_000
_PART_BYTES = 1 << 20
_LEVEL = 1  # of compression: a second level would cost half as much again, for a tenth


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
                while await self._turn():
                    pass
            except Exception as error:
                log.error("exports failed", exc_info=error)
                await asyncio.sleep(_AFTER_FAILURE_SECONDS)
            await asyncio.sleep(_INTERVAL_SECONDS)

    async def _turn(self) -> bool:
        """Make the next step of an export; return whether there was one."""
        if not await self._database.read_soon(exports.has_due):
            return False
        claim = partial(
            exports.claim,
            lease_milliseconds=_LEASE_MILLISECONDS,
            keep_days=self._keep_days,
            signing_key=self._signing_key,
        )
        work = await self._database.write_soon(claim)
        if work is None:
            return False
        try:
            part = await self._make(work)
        except Exception:
            await self._database.write_soon(partial(exports.put_off, work=work))
            raise
        await self._database.write_soon(partial(exports.record, work=work, part=part, keep_days=self._keep_days))
        return True

    async def _make(self, work: Work) -> Part:
        packer, content, size, place = zlib.compressobj(_LEVEL), [], 0, work.place
        engine = self._database.engine
        most = _LOOKED_AT_ONCE[engine]

        def look(tx: Transaction) -> tuple[Part, bytes]:
            # Compressed where it was read, a little at a time: each way to a thread waits for the interpreter, and
            # the whole at once would keep a core from the requests for ten milliseconds.
            part = exports.look(tx, work, place, most)
            return part, packer.compress(part.content)

        for _ in range(_LOOKED_IN_A_STEP // most):
            started = time.perf_counter()
            part, packed = await self._database.read_soon(look, scans=True)
            content.append(packed)
            size += len(part.content)
            place = part.end
            if place is None or size >= _PART_BYTES:
                break
            share = _REST_SHARE_ASKED[engine] if self._is_asked() else _REST_SHARE
            await asyncio.sleep(share * (time.perf_counter() - started))
        return Part(b"".join([*content, packer.flush()]) if size else b"", place)
