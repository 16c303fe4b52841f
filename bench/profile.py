"""`python -m bench profile`: where the time of one operation goes in the server, file by file, by py-spy."""

import shutil
import subprocess
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import click
import msgspec

from bench import command, measure, server
from bench.command import Place
from bench.load import SEED, load
from bench.operations import OPERATIONS, Loaded
from bench.organizations_report import BAR_CLIENTS

_HERTZ = 500
_LEAST_SHARE = 0.01
_PLACES = ("tenantry/", "granian/", "asyncio/", "uvloop/", "psycopg/", "msgspec/")
_SLACK_SECONDS = 1


class PySpyMissing(Exception):
    """The profiler is not there."""

    def __init__(self) -> None:
        super().__init__("The profile needs py-spy. Install it: pip install py-spy")


class Profile(msgspec.Struct, frozen=True):
    """Answers a second while the server was looked at, and the microseconds of each answer by what was at work."""

    rate: float
    microseconds: dict[str, float]


@click.command()
@click.option("--count", default=100, show_default=True, type=click.IntRange(100), help="Organizations to load.")
@click.option(
    "--operation",
    "name",
    default="get",
    show_default=True,
    type=click.Choice([operation.name for operation in OPERATIONS]),
    help="What the clients ask for.",
)
@click.option(
    "--seconds", default=5, show_default=True, type=click.IntRange(1, 60), help="How long it is looked at."
)
@command.places
def profile(count: int, name: str, seconds: int, **given: Any) -> None:
    """Where one operation's time goes in the server: its process is looked at 500 times a second.

    What is under asyncio is the event loop itself, and waiting.
    """
    if shutil.which("py-spy") is None:
        raise click.ClickException(str(PySpyMissing()))
    profiles = command.on_each_engine(given, lambda place: _profiled(place, count, name, seconds))
    for engine, found in zip(given["engines"], profiles, strict=False):
        click.echo(f"\n{engine}: {name}, {found.rate:,.0f}/s\n")
        for where, cost in found.microseconds.items():
            click.echo(f"{cost:8.1f} µs  {where}")


def _profiled(place: Place, count: int, name: str, seconds: int) -> Profile:
    key = server.prepare(place.database)
    operation = next(each for each in OPERATIONS if each.name == name)
    with server.serving(place.database, place.folder) as running:
        target = measure.Target(running.base_url, key, Loaded(SEED, load(running.base_url, key, count)))
        server.settle(place.database)
        stacks = place.folder / "stacks.txt"
        with subprocess.Popen(_py_spy(running.pid, seconds, stacks), stdout=subprocess.DEVNULL) as spy:
            figures = measure.once(
                target, operation, BAR_CLIENTS, seconds + _SLACK_SECONDS, place.folder, Random(SEED)
            )
            spy.wait(seconds + measure.GRACE_SECONDS)
    samples = _by_place(stacks.read_text())
    each = 1e6 / _HERTZ / (figures.rate * seconds)
    least = samples.total() * _LEAST_SHARE
    return Profile(figures.rate, {where: n * each for where, n in samples.most_common() if n >= least})


def _py_spy(pid: int, seconds: int, output: Path) -> list[str]:
    return [
        *("py-spy", "record", "--pid", str(pid), "--rate", str(_HERTZ), "--duration", str(seconds)),
        *("--format", "raw", "--output", str(output)),
    ]


def _by_place(stacks: str) -> Counter[str]:
    """Count samples by the innermost file that is named in `_PLACES`, what waits aside."""
    samples: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [frame.partition("(")[2].partition(":")[0] for frame in stack.split(";")]
        known = [frame for frame in frames if frame.startswith(_PLACES)]
        if known and not any(frame in {"threading.py", "queue.py"} for frame in frames[-1:]):
            samples[known[-1]] += int(count)
    return samples
