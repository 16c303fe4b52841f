"""`python -m bench versus COMMIT`: operations of this tree beside those of another commit, in turn.

Two runs of a benchmark one after the other differ by a fifth where the machine is not all one's own. Two servers
that are there at once, asked in turn, tell what a change has changed.
"""

import contextlib
import statistics
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import click

from bench import command, measure, server
from bench.command import Place
from bench.declared import declare_for
from bench.kept import FOLDER, ids_of, kept, warm
from bench.load import SEED, load
from bench.measure import Figures, Target
from bench.operations import CREATE_DECLARED, FOR_DECLARED, LISTS, OPERATIONS, Loaded, Operation
from bench.report import NAMES, rate_of, table
from tenantry.core.db import open_database
from tenantry.server import system_world

_BY_NAME = {operation.name: operation for operation in (*OPERATIONS, *LISTS, CREATE_DECLARED)}

_Pair = tuple[Figures, Figures]


@click.command()
@click.argument("commit")
@click.option(
    "--operation",
    "names",
    multiple=True,
    default=("get", "create"),
    show_default=True,
    type=click.Choice(list(_BY_NAME)),
    help="What to measure. Give it once for each operation.",
)
@click.option("--clients", default=32, show_default=True, type=click.IntRange(1, 1000))
@click.option("--count", default=1000, show_default=True, type=click.IntRange(100), help="Organizations to load.")
@click.option("--kept", "is_kept", is_flag=True, help="Read the databases that `scale` has filled with --count.")
@command.options
def versus(
    commit: str,
    names: tuple[str, ...],
    clients: int,
    count: int,
    *,
    is_kept: bool,
    **given: Any,
) -> None:
    """Operations of this tree beside those of COMMIT: both servers at once, asked in turn, medians of the runs."""
    operations = [_BY_NAME[name] for name in names]
    if is_kept and any(operation.writes for operation in operations):
        raise click.UsageError("--kept has both servers read one database: name operations that write nothing.")
    if not is_kept:
        operations.sort(key=lambda operation: (operation in FOR_DECLARED, operation.writes))

    def measured(place: Place) -> list[list[str]]:
        with _checked_out(commit, place.folder) as settings:
            servers = (
                _on_what_is_kept(place, settings, count, given["folder"] / FOLDER)
                if is_kept
                else _loaded(place, settings, count)
            )
            with servers as targets:
                return [
                    _row(place, operation, _pairs(targets, operation, clients, place.folder, given))
                    for operation in operations
                ]

    rows = [row for rows in command.on_each_engine(given, measured) for row in rows]
    header = [
        "",
        f"{commit}: rate/s",
        "p50 ms",
        "p99 ms",
        "this tree: rate/s",
        "p50 ms",
        "p99 ms",
        "rates",
        "p99s",
    ]
    click.echo("\n" + table(header, rows))


@contextlib.contextmanager
def _checked_out(commit: str, folder: Path) -> Iterator[Mapping[str, str]]:
    """Check a commit out below `folder`; yield the settings that have a server run it."""
    tree = folder / "tree"
    subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(tree), commit], check=True)
    try:
        yield {"PYTHONPATH": str(tree / "src")}
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(tree)], check=True)


@contextlib.contextmanager
def _loaded(place: Place, settings: Mapping[str, str], count: int) -> Iterator[list[Target[Loaded]]]:
    """Yield the other commit's server and this tree's, each with organizations on a database of its own."""
    with contextlib.ExitStack() as stack:
        targets = []
        for name, each in (("other", settings), ("this", {})):
            folder = place.folder / name
            folder.mkdir()
            database = stack.enter_context(server.fresh_database(place.engine, folder))
            key = server.prepare(database, each)
            running = stack.enter_context(server.serving(database, folder, each))
            targets.append(Target(running.base_url, key, Loaded(SEED, load(running.base_url, key, count))))
            server.settle(database)
        yield targets


@contextlib.contextmanager
def _on_what_is_kept(
    place: Place, settings: Mapping[str, str], count: int, kept_in: Path
) -> Iterator[list[Target[Loaded]]]:
    """Yield both servers on the database that `scale` keeps."""
    url = kept(place.engine, count, kept_in)
    warm(url)
    key = server.new_key(url, server.ENVIRONMENT)
    with contextlib.closing(open_database(url, system_world())) as database:
        loaded = Loaded(SEED, database.read(ids_of)[: count * 3 // 4])
    with contextlib.ExitStack() as stack:
        targets = []
        for name, each in (("other", settings), ("this", {})):
            folder = place.folder / name
            folder.mkdir()
            running = stack.enter_context(server.serving(url, folder, each))
            targets.append(Target(running.base_url, key, loaded))
        yield targets


def _pairs(
    targets: list[Target[Loaded]],
    operation: Operation[Loaded],
    clients: int,
    folder: Path,
    given: Mapping[str, Any],
) -> list[_Pair]:
    """Measure both servers in turn, the one first and then the other first."""
    for target in targets:
        declare_for(operation, target.base_url, target.key)
    pairs: list[_Pair] = []
    for number in range(given["repeats"]):
        seed = SEED + number

        def once(target: Target[Loaded], seed: int = seed) -> Figures:
            return measure.once(target, operation, clients, given["seconds"], folder, Random(seed))

        other, this = targets
        if number % 2:
            ours = once(this)
            pairs.append((once(other), ours))
        else:
            theirs = once(other)
            pairs.append((theirs, once(this)))
    return pairs


def _row(place: Place, operation: Operation[Loaded], pairs: list[_Pair]) -> list[str]:
    """Return a line of the table. A ratio is the median of those of two runs that followed each other."""
    other, this = (measure.medians([pair[side] for pair in pairs]) for side in (0, 1))
    rates = statistics.median(ours.rate / theirs.rate for theirs, ours in pairs)
    slowest = statistics.median(ours.p99_ms / theirs.p99_ms for theirs, ours in pairs)
    cells = [f"{NAMES[place.engine]}, {operation.name}"]
    for each in (other, this):
        cells += [rate_of(each.rate), f"{each.p50_ms:.2f}", f"{each.p99_ms:.2f}"]
    click.echo(f"{cells[0]:50}  {rates:.2f}")
    return [*cells, f"{rates:.2f}", f"{slowest:.2f}"]
