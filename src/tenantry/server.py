"""A running server: one process, or several of the same on PostgreSQL."""

import asyncio
import gc
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Coroutine
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

import structlog
import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server

from tenantry.core import log
from tenantry.core.clock import system_clock
from tenantry.core.db import Database, World, open_database
from tenantry.core.entropy import Pool
from tenantry.node import Nodes
from tenantry.settings import Settings

logger = structlog.get_logger("tenantry.server")

_BACKLOG = 1024
_MOST_AT_ONCE = 16_384  # requests under way in one process, with those that wait and the streams
_STOP_SECONDS = 10.0
_DRAIN_SECONDS = 5.0  # how long clients may take to read the rest of their answers when the server stops
_RESTART_SECONDS = 1.0
_NEW_OBJECTS = 20_000  # between two looks for garbage; 700 by default, which 32 requests under way have


def system_world() -> World:
    """Return the world as it is: the machine's clock and its randomness."""
    return World(system_clock(), Pool(os.urandom))


def connect(settings: Settings) -> Database:
    """Return the database of `settings`. Raises InvalidDatabaseUrl."""
    return open_database(settings.database, system_world(), settings.postgres_connections)


class AddressInUse(Exception):
    """Another process listens at the address, or it is not one of this machine's."""


def check_address(settings: Settings) -> None:
    """Raise AddressInUse when the server could not listen, or would share the port with a stranger."""
    _check_free(settings.host, settings.port, socket.SOCK_STREAM, "--port or TENANTRY_PORT")


def check_dns_address(settings: Settings) -> None:
    """Raise AddressInUse when the name server of the lab could not listen at the port that it was given."""
    if settings.dns_port:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            _check_free(settings.host, settings.dns_port, kind, "--dns-port or TENANTRY_DNS_PORT")


def _check_free(host: str, port: int, kind: socket.SocketKind, chosen_by: str) -> None:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=kind)[0]
        with socket.socket(family, kind) as probe:
            if kind is socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise AddressInUse(
            f"Cannot listen on {host}:{port}: {error.strerror or error}. "
            f"Stop what is there, or choose another with {chosen_by}."
        ) from error


def run(settings: Settings, *, readable_log: bool) -> None:
    """Serve until SIGINT or SIGTERM. The database is migrated already."""
    if settings.workers == 1:
        _serve(settings, readable_log=readable_log)
    else:
        _supervise(settings, readable_log=readable_log)


def _serve(settings: Settings, *, readable_log: bool) -> None:
    run_here(_serve_one(settings), readable_log=readable_log)


def run_here(serving: Coroutine[Any, Any, None], *, readable_log: bool) -> None:
    """Run `serving` in this process until it ends."""
    log.configure(readable=readable_log)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serving)


async def _serve_one(settings: Settings) -> None:
    world = system_world()
    database = open_database(settings.database, world, settings.postgres_connections)
    node = Nodes(settings, world.clock).open(database, world)
    await serve_until_stopped(settings, node.app, node)


class Served(Protocol):
    """An application that granian can serve."""

    def stop_waiting(self) -> None:
        """Answer the requests that wait: the server is about to stop."""

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Serve one request."""


class Work(Protocol):
    """What goes on beside the requests."""

    def start(self) -> None:
        """Begin, on the running event loop."""

    async def stop(self) -> None:
        """End, and let go of everything."""


def _settle_garbage() -> None:
    """Look for garbage seldom, and not in the program itself: requests leave next to none, and a look costs."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)


async def serve_until_stopped(settings: Settings, app: Served, work: Work) -> None:
    """Serve `app` at the address of `settings` until SIGINT or SIGTERM, with `work` beside it."""
    server = Server(
        app,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.RSGI,
        backlog=_BACKLOG,
        backpressure=_MOST_AT_ONCE,
        websockets=False,
        log_enabled=False,
    )
    loop = asyncio.get_running_loop()

    def stop() -> None:
        app.stop_waiting()
        server.stop()  # type: ignore[no-untyped-call]
        loop.call_later(_DRAIN_SECONDS, serving.cancel)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    work.start()
    _settle_garbage()
    serving = loop.create_task(server.serve())
    try:
        await serving
    except asyncio.CancelledError:
        logger.warning("clients were cut off while they took their answers", seconds=_DRAIN_SECONDS)
    finally:
        await work.stop()


def _supervise(settings: Settings, *, readable_log: bool) -> None:
    """Keep `settings.workers` processes running until told to stop; start anew one that dies."""
    context = multiprocessing.get_context("spawn")
    stopping = False

    def stop(_number: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True

    def start() -> BaseProcess:
        process = context.Process(
            target=_serve, args=(settings,), kwargs={"readable_log": readable_log}, daemon=True
        )
        process.start()
        return process

    log.configure(readable=readable_log)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    processes = [start() for _ in range(settings.workers)]
    while not stopping:
        time.sleep(0.1)
        for index, process in enumerate(processes):
            if not process.is_alive():
                logger.error("worker died", pid=process.pid, exit_code=process.exitcode)
                time.sleep(_RESTART_SECONDS)
                processes[index] = start()
    _stop_all(processes)


def _stop_all(processes: list[BaseProcess]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(_STOP_SECONDS)
        if process.is_alive():
            process.kill()
