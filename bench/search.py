"""`python -m bench.search`: what a search costs the server, by how many names hold the text."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import click
import msgspec

from bench import generate, server
from bench.bulk import fill
from bench.load import SEED
from bench.report import table
from tenantry.core.caller import Caller
from tenantry.core.db import Database, open_database
from tenantry.organizations import service
from tenantry.organizations.wire import ListOrganizations
from tenantry.server import system_world

_ENVIRONMENT = "filled"
_RUNS = 40
_MILLISECONDS = 1000


class Timing(msgspec.Struct, frozen=True):
    """How long queries of one kind take, in milliseconds, and how many are on their pages."""

    kind: str
    matches: float
    median: float
    p95: float
    longest: float


Draw = Callable[[Random, int], str]
Query = Callable[[Random, int], ListOrganizations]


def _name(random: Random, count: int) -> str:
    return generate.organization(SEED, random.randrange(count)).name


def _word(random: Random, count: int) -> str:
    return random.choice(_name(random, count).split()[:3])


def _words(random: Random, count: int) -> str:
    return " ".join(_name(random, count).split()[:2])


def _piece(length: int) -> Draw:
    def draw(random: Random, count: int) -> str:
        name = _name(random, count)
        start = random.randrange(max(1, len(name) - length))
        return name[start : start + length]

    return draw


def _random_letters(length: int) -> Draw:
    return lambda random, _count: "".join(random.choice("qxzjkvw") for _ in range(length))


def _swapped(random: Random, count: int) -> str:
    return " ".join(reversed(_name(random, count).split()[:2]))


KINDS: tuple[tuple[str, Draw], ...] = (
    ("common: a word", _word),
    ("in between: two words", _words),
    ("in between: 12 letters of a name", _piece(12)),
    ("rare: a whole name", _name),
    ("absent: 12 letters", _random_letters(12)),
    ("absent: two words, swapped", _swapped),
    ("3 letters of a name", _piece(3)),
    ("2 letters of a name", _piece(2)),
    ("1 letter of a name", _piece(1)),
    ("absent: 3 letters", _random_letters(3)),
    ("absent: 2 letters", lambda random, _count: random.choice("qxzjkw") + "ü"),
    ("absent: 1 letter", lambda random, _count: random.choice("ñøæþœł")),
)


_OPTIONS = (
    click.option("--count", default=100_000, show_default=True, type=click.IntRange(100), help="Organizations."),
    click.option("--engine", default="sqlite", show_default=True, type=click.Choice(("sqlite", "postgres"))),
    click.option(
        "--folder",
        default="/var/tmp",
        show_default=True,
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Where the database of SQLite is meanwhile. Must be on a disk.",
    ),
)


def options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command its options: `count`, `engine`, `folder`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@contextmanager
def filled(count: int, engine: str, folder: Path) -> Iterator[tuple[Database, Caller]]:
    """Yield a fresh database with `count` organizations, and a caller of their environment."""
    with (
        tempfile.TemporaryDirectory(prefix="tenantry-bench-", dir=folder) as temporary,
        server.fresh_database(engine, Path(temporary)) as url,
    ):
        server.prepare(url)
        caller = fill(url, _ENVIRONMENT, count, folder=folder)
        server.settle(url)
        database = open_database(url, system_world())
        try:
            yield database, caller
        finally:
            database.close()


@click.command()
@options
def main(count: int, engine: str, folder: Path) -> None:
    """Fill a fresh database and time the operation that answers a search, without HTTP."""
    with filled(count, engine, folder) as (database, caller):
        click.echo(report("search", database, caller, count, SEARCHES))


def _searching(draw: Draw) -> Query:
    return lambda random, count: ListOrganizations(search=draw(random, count))


def report(name: str, database: Database, caller: Caller, count: int, kinds: Iterable[tuple[str, Query]]) -> str:
    """Return a table: what each kind of query takes."""
    header = [name, "matches on the page", "median ms", "p95 ms", "max ms"]
    return table(header, [row(timing) for timing in timings(database, caller, count, kinds)])


def row(timing: Timing) -> list[str]:
    """Return the cells of a timing."""
    figures = (timing.median, timing.p95, timing.longest)
    return [timing.kind, f"{timing.matches:.0f}", *(f"{each:.2f}" for each in figures)]


def timings(
    database: Database, caller: Caller, count: int, kinds: Iterable[tuple[str, Query]]
) -> Iterator[Timing]:
    """Yield what each kind of query takes."""
    random = Random(SEED)
    for kind, draw in kinds:
        runs = sorted(_timed(database, caller, draw(random, count)) for _ in range(_RUNS))
        times = [seconds * _MILLISECONDS for seconds, _ in runs]
        shown = statistics.median(matches for _, matches in runs)
        yield Timing(kind, shown, statistics.median(times), times[int(len(times) * 0.95)], times[-1])


def _timed(database: Database, caller: Caller, query: ListOrganizations) -> tuple[float, int]:
    """Return how many seconds a list takes, and how many are on its page."""
    started = time.perf_counter()
    page = database.read(lambda tx: service.list_page(tx, caller, query))
    return time.perf_counter() - started, len(page.data)


SEARCHES = [(kind, _searching(draw)) for kind, draw in KINDS]
"""The kinds of searches."""

if __name__ == "__main__":
    main()
