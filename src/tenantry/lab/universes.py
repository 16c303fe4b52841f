"""All universes of a server: forks of the seed, or of each other, beside the main one.

Each is a database in a file of its own, so isolation follows. A fork is a copy of the seed's file, which is made
once at the start, so it costs what copying a file does.
"""

import asyncio
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import structlog

from tenantry.audit_logs import exports
from tenantry.core.caller import Caller
from tenantry.core.clock import Clock, milliseconds_of, timestamp
from tenantry.core.db import Transaction, World
from tenantry.core.db.sqlite import SqliteDatabase
from tenantry.core.entropy import Entropy
from tenantry.core.errors import FieldError, ValidationFailed
from tenantry.core.ids import IdSource
from tenantry.domains.examine import Asker
from tenantry.environments import service as environments
from tenantry.lab import wire
from tenantry.lab.clock import TestClock, TooMuchFallsDue, pass_time
from tenantry.lab.dns_server import DnsServer
from tenantry.lab.errors import NotAUniverse, TooManyUniverses, TooMuchDue, UniverseGone, UniverseNotFound
from tenantry.lab.spares import Spares
from tenantry.lab.universe import Ask, Life, Node, Origin, Start, Universe
from tenantry.lab.zone_asker import ZoneAsker

log = structlog.get_logger("tenantry.lab")

SEED = "seed"
_LOOK_SECONDS = 0.5
_LONGEST_PASS_SECONDS = 30.0
_LATEST = milliseconds_of("9999-01-01T00:00:00.000Z")

OpenFork = Callable[[Path, World, Life], Node]
"""Opens the SQLite database in a file for serving, as the beginning of a universe's life."""


class Limits(msgspec.Struct, frozen=True):
    """How many universes there may be at once, and how many seconds without a request end one."""

    most: int
    idle_seconds: int


class Guest(Caller, frozen=True, kw_only=True):
    """Who calls the lab: a key of a universe."""

    lab: "Lab"
    universe: Universe


