"""The server of `tenantry dev`: the main environment, and the lab around it.

`tenantry serve` never loads this file, nor anything of the lab.
"""

import fcntl
import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import msgspec

from tenantry.app import RESOURCES, domain_rules, resolver_options, target_policy
from tenantry.core.clock import Clock, system_clock
from tenantry.core.db import Database, Transaction, World, migrate, open_database
from tenantry.core.db.connect import sqlite_path
from tenantry.core.db.sqlite import SqliteDatabase
from tenantry.core.endpoints import Endpoint
from tenantry.core.http import Api
from tenantry.core.routing import Router
from tenantry.core.throttle import Throttle
from tenantry.domains import checks
from tenantry.domains.checker import dns_asker
from tenantry.domains.examine import Asker
from tenantry.domains.schedule import DAY
from tenantry.environments import service as environments
from tenantry.events import service as events
from tenantry.lab.api import RESOURCE as LAB
from tenantry.lab.clock import TestClock
from tenantry.lab.fault_rules import FaultRule
from tenantry.lab.front import Front
from tenantry.lab.hooks import rule_of
from tenantry.lab.seeding import plant
from tenantry.lab.seeds import FOUND_BY_ITSELF, MAIN_ENVIRONMENT, Seed, SeedRefused, read
from tenantry.lab.universe import Ask, Life, Node, Origin, Universe
from tenantry.lab.universes import SEED, Lab, Limits
from tenantry.lab.wire import MAIN
from tenantry.lab.zone_asker import ZoneAsker, once
from tenantry.node import Nodes
from tenantry.server import run_here, serve_until_stopped
from tenantry.settings import InvalidSettings, Settings

IN_MEMORY = "sqlite://"
_SLUG = "tenantry"
_FOLDER = "tenantry-"
_LOCK = "lock"
_MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 (a folder of our own is made in it)


@contextmanager
def prepared(settings: Settings, seed: Seed | None) -> Iterator["Prepared"]:
    """Yield the databases to serve, migrated, with the known key and what `seed` says in them.

    Those in memory end with the block. Raises what opening a database raises, InvalidSecret and InvalidSettings.
    """
    prepare = partial(_prepare, settings=settings, seed=seed)
    time = system_clock()
    with _folder_of_its_own() as folder:
        file = folder / "seed.db"
        origin = Origin(SEED, file, prepare(SqliteDatabase(file, World(time, os.urandom), durable=False)))
        if settings.database == IN_MEMORY:
            file = folder / "dev.db"
            shutil.copyfile(origin.file, file)
            settings = msgspec.structs.replace(settings, database=f"sqlite:///{file}")
            at = origin.at
        else:
            database = open_database(settings.database, World(time, os.urandom), settings.postgres_connections)
            at = prepare(database)
        hooks = [] if seed is None else [rule_of(hook) for hook in seed.error_hooks]
        yield Prepared(settings, folder, origin, at, hooks, time)


@contextmanager
def _folder_of_its_own() -> Iterator[Path]:
    """Yield a new folder, in memory where there is one, which is locked as long as it is used.

    Those that killed processes have left behind are nobody's any more: they are deleted.
    """
    parent = _MEMORY_FOLDER if _MEMORY_FOLDER.is_dir() else Path(tempfile.gettempdir())
    for lock in parent.glob(f"{_FOLDER}*/{_LOCK}"):
        _delete_if_left_behind(lock)
    with tempfile.TemporaryDirectory(prefix=_FOLDER, dir=parent) as name:
        folder = Path(name)
        with (folder / "new").open("w") as lock_file:
            fcntl.flock(lock_file, fcntl.LOCK_EX)
            (folder / "new").rename(folder / _LOCK)
            yield folder


def _delete_if_left_behind(lock: Path) -> None:
    with suppress(OSError), lock.open() as file:  # another process holds it, or has deleted it just now
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(lock.parent)


class Prepared(msgspec.Struct, frozen=True):
    """What is to be served: settings whose database is migrated, a folder for files, the seed of forks.

    `at` is the last moment that the database knows of, in milliseconds; `hooks` are the faults that every
    universe begins with.
    """

    settings: Settings
    folder: Path
    seed: Origin
    at: int
    hooks: list[FaultRule]
    time: Clock

    @property
    def ahead(self) -> int:
        """How many days the data is ahead of the machine's clock."""
        return max(0, self.at - self.time()) // DAY


def _prepare(database: Database, settings: Settings, seed: Seed | None) -> int:
    """Migrate, see to the known key, make what is missing of the seed; return the last moment that it knows."""
    try:
        migrate.apply(database)
        database.write(lambda tx: _ensure_key(tx, settings.api_key))
        if seed is not None:
            _plant(database, settings, seed)
        return database.read(_last_moment)
    except SeedRefused as error:
        raise InvalidSettings(str(error)) from error
    finally:
        database.close()


