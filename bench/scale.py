"""`python -m bench scale`: every operation at a million organizations, beside what it is at a thousand.

The databases are filled once and stay, as do the figures: it can be done in parts.
"""

import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import click
import msgspec

from bench import command, measure, server
from bench.declared import declare_for
from bench.kept import FOLDER, caller_of, ids_of, kept, undeclare, warm
from bench.load import SEED
from bench.measure import Figures
from bench.operations import CONSTANT, CREATE_DECLARED, DELETE, FOR_DECLARED, LISTS, OPERATIONS, Loaded, Operation
from bench.scale_report import (
    BAR_CLIENTS,
    CLIENTS,
    Beside,
    Compared,
    Comparison,
    Measured,
    Side,
    cell,
    comparisons,
    page,
)
from bench.search import SEARCHES, Timing, timings
from bench.shares import NoShares, shared
from tenantry.core.db import open_database
from tenantry.server import system_world

_BY_NAME = {operation.name: operation for operation in (*OPERATIONS, *LISTS, DELETE, CREATE_DECLARED)}
_PLAIN = [each for each in _BY_NAME.values() if each not in FOR_DECLARED and each not in {CONSTANT, DELETE}]
_READS = [each for each in _PLAIN if not each.writes]
_WRITES = [each for each in _PLAIN if each.writes]
_COMPARED_RUNS = 9
_BESIDE = ("get", "list of ten, after any id")


class Step(NamedTuple):
    """A part that is measured at once: an operation, or what it is beside creates (`beside`)."""

    size: int
    operation: Operation[Loaded]
    clients: tuple[int, ...]
    beside: bool = False


class _Run(NamedTuple):
    """Where a step is measured, and how."""

    engine: str
    target: measure.Target[Loaded]
    seconds: int
    repeats: int
    folder: Path

    def figures(self, operation: Operation[Loaded], clients: int) -> Figures:
        return measure.measure(
            self.target, operation, clients, self.seconds, self.repeats, self.folder, Random(SEED)
        )


@click.command()
@click.option("--count", default=1_000_000, show_default=True, type=click.IntRange(500_000), help="Organizations.")
@click.option("--few", default=1000, show_default=True, type=click.IntRange(100), help="What it is held against.")
@click.option("--minutes", default=1e9, show_default="all of it", help="Stop after so long; go on next time.")
@click.option("--fill-only", is_flag=True, help="Fill the databases, and measure nothing.")
@command.options
def scale(count: int, few: int, minutes: float, *, fill_only: bool, **given: Any) -> None:
    """Every operation with a million organizations; in parts, if that is wanted.

    Databases and figures stay in the folder `tenantry-scale` of --folder.
    """
    folder: Path = given["folder"] / FOLDER
    folder.mkdir(exist_ok=True)
    conditions = command.conditions("scale", {"count": count}, given)
    databases = {
        (engine, size): kept(engine, size, folder) for engine in given["engines"] for size in (few, count)
    }
    if fill_only:
        return
    ends = time.monotonic() + minutes * 60
    file = folder / "figures.json"
    measured = msgspec.json.decode(file.read_bytes(), type=Measured) if file.exists() else Measured()
    # First, while a first page holds the same as a last one: what is written since is smaller.
    for engine in given["engines"]:
        if engine not in measured.compared and time.monotonic() < ends:
            urls = {size: databases[engine, size] for size in (few, count)}
            wanted = list(comparisons(engine, count, few))
            measured.compared[engine] = _compared(urls, wanted, given["seconds"], folder)
            file.write_bytes(msgspec.json.encode(measured))
    for (engine, size), url in databases.items():
        steps = [step for step in _left(engine, count, few, measured) if step.size == size]
        if steps and time.monotonic() < ends:
            for _ in _measured(command.Place(engine, url, folder), steps, measured, given, ends):
                file.write_bytes(msgspec.json.encode(measured))
    left = sum(len(list(_left(engine, count, few, measured))) for engine in given["engines"])
    left += sum(engine not in measured.compared for engine in given["engines"])
    if left:
        click.echo(f"{left} parts are left: run it again.")
        return
    command.publish(page(measured, count, few, conditions), f"scale-{count}.md")


def _left(engine: str, count: int, few: int, measured: Measured) -> Iterator[Step]:
    """Yield the steps that were not made yet, in their order: what reads before what writes."""
    for step in _steps(count, few):
        done = measured.beside if step.beside else measured.figures
        if any(cell(engine, step.size, step.operation.name, clients) not in done for clients in step.clients):
            yield step


def _steps(count: int, few: int) -> Iterator[Step]:
    for operation in (*_READS, *(each for each in FOR_DECLARED if not each.writes)):
        yield Step(few, operation, (BAR_CLIENTS,))
    for operation in (*_READS, *_WRITES):
        yield Step(count, operation, CLIENTS)
    for name in _BESIDE:
        yield Step(count, _BY_NAME[name], (BAR_CLIENTS,), beside=True)
    for operation in (DELETE, *FOR_DECLARED):
        yield Step(count, operation, CLIENTS)


