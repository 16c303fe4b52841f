"""The lab of `tenantry dev`: how soon it answers, how large it is, forks of a universe, days that pass."""

import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import click
import httpx
import msgspec

from bench import command, generate, measure, server
from bench.load import load
from bench.operations import OPERATIONS, Loaded
from bench.report import Conditions, circumstances, rate_of, table, verdict

SEED = 20260801
_COUNTS = (1_000, 10_000)
_KEY = "sk_test_default"
_UNIVERSES = "/tenantry/lab/universes"
_STARTS = 7
_FORKS = 40
_AT_ONCE = 16
_REST_SECONDS = 1.0
_PAUSE_SECONDS = 0.03
_CLIENTS = 32
_DAYS = 30
_NOTE = (
    "`tenantry dev` has its data in memory. A fork is what a client of HTTP waits for, on a connection that is"
    " open, with 30 ms between two requests, in which copies of the seed are made ready."
)

_BAR_FORK_MS = 20.0
_BAR_START_SECONDS = 0.6
_BAR_MEMORY_MIB = 60.0
_BAR_DAYS_SECONDS = 1.0


class _Forks(msgspec.Struct, frozen=True):
    """What was measured with so many organizations in the seed, in milliseconds of each request."""

    start_seconds: float
    memory: int
    forks: list[float]
    uses: list[float]
    resets: list[float]
    copies: list[float]
    drops: list[float]
    together: list[float]


class _Result(msgspec.Struct, frozen=True):
    """What was measured."""

    start_seconds: list[float]
    memory: list[int]
    by_count: dict[int, _Forks]
    days_seconds: float
    rates: dict[str, float]


@click.command()
@command.options
def lab(**given: Any) -> None:
    """How soon `tenantry dev` answers, forks of a universe, thirty days of a domain."""
    given["engines"] = ("sqlite",)
    conditions = command.conditions("lab", {}, given)
    [result] = command.on_each_engine(given, lambda place: _measured(place, conditions))
    command.publish(_report(result, conditions), "lab.md")


def _measured(place: command.Place, conditions: Conditions) -> _Result:
    starts, memory = [], []
    for _ in range(_STARTS):
        with server.serving_dev(place.folder) as running:
            starts.append(running.start_seconds)
            time.sleep(_REST_SECONDS)
            memory.append(running.memory())
    by_count = {count: _forks(place.folder, count) for count in _COUNTS}
    return _Result(starts, memory, by_count, _days_seconds(place.folder), _rates(place, conditions))


def _seed(folder: Path, count: int) -> Path:
    """Write a seed of `count` organizations; return its path."""
    file = folder / f"seed-{count}.json"
    organizations = []
    for index in range(count):
        each = generate.organization(SEED, index)
        domains = [{"domain": data.domain, "state": data.state} for data in each.domain_data]
        organizations.append({"name": f"{each.name} {index}", "metadata": each.metadata, "domains": domains})
    file.write_bytes(msgspec.json.encode({"organizations": organizations}))
    return file


def _timed(act: Callable[[], httpx.Response], milliseconds: list[float]) -> Any:
    """Note how long a request takes; return what it is answered, a little later."""
    started = time.perf_counter()
    answer = act().raise_for_status()
    milliseconds.append((time.perf_counter() - started) * 1000)
    time.sleep(_PAUSE_SECONDS)
    return answer.json() if answer.content else None


def _forks(folder: Path, count: int) -> _Forks:
    with server.serving_dev(folder, "--seed", str(_seed(folder, count))) as running, _client(running) as client:
        time.sleep(_REST_SECONDS)
        result = _Forks(running.start_seconds, running.memory(), [], [], [], [], [], [])
        for _ in range(_FORKS):
            made = _timed(partial(client.post, _UNIVERSES), result.forks)
            place, own = f"{_UNIVERSES}/{made['id']}", {"authorization": f"Bearer {made['api_key']}"}
            _timed(partial(client.post, "/organizations", json={"name": "Acme"}, headers=own), result.uses)
            copy = _timed(partial(client.post, _UNIVERSES, json={"from": made["id"]}), result.copies)
            _timed(partial(client.post, f"{place}/reset"), result.resets)
            _timed(partial(client.delete, place), result.drops)
            client.delete(f"{_UNIVERSES}/{copy['id']}").raise_for_status()
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            list(threads.map(lambda _: _timed(partial(client.post, _UNIVERSES), result.together), range(_AT_ONCE)))
        click.echo(f"{count:6} organizations  fork {statistics.median(result.forks):6.2f} ms")
        return result


