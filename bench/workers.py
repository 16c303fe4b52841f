"""`python -m bench workers`: what an answer costs the processors on PostgreSQL, by one worker and by two.

Where server, PostgreSQL and load client share two cores, two workers answer little more than one. What an answer
costs each of the three does not depend on that: it tells what there would be where nobody waits for a core. With
`--share` each worker has a part of a core, so that all of them together have enough, and the rates compare.
"""

import contextlib
import resource
import statistics
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import click
import msgspec

from bench import command, measure, server
from bench.command import Place
from bench.load import SEED, load
from bench.measure import Target
from bench.operations import OPERATIONS, Loaded, Operation
from bench.report import rate_of, table
from bench.shares import shared

_READS = [operation for operation in OPERATIONS if operation.name in {"get", "list of ten, after any id"}]
_WORKERS = (1, 2)
_MICROSECONDS = 1e6


class Costs(msgspec.Struct, frozen=True):
    """Answers a second, and the microseconds of a processor that each took, by who was at work."""

    rate: float
    server: float
    postgres: float
    client: float


@click.command()
@click.option("--count", default=1000, show_default=True, type=click.IntRange(100), help="Organizations to load.")
@click.option("--clients", default=32, show_default=True, type=click.IntRange(1, 1000))
@click.option(
    "--share",
    type=click.FloatRange(0.05, 1),
    help="Let each worker have that share of a core at most, so that nobody waits for one. Needs root.",
)
@command.runs
def workers(count: int, clients: int, share: float | None, **given: Any) -> None:
    """What a read costs the processors, by one worker and by two, on a PostgreSQL server of this machine."""

    def measured(place: Place) -> list[list[str]]:
        return list(_rows(place, count, clients, share, given["seconds"], given["repeats"]))

    [rows] = command.on_each_engine(given | {"engines": ("postgres",)}, measured)
    header = ["", "workers", "rate/s", "server µs", "PostgreSQL µs", "client µs", "a core for each worker: rate/s"]
    click.echo("\n" + table(header, rows))


def _rows(
    place: Place, count: int, clients: int, share: float | None, seconds: int, repeats: int
) -> Iterator[list[str]]:
    key = server.prepare(place.database)
    with contextlib.ExitStack() as stack:
        running = {}
        for number in _WORKERS:
            folder = place.folder / str(number)
            folder.mkdir()
            running[number] = stack.enter_context(server.serving(place.database, folder, workers=number))
        loaded = Loaded(SEED, load(running[1].base_url, key, count))
        server.settle(place.database)
        if share is not None:
            for each in running.values():
                stack.enter_context(shared(each.workers, share))
        for operation in _READS:
            runs: dict[int, list[Costs]] = {number: [] for number in _WORKERS}
            for _ in range(repeats):
                for number, each in running.items():
                    target = Target(each.base_url, key, loaded)
                    runs[number].append(_costs(each, target, operation, clients, seconds, place.folder))
            for number, costs in runs.items():
                yield _row(operation.name, number, costs)


def _costs(
    running: server.Server,
    target: Target[Loaded],
    operation: Operation[Loaded],
    clients: int,
    seconds: int,
    folder: Path,
) -> Costs:
    """Return what one run costs."""
    used: list[float] = []

    @contextlib.contextmanager
    def watched() -> Iterator[None]:
        before = _used(running)
        yield
        used.extend(after - earlier for after, earlier in zip(_used(running), before, strict=True))

    figures = measure.once(target, operation, clients, seconds, folder, Random(SEED), meanwhile=watched())
    by_server, by_postgres, by_client = (_MICROSECONDS * each / (figures.rate * seconds) for each in used)
    return Costs(figures.rate, by_server, by_postgres, by_client)


def _used(running: server.Server) -> tuple[float, float, float]:
    """Return the seconds of a processor that server, PostgreSQL and load clients have taken so far."""
    client = resource.getrusage(resource.RUSAGE_CHILDREN)
    return running.processor_seconds(), server.postgres_processor_seconds(), client.ru_utime + client.ru_stime


def _row(name: str, number: int, costs: list[Costs]) -> list[str]:
    middle = Costs(*map(statistics.median, zip(*map(msgspec.structs.astuple, costs), strict=True)))
    most = number * _MICROSECONDS / middle.server
    parts = (f"{each:.0f}" for each in (middle.server, middle.postgres, middle.client))
    return [name, str(number), rate_of(middle.rate), *parts, rate_of(most)]