class Lab:
    """All universes of a server, the main one among them."""

    def __init__(
        self,
        *,
        folder: Path,
        seed: Origin,
        main: Universe,
        open_fork: OpenFork,
        time: Clock,
        entropy: Entropy,
        limits: Limits,
        api_key: str,
        base_url: str,
        dns_address: tuple[str, int],
        connect: Ask,
    ) -> None:
        """`folder` is for their files; `time` is the machine's; `api_key` is the one that every universe has.

        `dns_address` is where their DNS listens, port 0 being any; `connect` returns what asks the real one.
        """
        self.main = main
        self.base_url = base_url
        self.time = time
        self.folder = folder
        self._seed = seed
        self._spares = Spares(seed.file)
        self._open_fork = open_fork
        self._entropy = entropy
        self._ids = IdSource(entropy)
        self._limits = limits
        self._api_key = api_key
        self._connect = connect
        self._dns_port = dns_address[1]
        self._listening: asyncio.Task[None] | None = None
        self.dns = DnsServer(*dns_address, self._asker)
        self._universes: dict[str, Universe] = {}
        self._forking = 0
        self._files = 0
        self._looking: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin the work of the main environment, and to drop idle universes, on the running event loop."""
        loop = asyncio.get_running_loop()
        self.main.life.listen()
        self.main.node.start()
        self._spares.make()
        self._looking = loop.create_task(self._look_after())
        if self._dns_port:
            self._listening = loop.create_task(self.dns.start())

    async def stop(self) -> None:
        """End every universe."""
        if self._looking is not None:
            self._looking.cancel()
        for universe in self.every():
            self._leave(universe, universe.life)
        self._universes.clear()
        await self.dns.stop()
        await self.left()
        await self._spares.stop()

    async def left(self) -> None:
        """Return when what was dropped has let go of all it had."""
        await asyncio.gather(*self._leaving)

    def _asker(self, identity: str) -> Asker | None:
        """Return what answers the network for a universe, whose id comes in lower case, or for the main one."""
        prefix = f"{wire.PREFIX}_"
        known = prefix + identity.removeprefix(prefix).upper()
        universe = self._universes.get(known) if identity else self.main
        return None if universe is None else ZoneAsker(universe.zones, self._connect, None)

    def stop_waiting(self) -> None:
        """Answer the requests that wait: the server is about to stop."""
        for universe in self.every():
            universe.life.stop_waiting()

    def every(self) -> list[Universe]:
        """Return every universe, the main one first, then the oldest."""
        return [self.main, *self._universes.values()]

    def forks(self) -> list[Universe]:
        """Return every universe but the main one, the oldest first."""
        return list(self._universes.values())

    def find(self, authorization: str | None) -> tuple[Universe, str | None] | None:
        """Return the universe that an `Authorization` header names, and the header as that universe knows it.

        The key of a universe is one of its data's with the universe's id: `sk_test_default.universe_01…`.
        Returns None when there is no such universe any more.
        """
        if authorization is None:
            return self.main, None
        known, _, identity = authorization.rpartition(".")
        if not identity.startswith(wire.PREFIX):
            return self.main, authorization
        universe = self._universes.get(identity)
        if universe is None:
            return None
        universe.used_at = self.time()
        return universe, known

    async def holder_of(self, export_id: str) -> Universe:
        """Return the universe with an export of audit logs, whose link has no key; the main one if none has it."""
        for universe in self.forks():
            if await universe.node.database.read_soon(lambda tx: exports.is_there(tx, export_id)):
                return universe
        return self.main

    def admit(self, tx: Transaction, authorization: str | None) -> Guest:
        """Return who calls the lab with this `Authorization` header. Raises Unauthorized."""
        found = self.find(authorization)
        if found is None:
            raise UniverseGone
        universe, known = found
        if universe is self.main:
            caller = environments.authenticate(tx, known)
        else:
            caller = universe.node.database.read(lambda own: environments.authenticate(own, known))
        return Guest(**msgspec.structs.asdict(caller), lab=self, universe=universe)

    def key_of(self, universe: Universe) -> str:
        """Return the key that opens a universe."""
        return self._api_key if universe is self.main else f"{self._api_key}.{universe.id}"

    def get(self, identity: str) -> Universe:
        """Return a universe. Raises UniverseNotFound."""
        if identity == wire.MAIN:
            return self.main
        universe = self._universes.get(identity)
        if universe is None:
            raise UniverseNotFound(identity)
        return universe

    async def create(self, wanted: wire.CreateUniverse) -> Universe:
        """Fork a universe. Raises TooManyUniverses, UniverseNotFound, NotAUniverse, ValidationFailed."""
        if len(self._universes) + self._forking >= self._limits.most:
            raise TooManyUniverses(self._limits.most)
        self._forking += 1
        try:
            universe = await self._fork(wanted)
        finally:
            self._forking -= 1
        self._universes[universe.id] = universe
        universe.life.listen()
        return universe

    async def _fork(self, wanted: wire.CreateUniverse) -> Universe:
        identity = self._ids.new(wire.PREFIX, self.time())
        start = Start(None if wanted.clock is None else milliseconds_of(wanted.clock), wanted.frozen)
        if wanted.from_ == SEED:
            return await self._begun(identity, wanted, self._seed, start)
        parent = self.get(wanted.from_)
        origin = await self._snapshot(parent, identity)
        start = Start(start.at or origin.at + 1, parent.clock.frozen if start.frozen is None else start.frozen)
        try:
            return await self._begun(identity, wanted, origin, start)
        except BaseException:
            origin.file.unlink()
            raise

    async def _begun(self, identity: str, wanted: wire.CreateUniverse, origin: Origin, start: Start) -> Universe:
        life = await self._begin(identity, origin, self._clock(origin, start))
        idle = self._limits.idle_seconds if wanted.idle_seconds is None else wanted.idle_seconds
        return Universe(
            identity,
            life,
            created_at=self.time(),
            name=wanted.name,
            origin=origin,
            start=start,
            idle_seconds=idle,
        )

    def _clock(self, origin: Origin, start: Start) -> TestClock:
        """Return the clock of a fork: as `start` has it, or else as the main one. Raises ValidationFailed."""
        if start.at is not None and not origin.at < start.at <= _LATEST:
            raise ValidationFailed(
                [FieldError("clock", f"clock must be later than its data, which are of {timestamp(origin.at)}")]
            )
        at = self.main.clock() if start.at is None else start.at
        frozen = self.main.clock.frozen if start.frozen is None else start.frozen
        return TestClock(self.time, max(at, origin.at + 1), frozen=frozen)

    async def _snapshot(self, parent: Universe, identity: str) -> Origin:
        """Return the present state of a universe, for a fork. Raises NotAUniverse when it is on PostgreSQL."""
        file = self.folder / f"{identity}.origin.db"
        async with parent.changing:
            database, at = _living(parent).node.database, parent.clock()
            if not isinstance(database, SqliteDatabase):
                raise NotAUniverse("The main environment is on PostgreSQL: fork the seed, or a universe.")
            await asyncio.to_thread(database.copy_to, file)
        return Origin(parent.id, file, at)

    async def _begin(self, identity: str, origin: Origin, clock: TestClock) -> Life:
        self._files += 1
        file = self.folder / f"{identity}.{self._files}.db"
        if origin == self._seed:
            await self._spares.take(file)
        else:
            await asyncio.to_thread(shutil.copyfile, origin.file, file)
        return Life(clock, partial(self._open_fork, file, World(clock, self._entropy)), file)

    async def reset(self, universe: Universe) -> None:
        """Give a universe the data and the clock that it had at first. Raises NotAUniverse."""
        async with universe.changing:
            if universe.origin is None or universe.start is None:
                raise NotAUniverse(
                    "The main environment has no state to go back to: fork a universe and reset that."
                )
            clock = self._clock(universe.origin, universe.start)
            before = _living(universe)
            universe.life = await self._begin(universe.id, universe.origin, clock)
            universe.life.listen()
            self._leave(universe, before)

    def drop(self, universe: Universe) -> None:
        """End a universe: its key opens nothing any more. Raises NotAUniverse, UniverseNotFound."""
        if universe is self.main:
            raise NotAUniverse("The main environment cannot be dropped: stop the server instead.")
        if self._universes.pop(universe.id, None) is None:  # another request was faster
            raise UniverseNotFound(universe.id)
        own = () if universe.origin in {None, self._seed} else (universe.origin.file,)
        self._leave(universe, universe.life, *own)

    async def advance(self, universe: Universe, body: wire.Advance) -> None:
        """Put a clock forward, and do on the way all that falls due. Raises ValidationFailed, TooMuchDue."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _LONGEST_PASS_SECONDS
        async with universe.standing_still():
            life = _living(universe)
            target = _target(universe.clock(), body)
            try:
                await pass_time(life.clock, target, life.node.worker, lambda: life.ended or loop.time() > deadline)
            except TooMuchFallsDue as error:
                raise TooMuchDue(timestamp(universe.clock()), _LONGEST_PASS_SECONDS) from error
            finally:
                universe.used_at = self.time()

    def _leave(self, universe: Universe, life: Life, *files: Path) -> None:
        task = asyncio.get_running_loop().create_task(life.end(universe.changing, *files))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _look_after(self) -> None:
        """Drop what is idle for too long, and let the others' work rest where there is none."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = self.time()
            for universe in self.forks():
                if universe.changing.locked():
                    continue
                if not universe.life.under_way and now >= expires_at(universe):
                    log.info("universe expired", universe=universe.id)
                    self.drop(universe)
                else:
                    await self._rest(universe)

    async def _rest(self, universe: Universe) -> None:
        try:
            await universe.life.look_after()
        except Exception as error:
            log.error("universe cannot rest", universe=universe.id, exc_info=error)


def _living(universe: Universe) -> Life:
    """Return the life of a universe that was waited for. Raises UniverseNotFound when it was dropped meanwhile."""
    if universe.life.ended:
        raise UniverseNotFound(universe.id)
    return universe.life


def expires_at(universe: Universe) -> int:
    """Return when a fork is dropped unless it is used until then, in milliseconds."""
    return universe.used_at + universe.idle_seconds * 1000


def _target(now: int, body: wire.Advance) -> int:
    """Return the time to which a clock is to be put. Raises ValidationFailed."""
    if (body.to is None) == (body.by is None):
        raise ValidationFailed([FieldError("to", "give one of to and by")])
    if body.by is not None:
        target, field = now + body.by.milliseconds, "by"
    else:
        target, field = milliseconds_of(body.to or ""), "to"
    if target < now:
        raise ValidationFailed(
            [FieldError(field, f"{field} must not be before the clock, which shows {timestamp(now)}")]
        )
    if target > _LATEST:
        raise ValidationFailed([FieldError(field, f"{field} must not lead past {timestamp(_LATEST)}")])
    return target