def _client(running: server.Server) -> httpx.Client:
    headers = {"authorization": f"Bearer {_KEY}"}
    return httpx.Client(base_url=running.base_url, headers=headers, timeout=60)


def _days_seconds(folder: Path) -> float:
    """Return how long thirty days of a pending domain take, whose every check finds nothing."""
    with server.serving_dev(folder) as running, _client(running) as client:
        times = []
        for _ in range(5):
            made = client.post(_UNIVERSES, json={"frozen": True}).raise_for_status().json()
            client.headers["authorization"] = f"Bearer {made['api_key']}"
            body = {"name": "Acme", "domain_data": [{"domain": "acme.com", "state": "pending"}]}
            client.post("/organizations", json=body).raise_for_status()
            started = time.perf_counter()
            client.post("/tenantry/lab/clock/advance", json={"by": f"{_DAYS}d"}).raise_for_status()
            times.append(time.perf_counter() - started)
        return statistics.median(times)


def _rates(place: command.Place, conditions: Conditions) -> dict[str, float]:
    """Return the gets a second of `serve`, of `dev`, and of a universe of `dev`, by turns."""
    get = next(operation for operation in OPERATIONS if operation.name == "get")
    key = server.prepare(place.database)
    rates: dict[str, list[float]] = {"tenantry serve": [], "tenantry dev": [], "a universe": []}
    with (
        server.serving(place.database, place.folder) as serve,
        tempfile.TemporaryDirectory(dir=place.folder) as other,
        server.serving_dev(Path(other)) as dev,
    ):
        headers = {"authorization": f"Bearer {_KEY}"}
        universe = httpx.post(dev.base_url + _UNIVERSES, headers=headers).raise_for_status().json()
        targets = {
            "tenantry serve": (serve.base_url, key),
            "tenantry dev": (dev.base_url, _KEY),
            "a universe": (dev.base_url, universe["api_key"]),
        }
        loaded = {
            name: measure.Target(base_url, key, Loaded(SEED, load(base_url, key, _COUNTS[0])))
            for name, (base_url, key) in targets.items()
        }
        for _ in range(conditions.repeats):
            for name, target in loaded.items():
                figures = measure.once(target, get, _CLIENTS, conditions.seconds, place.folder, Random(SEED))
                rates[name].append(figures.rate)
    return {name: statistics.median(each) for name, each in rates.items()}


def _report(result: _Result, conditions: Conditions) -> str:
    parts = ["# The lab", circumstances([server.version("sqlite")], conditions, _NOTE)]
    rows = []
    for count, each in result.by_count.items():
        for name, times in (
            ("fork", each.forks),
            ("first create in it", each.uses),
            ("reset", each.resets),
            ("fork of its state", each.copies),
            ("drop", each.drops),
            (f"{_AT_ONCE} forks at once", each.together),
        ):
            rows.append([f"{count:,}, {name}", f"{statistics.median(times):.2f}", f"{max(times):.2f}"])
    parts += ["## Universes", table(["organizations in the seed", "median ms", "longest ms"], rows)]
    rows = [["none", f"{statistics.median(result.start_seconds):.2f}", _mib(statistics.median(result.memory))]]
    rows += [
        [f"{count:,}", f"{each.start_seconds:.2f}", _mib(each.memory)] for count, each in result.by_count.items()
    ]
    parts += ["## Start", table(["organizations in the seed", "seconds to the first answer", "MiB"], rows)]
    rows = [[name, rate_of(rate)] for name, rate in result.rates.items()]
    parts += [f"## Get by id, {_CLIENTS} clients", table(["", "answers/s"], rows)]
    parts += ["## Bars", _bars(result)]
    return "\n\n".join(parts) + "\n"


def _mib(size: float) -> str:
    return f"{size / (1 << 20):.1f}"


def _bars(result: _Result) -> str:
    memory = statistics.median(result.memory) / (1 << 20)
    measured = [
        (f"fork, {count:,} organizations", _BAR_FORK_MS, statistics.median(each.forks), "ms")
        for count, each in result.by_count.items()
    ]
    measured += [
        ("start to first answer", _BAR_START_SECONDS, statistics.median(result.start_seconds), "s"),
        ("memory after start", _BAR_MEMORY_MIB, memory, "MiB"),
        (f"{_DAYS} days of a domain", _BAR_DAYS_SECONDS, result.days_seconds, "s"),
    ]
    rows = [
        [name, f"≤ {bar:g} {unit}", f"{value:.2f} {unit}", verdict(met=value <= bar)]
        for name, bar, value, unit in measured
    ]
    return table(["", "bar", "measured", ""], rows)
