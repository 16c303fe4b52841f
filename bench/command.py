"""What every command of the benchmark shares: its options, a database on each engine, where results go."""

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from bench import measure, server
from bench.load import LoadFailed
from bench.report import Conditions
from bench.shares import NoShares

R = TypeVar("R")

_RESULTS = Path(__file__).parent / "results"
_DISK = "/var/tmp"
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_EXPECTED = (LoadFailed, NoShares, measure.MeasurementFailed, measure.WrkMissing, server.ServerFailed)


class Place(msgspec.Struct, frozen=True):
    """Where to measure: an engine, the address of an empty database on it, a folder for what goes to files."""

    engine: str
    database: str
    folder: Path


_RUNS = (
    click.option(
        "--seconds", default=3, show_default=True, type=click.IntRange(1, 60), help="Length of each run."
    ),
    click.option(
        "--repeats", default=3, show_default=True, type=click.IntRange(1, 9), help="Runs of each, for a median."
    ),
)
_ENGINES = (
    click.option(
        "--engine",
        "engines",
        multiple=True,
        default=("sqlite", "postgres"),
        show_default=True,
        type=click.Choice(("sqlite", "postgres")),
        help="Give it once for each engine.",
    ),
)
_FOLDER = (
    click.option(
        "--folder",
        default=_DISK,
        show_default=True,
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Where the database of SQLite and the server's log are meanwhile. Must be on a disk.",
    ),
)


def options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that all have: `seconds`, `repeats`, `engines`, `folder`."""
    return _given(command, (*_RUNS, *_ENGINES, *_FOLDER))


def runs(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command those that one has which measures one engine alone: `seconds`, `repeats`, `folder`."""
    return _given(command, (*_RUNS, *_FOLDER))


def places(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say where to measure: `engines`, `folder`."""
    return _given(command, (*_ENGINES, *_FOLDER))


def _given(command: Callable[..., None], options: Sequence[Callable[..., Any]]) -> Callable[..., None]:
    for option in reversed(options):
        command = option(command)
    return command


def conditions(name: str, counts: dict[str, int], given: dict[str, Any]) -> Conditions:
    """Return how the command `name` measures: `counts` are its own options, `given` those that all have.

    Ends the command when the folder is in memory.
    """
    line = f"python -m bench {name}"
    runs = {key: given.get(key, 1) for key in ("seconds", "repeats")}
    for option in (counts, {key: value for key, value in runs.items() if key in given}):
        line += "".join(f" --{key} {value}" for key, value in option.items())
    line += "".join(f" --engine {engine}" for engine in given["engines"])
    file_system = _disk(given["folder"])
    return Conditions(runs["seconds"], runs["repeats"], file_system, os.getloadavg()[0], line)


def _disk(folder: Path) -> str:
    """Return the type of the file system of `folder`. Ends the command when it is in memory."""
    file_system = server.file_system(folder)
    if file_system in _IN_MEMORY:
        raise click.ClickException(f"{folder} is in memory, where no write is durable. Give --folder on a disk.")
    return file_system


def on_each_engine(given: dict[str, Any], measured: Callable[[Place], R]) -> list[R]:
    """Return what `measured` gives on a database of each engine. Ends the command when something fails."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        measure.wrk()
        results = [_on(engine, given["folder"], measured) for engine in given["engines"]]
    except _EXPECTED as error:
        raise click.ClickException(str(error)) from error
    found = [result for result in results if result is not None]
    if not found:
        raise click.ClickException("Nothing was measured.")
    return found


def _on(engine: str, parent: Path, measured: Callable[[Place], R]) -> R | None:
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
        return measured(Place(engine, database, Path(folder)))


def publish(text: str, name: str) -> None:
    """Show a report, and write it to bench/results/."""
    click.echo(f"\n{text}")
    _RESULTS.mkdir(exist_ok=True)
    file = _RESULTS / name
    file.write_text(text, "utf-8")
    click.echo(f"Written to {file}")