def _measured(
    place: command.Place, steps: list[Step], measured: Measured, given: dict[str, Any], ends: float
) -> Iterator[None]:
    """Measure steps that share a server; yield after each of them."""
    measured.versions[place.engine] = server.version(place.engine)
    size = steps[0].size
    if any(step.operation not in FOR_DECLARED for step in steps):
        undeclare(place.database)
    if size not in measured.searches.setdefault(place.engine, {}):
        measured.searches[place.engine][size] = _searches(place.database, size)
    with _served(place.database, 1, place.folder) as served:
        for step in steps:
            if time.monotonic() > ends:
                return
            # A machine that lends its memory out has taken much of it back by the next step.
            warm(place.database)
            declare_for(step.operation, served.running.base_url, served.key)
            target = served.target(step.operation, size)
            run = _Run(place.engine, target, given["seconds"], given["repeats"], place.folder)
            if step.beside:
                _measure_beside(run, step, measured)
            else:
                _measure(run, step, measured)
            name = f"{place.engine} {size}"
            measured.memory[name] = max(measured.memory.get(name, 0), served.running.largest())
            yield


def _searches(url: str, size: int) -> list[Timing]:
    """Return what searches take in the server, without HTTP."""
    warm(url)
    with contextlib.closing(open_database(url, system_world())) as database:
        return list(timings(database, database.read(caller_of), size, SEARCHES))


class _Served(NamedTuple):
    """A server, a key of it, and the ids of its organizations, oldest first."""

    running: server.Server
    key: str
    ids: list[str]

    def target(self, operation: Operation[Loaded], size: int) -> measure.Target[Loaded]:
        return measure.Target(self.running.base_url, self.key, _asked_for(operation, size, self.ids))


@contextlib.contextmanager
def _served(url: str, workers: int, folder: Path) -> Iterator[_Served]:
    """Yield a server of a database."""
    with contextlib.closing(open_database(url, system_world())) as database:
        ids = database.read(ids_of)
    key = server.new_key(url, server.ENVIRONMENT)
    with (
        tempfile.TemporaryDirectory(dir=folder) as temporary,
        server.serving(url, Path(temporary), workers=workers) as running,
    ):
        yield _Served(running, key, ids)


def _compared(
    urls: dict[int, str], wanted: Sequence[Comparison], seconds: int, folder: Path
) -> dict[str, Compared]:
    """Return what is compared, by its text. Ends the command where workers can have no share of a core."""
    try:
        return dict(_compare_all(urls, wanted, seconds, folder))
    except NoShares as error:
        raise click.ClickException(str(error)) from error


def _compare_all(
    urls: dict[int, str], wanted: Sequence[Comparison], seconds: int, folder: Path
) -> Iterator[tuple[str, Compared]]:
    """Yield what is compared, by its text. `urls` is by number of organizations; all servers run meanwhile."""
    with contextlib.ExitStack() as stack:
        served: dict[tuple[int, int, float | None], _Served] = {}
        for side in (side for each in wanted for side in (each.before, each.after)):
            if side.server not in served:
                one = served[side.server] = stack.enter_context(_served(urls[side.size], side.workers, folder))
                if side.share is not None:
                    stack.enter_context(shared(one.running.workers, side.share))
        for url in urls.values():
            warm(url)
        for each in wanted:
            yield each.text, _compare(each, served, seconds, folder)


def _compare(
    wanted: Comparison, served: dict[tuple[int, int, float | None], _Served], seconds: int, folder: Path
) -> Compared:
    random = Random(SEED)

    def rate(side: Side) -> float:
        operation = _BY_NAME[side.operation]
        target = served[side.server].target(operation, side.size)
        return measure.once(target, operation, wanted.clients, seconds, folder, random).rate

    pairs = [(rate(wanted.before), rate(wanted.after)) for _ in range(_COMPARED_RUNS)]
    share = statistics.median(after / before for before, after in pairs)
    click.echo(f"{wanted.text:60}  {share:.2f}")
    before, after = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    return Compared(before, after, share)


def _asked_for(operation: Operation[Loaded], size: int, ids: list[str]) -> Loaded:
    """Return the organizations that requests are about: the last quarter is what is deleted, and nothing else."""
    if operation is DELETE:
        return Loaded(SEED, ids[size * 3 // 4 : size])
    if operation.name.endswith("last page"):
        return Loaded(SEED, ids)
    return Loaded(SEED, ids[: size * 3 // 4])


def _measure(run: _Run, step: Step, measured: Measured) -> None:
    for clients in step.clients:
        name = cell(run.engine, step.size, step.operation.name, clients)
        figures = measured.figures[name] = run.figures(step.operation, clients)
        click.echo(f"{name:60}  {figures.rate:9,.0f}/s  p99 {figures.p99_ms:7.2f} ms")


def _measure_beside(run: _Run, step: Step, measured: Measured) -> None:
    """Measure reads without and with creates at half of the most that there were a second, in turn."""
    create = _BY_NAME["create"]
    top = max(measured.figures[cell(run.engine, step.size, create.name, clients)].rate for clients in CLIENTS)
    clients, random = step.clients[0], Random(SEED + len(measured.beside))
    writes: list[float] = []
    pairs = []
    for _ in range(run.repeats):
        alone = measure.once(run.target, step.operation, clients, run.seconds, run.folder, random)
        creates = measure.paced(run.target, create, top / 2, run.seconds, run.folder, random, writes)
        with_creates = measure.once(
            run.target, step.operation, clients, run.seconds, run.folder, random, meanwhile=creates
        )
        pairs.append((alone, with_creates))
    name = cell(run.engine, step.size, step.operation.name, clients)
    measured.beside[name] = Beside(
        measure.medians([alone for alone, _ in pairs]),
        measure.medians([beside for _, beside in pairs]),
        statistics.median(writes),
        top,
    )
    click.echo(f"{name:60}  {measured.beside[name]}")
