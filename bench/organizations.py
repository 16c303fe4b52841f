"""`python -m bench organizations`: the organizations' operations on both engines, as tables."""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import click

from bench import command, measure, server
from bench.command import Place
from bench.declared import declare_for
from bench.load import SEED, load
from bench.measure import Figures
from bench.operations import CONSTANT, Loaded, Operation
from bench.organizations_report import BAR_CLIENTS, CLIENTS, MEASURED, Edge, Result, page
from bench.report import Conditions

_STARTS = 5
_REST_SECONDS = 2.0


@click.command()
@click.option(
    "--count", default=100_000, show_default=True, type=click.IntRange(100), help="Organizations to load."
)
@click.option(
    "--operation",
    "chosen",
    multiple=True,
    type=click.Choice([operation.name for operation in MEASURED]),
    help="Measure only this one, and write no report. Give it once for each operation.",
)
@command.options
def organizations(count: int, chosen: tuple[str, ...], **given: Any) -> None:
    """The six operations: rate and latency, memory, start."""
    conditions = command.conditions("organizations", {"count": count}, given)
    if chosen:
        operations = [operation for operation in MEASURED if operation.name in chosen]
        command.on_each_engine(given, lambda place: _measured_alone(place, count, conditions, operations))
        return
    results = command.on_each_engine(given, lambda place: _measured(place, count, conditions))
    command.publish(page(results, count, conditions), f"organizations-{count}.md")


def _measured(place: Place, count: int, conditions: Conditions) -> Result:
    key = server.prepare(place.database)
    start_seconds = statistics.median(_start_seconds(place) for _ in range(_STARTS))
    with server.serving(place.database, place.folder) as running:
        time.sleep(_REST_SECONDS)
        result = Result(place.engine, server.version(place.engine), start_seconds, running.memory())
        ids = _load(running, key, count, result)
        server.settle(place.database)
        target = measure.Target(running.base_url, key, Loaded(SEED, ids))
        result.figures = _measure_all(target, conditions, place, MEASURED)
        result.edge = _edge(target, conditions, place.folder)
        time.sleep(_REST_SECONDS)
        result.memory_after_runs = running.memory()
    return result


def _measured_alone(
    place: Place, count: int, conditions: Conditions, operations: Sequence[Operation[Loaded]]
) -> dict[tuple[str, int], Figures]:
    """Measure some operations on one engine, and nothing else."""
    key = server.prepare(place.database)
    with server.serving(place.database, place.folder) as running:
        ids = load(running.base_url, key, count)
        server.settle(place.database)
        return _measure_all(
            measure.Target(running.base_url, key, Loaded(SEED, ids)), conditions, place, operations
        )


def _start_seconds(place: Place) -> float:
    with server.serving(place.database, place.folder) as running:
        return running.start_seconds


def _load(running: server.Server, key: str, count: int, result: Result) -> list[str]:
    started = time.monotonic()
    ids = load(running.base_url, key, count)
    result.load_rate = count / (time.monotonic() - started)
    result.memory_after_load = running.memory()
    return ids


def _measure_all(
    target: measure.Target[Loaded],
    conditions: Conditions,
    place: Place,
    operations: Sequence[Operation[Loaded]],
) -> dict[tuple[str, int], Figures]:
    """Return the figures of each operation, by its name and the number of clients."""
    random = Random(SEED)
    measured = {}
    for operation in operations:
        declare_for(operation, target.base_url, target.key)
        for clients in CLIENTS:
            figures = measured[operation.name, clients] = measure.measure(
                target, operation, clients, conditions.seconds, conditions.repeats, place.folder, random
            )
            click.echo(f"{place.engine:8}  {operation.name:28}  clients {clients:2}  {figures.rate:9,.0f}/s")
    return measured


def _edge(target: measure.Target[Loaded], conditions: Conditions, folder: Path) -> Edge:
    """Measure the edge alone: constant answers beside those of a server without an edge, run about with run."""
    beside = folder / "bare"
    beside.mkdir()
    random = Random(SEED)
    with server.serving_bare(beside) as running:
        bare = measure.Target(running.base_url, target.key, target.loaded)

        def rate(of: measure.Target[Loaded]) -> float:
            return measure.once(of, CONSTANT, BAR_CLIENTS, conditions.seconds, folder, random).rate

        pairs = [(rate(bare), rate(target)) for _ in range(conditions.repeats)]
    edge = Edge(
        statistics.median(bare_rate for bare_rate, _ in pairs),
        statistics.median(ours for _, ours in pairs),
        statistics.median(ours / bare_rate for bare_rate, ours in pairs),
    )
    click.echo(
        f"constant answer: {edge.rate:,.0f}/s, of the bare server's {edge.bare_rate:,.0f}/s {edge.share:.0%}"
    )
    return edge