def _ensure_key(tx: Transaction, secret: str) -> None:
    known = {row.name: row for row in environments.list_environments(tx)}
    environment = known.get(MAIN_ENVIRONMENT) or environments.create_environment(tx, MAIN_ENVIRONMENT, slug=_SLUG)
    environments.ensure_key(tx, environment, "development", secret)


def _last_moment(tx: Transaction) -> int:
    return max(tx.milliseconds, events.newest_at(tx), checks.newest_at(tx))


def _plant(database: Database, settings: Settings, seed: Seed) -> None:
    plant(
        database,
        seed,
        MAIN_ENVIRONMENT,
        domain_rules(settings),
        target_policy(settings),
        retention_days=settings.event_retention_days,
    )


def read_seed(named: str, folder: Path) -> tuple[Seed | None, list[str]]:
    """Return the seed of the file that is `named`, or else of one in `folder`, and warnings of what is left out.

    None when there is no such file in the folder. Raises InvalidSettings.
    """
    file = (
        Path(named)
        if named
        else next((each for each in map(folder.joinpath, FOUND_BY_ITSELF) if each.exists()), None)
    )
    if file is None:
        return None, []
    try:
        seed, left_out = read(str(file), file.read_text("utf-8-sig"))
    except OSError as error:
        raise InvalidSettings(f"Cannot read the seed {file}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidSettings(f"Cannot read the seed {file}: it is not UTF-8.") from error
    except SeedRefused as error:
        raise InvalidSettings(str(error)) from error
    return seed, [problem.told(str(file)) for problem in left_out]


def run(prepared: Prepared, base_url: str, *, readable_log: bool) -> None:
    """Serve until SIGINT or SIGTERM."""
    _allow_many_files()
    run_here(_serve(prepared, base_url), readable_log=readable_log)


def _allow_many_files() -> None:
    """Let the process hold as many files as it may: each universe has some seven open."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # some systems name a limit that they do not take
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(prepared: Prepared, base_url: str) -> None:
    lab, front = compose(prepared, base_url)
    await serve_until_stopped(prepared.settings, front, lab)


def compose(prepared: Prepared, base_url: str, ask: Ask | None = None) -> tuple[Lab, Front]:
    """Return the lab, and the application in front of it. `ask` makes what asks the real DNS."""
    settings, time = prepared.settings, prepared.time
    nodes = Nodes(settings, time, (*RESOURCES, LAB))
    connect = once(ask or dns_asker(resolver_options(settings)))
    patience = round(settings.dns_timeout_seconds * 1000)

    def open_node(database: Database, world: World, life: Life) -> Node:
        for hook in prepared.hooks:
            life.faults.add_hook(hook)

        async def own() -> Asker:
            return ZoneAsker(life.zones, connect, patience)

        return nodes.open(database, world, own)

    def open_fork(file: Path, world: World, life: Life) -> Node:
        return open_node(SqliteDatabase(file, world, durable=False), world, life)

    # What the clock was put forward to before a restart is in the data: time goes on from there.
    clock = TestClock(time, max(time(), prepared.at))
    world = World(clock, os.urandom)
    life = Life(clock, partial(open_node, _main_database(prepared, world), world), others="resolver")
    main = Universe(MAIN, life, created_at=time())
    lab = Lab(
        folder=prepared.folder,
        seed=prepared.seed,
        main=main,
        open_fork=open_fork,
        time=time,
        entropy=os.urandom,
        limits=Limits(settings.universes, settings.universe_idle_seconds),
        api_key=settings.api_key,
        base_url=base_url,
        dns_address=(settings.host, settings.dns_port),
        connect=connect,
    )
    return lab, Front(lab, _desk(lab, settings), settings.max_body_bytes)


def _main_database(prepared: Prepared, world: World) -> Database:
    settings = prepared.settings
    if settings.database.startswith("sqlite:"):
        file = sqlite_path(settings.database)
        assert file is not None
        return SqliteDatabase(file, world, durable=file.parent != prepared.folder)
    return open_database(settings.database, world, settings.postgres_connections)


def _desk(lab: Lab, settings: Settings) -> Api:
    """Return the application that answers at the lab's own paths."""
    router: Router[Endpoint] = Router()
    for endpoint in LAB.endpoints:
        router.add(endpoint.method, endpoint.path, endpoint)
    return Api(
        database=lab.main.node.database,
        router=router,
        pages={},
        authenticate=lab.admit,
        throttle=Throttle(lab.time, 0),
        max_body_bytes=settings.max_body_bytes,
    )
