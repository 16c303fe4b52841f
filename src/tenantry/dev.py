"""The server of `tenantry dev`: the main environment, and the lab around it.

`tenantry serve` never loads this file, nor anything of the lab.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec

from tenantry.app import RESOURCES
from tenantry.core.clock import Clock, system_clock
from tenantry.core.db import Database, Transaction, World, migrate, open_database
from tenantry.core.db.connect import sqlite_path
from tenantry.core.db.sqlite import SqliteDatabase
from tenantry.core.endpoints import Endpoint
from tenantry.core.http import Api
from tenantry.core.routing import Router
from tenantry.core.throttle import Throttle
from tenantry.environments import service as environments
from tenantry.lab.api import RESOURCE as LAB
from tenantry.lab.clock import TestClock
from tenantry.lab.front import Front
from tenantry.lab.universe import Ask, Life, Node, Origin, Universe
from tenantry.lab.universes import SEED, Lab, Limits
from tenantry.lab.wire import MAIN
from tenantry.node import Nodes
from tenantry.server import run_here, serve_until_stopped
from tenantry.settings import Settings

IN_MEMORY = "sqlite://"
_ENVIRONMENT = "Development"
_SLUG = "tenantry"
_MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 (a folder of our own is made in it)


@contextmanager
def prepared(settings: Settings) -> Iterator["Prepared"]:
    """Yield the databases to serve, migrated and with the known key in them; those in memory end with the block.

    Raises what opening a database raises, and InvalidSecret.
    """
    time = system_clock()
    parent = _MEMORY_FOLDER if _MEMORY_FOLDER.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="tenantry-", dir=parent) as folder:
        seed = Origin(SEED, Path(folder) / "seed.db", time())
        _prepare(SqliteDatabase(seed.file, World(time, os.urandom), durable=False), settings.api_key)
        if settings.database == IN_MEMORY:
            file = Path(folder) / "dev.db"
            shutil.copyfile(seed.file, file)
            settings = msgspec.structs.replace(settings, database=f"sqlite:///{file}")
        else:
            world = World(time, os.urandom)
            _prepare(open_database(settings.database, world, settings.postgres_connections), settings.api_key)
        yield Prepared(settings, Path(folder), msgspec.structs.replace(seed, at=time()), time)


class Prepared(msgspec.Struct, frozen=True):
    """What is to be served: settings whose database is migrated, a folder for files, the seed of forks."""

    settings: Settings
    folder: Path
    seed: Origin
    time: Clock


def _prepare(database: Database, api_key: str) -> None:
    """Migrate, and make sure that the known key opens an environment."""
    try:
        migrate.apply(database)
        database.write(lambda tx: _ensure_key(tx, api_key))
    finally:
        database.close()


def _ensure_key(tx: Transaction, secret: str) -> None:
    known = {row.name: row for row in environments.list_environments(tx)}
    environment = known.get(_ENVIRONMENT) or environments.create_environment(tx, _ENVIRONMENT, slug=_SLUG)
    environments.ensure_key(tx, environment, "development", secret)


def run(prepared: Prepared, base_url: str, *, readable_log: bool) -> None:
    """Serve until SIGINT or SIGTERM."""
    run_here(_serve(prepared, base_url), readable_log=readable_log)


async def _serve(prepared: Prepared, base_url: str) -> None:
    lab, front = compose(prepared, base_url)
    await serve_until_stopped(prepared.settings, front, lab)


def compose(prepared: Prepared, base_url: str, ask: Ask | None = None) -> tuple[Lab, Front]:
    """Return the lab, and the application in front of it. `ask` makes what asks the DNS."""
    settings, time = prepared.settings, prepared.time
    nodes = Nodes(settings, time, (*RESOURCES, LAB))

    def open_node(database: Database, world: World, _life: Life) -> Node:
        return nodes.open(database, world, ask)

    def open_fork(file: Path, world: World, life: Life) -> Node:
        return open_node(SqliteDatabase(file, world, durable=False), world, life)

    clock = TestClock(time)
    world = World(clock, os.urandom)
    life = Life(clock, partial(open_node, _main_database(prepared, world), world))
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
