"""`python -m bench compare`: the organizations' operations beside what a good engineer writes in a day."""

import secrets
from collections.abc import Sequence
from importlib.metadata import version
from random import Random
from typing import Any

import click
import msgspec

from bench import command, measure, server
from bench.command import Place
from bench.load import SEED, load
from bench.measure import Figures, Target
from bench.operations import ON_THE_WIRE, Loaded, Operation
from bench.report import NAMES, Conditions, circumstances, rate_of, table

_CLIENTS = 32
_PARTS = ("fastapi", "pydantic", "sqlalchemy", "uvicorn", "aiosqlite", "asyncpg")
_NOTE = (
    "Beside it are the same operations as `bench/peers/fastapi_sqlalchemy/` has them, one worker too, with the"
    " same organizations on a database of its own: {parts}. Both write an event in the transaction of each change,"
    " both commit to disk before they answer (SQLite: WAL, `synchronous=FULL`), both look up the key each time."
    " The two were measured in turn, run by run, {clients} clients at a time."
)


class _Pair(msgspec.Struct, frozen=True):
    """The figures of one operation: Tenantry's and the peer's."""

    name: str
    ours: Figures
    theirs: Figures


class _Result(msgspec.Struct, frozen=True):
    """What was measured on one engine."""

    engine: str
    engine_version: str
    pairs: list[_Pair]


@click.command()
@click.option(
    "--count", default=10_000, show_default=True, type=click.IntRange(100), help="Organizations to load into each."
)
@command.options
def compare(count: int, **given: Any) -> None:
    """The six operations beside the same with FastAPI and SQLAlchemy."""
    conditions = command.conditions("compare", {"count": count}, given)
    results = command.on_each_engine(given, lambda place: _measured(place, count, conditions))
    command.publish(_page(results, count, conditions), f"compare-{count}.md")


def _measured(place: Place, count: int, conditions: Conditions) -> _Result:
    key, peer_key = server.prepare(place.database), secrets.token_urlsafe()
    folder = place.folder / "peer"
    folder.mkdir()
    with (
        server.fresh_database(place.engine, folder) as peer_database,
        server.serving(place.database, place.folder) as running,
        server.serving_peer(peer_database, folder, peer_key) as peer,
    ):
        ours, theirs = (
            Target(each.base_url, secret, Loaded(SEED, load(each.base_url, secret, count)))
            for each, secret in ((running, key), (peer, peer_key))
        )
        server.settle(place.database)
        server.settle(peer_database)
        pairs = [_pair(place, ours, theirs, operation, conditions) for operation in ON_THE_WIRE]
    return _Result(place.engine, server.version(place.engine), pairs)


def _pair(
    place: Place,
    ours: Target[Loaded],
    theirs: Target[Loaded],
    operation: Operation[Loaded],
    conditions: Conditions,
) -> _Pair:
    def once(target: Target[Loaded], run: int) -> Figures:
        # The same run sends both the same requests, but for the ids that each has given.
        return measure.once(target, operation, _CLIENTS, conditions.seconds, place.folder, Random(SEED + run))

    runs = [(once(ours, run), once(theirs, run)) for run in range(conditions.repeats)]
    pair = _Pair(
        operation.name, measure.medians([run[0] for run in runs]), measure.medians([run[1] for run in runs])
    )
    click.echo(f"{place.engine:8}  {pair.name:28}  {pair.ours.rate:9,.0f}/s beside {pair.theirs.rate:7,.0f}/s")
    return pair


def _page(results: Sequence[_Result], count: int, conditions: Conditions) -> str:
    note = _NOTE.format(parts=", ".join(f"{part} {version(part)}" for part in _PARTS), clients=_CLIENTS)
    engines = [result.engine_version for result in results]
    parts = [f"# {count:,} organizations, beside FastAPI", circumstances(engines, conditions, note)]
    for result in results:
        parts += [f"## {NAMES[result.engine]}", _table(result.pairs)]
    return "\n\n".join(parts) + "\n"


def _table(pairs: Sequence[_Pair]) -> str:
    header = ["operation", "Tenantry: rate/s", "p50", "p99", "FastAPI: rate/s", "p50", "p99", "times the rate"]
    rows = [
        [pair.name, *_cells(pair.ours), *_cells(pair.theirs), f"{pair.ours.rate / pair.theirs.rate:.1f}"]
        for pair in pairs
    ]
    return table(header, rows)


def _cells(figures: Figures) -> list[str]:
    return [rate_of(figures.rate), f"{figures.p50_ms:.2f}", f"{figures.p99_ms:.2f}"]
