"""`python -m bench`: the organizations' operations on both engines, as tables."""

import contextlib
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import click
import psycopg

from bench import measure, server
from bench.load import SEED, LoadFailed, load
from bench.operations import OPERATIONS, Loaded
from bench.report import Conditions, Result, page, sqlite_version

_RESULTS = Path(__file__).parent / "results"
_CLIENTS = (1, 32)
_STARTS = 5
_REST_SECONDS = 2.0
_DISK = "/var/tmp"
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_EXPECTED = (LoadFailed, measure.MeasurementFailed, measure.WrkMissing, server.ServerFailed)


@click.command()
@click.option(
    "--count", default=100_000, show_default=True, type=click.IntRange(100), help="Organizations to load."
)
@click.option("--seconds", default=3, show_default=True, type=click.IntRange(1, 60), help="Length of each run.")
@click.option(
    "--repeats", default=3, show_default=True, type=click.IntRange(1, 9), help="Runs of each, for a median."
)
@click.option(
    "--engine",
    "engines",
    multiple=True,
    default=("sqlite", "postgres"),
    show_default=True,
    type=click.Choice(("sqlite", "postgres")),
    help="Give it once for each engine.",
)
@click.option(
    "--folder",
    default=_DISK,
    show_default=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where the database of SQLite and the server's log are meanwhile. Must be on a disk.",
)
def main(count: int, seconds: int, repeats: int, engines: tuple[str, ...], folder: Path) -> None:
    """Measure organizations on a server of its own; write the tables to bench/results/."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    command = f"python -m bench --count {count} --seconds {seconds} --repeats {repeats}"
    command += "".join(f" --engine {engine}" for engine in engines)
    load_average = os.getloadavg()[0]
    try:
        measure.wrk()
        conditions = Conditions(count, seconds, repeats, _STARTS, _CLIENTS, _disk(folder), load_average, command)
        results = [result for engine in engines if (result := _result(engine, conditions, folder)) is not None]
    except _EXPECTED as error:
        raise click.ClickException(str(error)) from error
    if not results:
        raise click.ClickException("Nothing was measured.")
    _publish(page(results, conditions), _RESULTS / f"organizations-{count}.md")


def _disk(folder: Path) -> str:
    """Return the type of the file system of `folder`. Ends the command when it is in memory."""
    file_system = server.file_system(folder)
    if file_system in _IN_MEMORY:
        raise click.ClickException(f"{folder} is in memory, where no write is durable. Give --folder on a disk.")
    return file_system


def _result(engine: str, conditions: Conditions, parent: Path) -> Result | None:
    """Return the figures of one engine, or None, said loudly, when there is no such engine here."""
    with (
        tempfile.TemporaryDirectory(prefix="tenantry-bench-", dir=parent) as folder,
        contextlib.ExitStack() as stack,
    ):
        try:
            database = stack.enter_context(server.fresh_database(engine, Path(folder)))
        except server.NoPostgres as error:
            click.secho(f"!!! NOT MEASURED: {error}", fg="red", err=True)
            return None
        return _measured(engine, database, conditions, Path(folder))


def _measured(engine: str, database: str, conditions: Conditions, folder: Path) -> Result:
    key = server.prepare(database)
    start_seconds = statistics.median(_start_seconds(database, folder) for _ in range(conditions.starts))
    with server.serving(database, folder) as running:
        time.sleep(_REST_SECONDS)
        result = Result(engine, _engine_version(engine), start_seconds, running.memory())
        ids = _load(running, key, conditions.count, result)
        server.settle(database)
        _measure_all(measure.Target(running.base_url, key, Loaded(SEED, ids)), conditions, folder, result)
        time.sleep(_REST_SECONDS)
        result.memory_after_runs = running.memory()
    return result


def _start_seconds(database: str, folder: Path) -> float:
    with server.serving(database, folder) as running:
        return running.start_seconds


def _engine_version(engine: str) -> str:
    if engine == "sqlite":
        return sqlite_version()
    with psycopg.connect(server.POSTGRES) as connection:
        number = connection.info.server_version
        return f"{number // 10_000}.{number % 10_000}"


def _load(running: server.Server, key: str, count: int, result: Result) -> list[str]:
    started = time.monotonic()
    ids = load(running.base_url, key, count)
    result.load_rate = count / (time.monotonic() - started)
    result.memory_after_load = running.memory()
    return ids


def _measure_all(target: measure.Target, conditions: Conditions, folder: Path, result: Result) -> None:
    random = Random(SEED)
    for operation in OPERATIONS:
        for clients in conditions.clients:
            figures = measure.measure(
                target, operation, clients, conditions.seconds, conditions.repeats, folder, random
            )
            result.figures[operation.name, clients] = figures
            click.echo(f"{result.engine:8}  {operation.name:28}  clients {clients:2}  {figures.rate:9,.0f}/s")


def _publish(text: str, file: Path) -> None:
    click.echo(f"\n{text}")
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, "utf-8")
    click.echo(f"Written to {file}")


if __name__ == "__main__":
    main()
