"""`python -m bench deliveries`: webhooks to a receiver on this machine, and what they cost those who call."""

import contextlib
import statistics
import time
from collections.abc import Sequence
from random import Random
from typing import Any

import click
import httpx
import msgspec

from bench import command, measure, server
from bench.command import Place
from bench.fill import Filler
from bench.load import SEED, load
from bench.measure import Figures, MeasurementFailed
from bench.operations import OPERATIONS, Loaded, Operation
from bench.receiver import Meter, Receiver, receiving
from bench.report import NAMES, Conditions, circumstances, rate_of, table, verdict
from tenantry.events.wire import EventName

_CLIENTS = 32
_ORGANIZATIONS = 10_000
_BESIDE = ("get", "update")
_DELIVERED = EventName.ORGANIZATION_DELETED  # of which the operations make none
_SETTINGS = {
    "TENANTRY_WEBHOOK_HTTP": "true",
    "TENANTRY_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
}
_POLL_SECONDS = 0.01
_BEGIN_SECONDS = 20.0
_LONGEST_SECONDS = 60.0
_LEAST_ALONE = 1000
_BAR_RATE = 1500
_BAR_RATIO = 2.0
_NOTE = (
    "The receiver, which only counts and answers 200, is one process more on the same cores. A backlog was"
    " stored at once. While the server delivered it the operation was measured; what was left was then"
    " delivered alone. The operation without deliveries was measured just before. A delivery counts when it"
    " is received. At the end every event had been received, and its delivery was recorded as made."
)


class _Pair(msgspec.Struct, frozen=True):
    """An operation without deliveries and beside them, and how many were received a second beside it and alone."""

    without: Figures
    beside: Figures
    rate_beside: float
    rate_alone: float


class _Result(msgspec.Struct, frozen=True):
    """What was measured on one engine; medians, by name of the operation."""

    engine: str
    engine_version: str
    pairs: dict[str, _Pair]

    @property
    def rate_alone(self) -> float:
        return statistics.median(pair.rate_alone for pair in self.pairs.values())


@click.command()
@click.option(
    "--backlog", default=30_000, show_default=True, type=click.IntRange(5000), help="Deliveries owed at a time."
)
@command.options
def deliveries(backlog: int, **given: Any) -> None:
    """Deliveries a second, alone and beside requests."""
    conditions = command.conditions("deliveries", {"backlog": backlog}, given)
    results = command.on_each_engine(given, lambda place: _measured(place, backlog, conditions))
    command.publish(_report(results, conditions), "deliveries.md")


class _Bench:
    """A server that delivers to a receiver, and what fills it."""

    def __init__(
        self, place: Place, target: measure.Target[Loaded], filler: Filler, receiver: Receiver, seconds: int
    ) -> None:
        self._place = place
        self._target = target
        self._filler = filler
        self._receiver = receiver
        self._seconds = seconds
        self._random = Random(SEED)
        self._owed = 0

    def pair(self, operation: Operation[Loaded], backlog: int) -> _Pair:
        """Measure an operation without deliveries and beside them. Raises MeasurementFailed."""
        without = self._once(operation, None)
        self._owed += backlog
        self._filler.fill(backlog, _DELIVERED)
        self._wait_for(self._receiver.received + 1, _BEGIN_SECONDS)
        meter = Meter(self._receiver)
        beside = self._once(operation, meter)
        return _Pair(without, beside, meter.rate, self._rest())

    def _once(self, operation: Operation[Loaded], meter: Meter | None) -> Figures:
        return measure.once(
            self._target, operation, _CLIENTS, self._seconds, self._place.folder, self._random, meter
        )

    def _rest(self) -> float:
        """Return how many deliveries a second are made while nobody calls, until all are made."""
        if self._owed - self._receiver.received < _LEAST_ALONE:
            raise MeasurementFailed("The backlog did not last: measure for fewer seconds or with more --backlog.")
        with Meter(self._receiver) as meter:
            self._wait_for(self._owed, _LONGEST_SECONDS)
        return meter.rate

    def _wait_for(self, count: int, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self._receiver.received < count:
            if time.monotonic() > deadline:
                raise MeasurementFailed(f"{self._receiver.received} of {count} came within {seconds:.0f} s.")
            time.sleep(_POLL_SECONDS)

    def check(self) -> None:
        """Raise MeasurementFailed unless each event was delivered and recorded so."""
        deadline = time.monotonic() + _BEGIN_SECONDS
        while (found := self._filler.deliveries()) != {"delivered": self._owed}:
            if time.monotonic() > deadline:
                raise MeasurementFailed(f"{self._owed} deliveries were owed, and the database says: {found}.")
            time.sleep(_POLL_SECONDS)


def _measured(place: Place, backlog: int, conditions: Conditions) -> _Result:
    key = server.prepare(place.database)
    with server.serving(place.database, place.folder, _SETTINGS) as running, receiving() as receiver:
        ids = load(running.base_url, key, _ORGANIZATIONS)
        server.settle(place.database)
        _subscribe(running.base_url, key, receiver.url)
        target = measure.Target(running.base_url, key, Loaded(SEED, ids))
        with contextlib.closing(Filler(place.database, key, SEED)) as filler:
            bench = _Bench(place, target, filler, receiver, conditions.seconds)
            pairs = {}
            for operation in OPERATIONS:
                if operation.name in _BESIDE:
                    runs = [bench.pair(operation, backlog) for _ in range(conditions.repeats)]
                    pairs[operation.name] = pair = _medians(runs)
                    _tell(place.engine, operation.name, pair)
            bench.check()
    return _Result(place.engine, server.version(place.engine), pairs)


def _subscribe(base_url: str, key: str, url: str) -> None:
    body = {"endpoint_url": url, "events": [_DELIVERED.value]}
    headers = {"authorization": f"Bearer {key}"}
    httpx.post(f"{base_url}/webhook_endpoints", json=body, headers=headers).raise_for_status()


def _medians(runs: Sequence[_Pair]) -> _Pair:
    return _Pair(
        measure.medians([run.without for run in runs]),
        measure.medians([run.beside for run in runs]),
        statistics.median(run.rate_beside for run in runs),
        statistics.median(run.rate_alone for run in runs),
    )


def _tell(engine: str, name: str, pair: _Pair) -> None:
    click.echo(
        f"{engine:8}  {name:8}  p99 {pair.without.p99_ms:6.2f} -> {pair.beside.p99_ms:6.2f} ms"
        f"  {pair.rate_beside:7,.0f} deliveries/s, alone {pair.rate_alone:7,.0f}/s"
    )


def _report(results: Sequence[_Result], conditions: Conditions) -> str:
    parts = ["# Deliveries", circumstances([result.engine_version for result in results], conditions, _NOTE)]
    for result in results:
        parts += [f"## {NAMES[result.engine]}", _table(result)]
        parts.append(f"Alone: {rate_of(result.rate_alone)} deliveries/s.")
    parts += [f"## Bars: one worker, {_CLIENTS} clients", _bars(results)]
    return "\n\n".join(parts) + "\n"


def _table(result: _Result) -> str:
    header = [f"{_CLIENTS} clients", "rate/s", "p50", "p99", "beside deliveries: rate/s", "p50", "p99"]
    rows = []
    for name, pair in result.pairs.items():
        cells = [f(each) for each in (pair.without, pair.beside) for f in (_rate, _p50, _p99)]
        rows.append([name, *cells, f"{_ratio(pair):.2f}", rate_of(pair.rate_beside)])
    return table([*header, "p99 to p99", "deliveries/s"], rows)


def _rate(figures: Figures) -> str:
    return rate_of(figures.rate)


def _p50(figures: Figures) -> str:
    return f"{figures.p50_ms:.2f}"


def _p99(figures: Figures) -> str:
    return f"{figures.p99_ms:.2f}"


def _ratio(pair: _Pair) -> float:
    return pair.beside.p99_ms / pair.without.p99_ms


def _bars(results: Sequence[_Result]) -> str:
    rows = []
    for result in results:
        rows.append(_rate_bar(f"{NAMES[result.engine]}: deliveries alone", result.rate_alone))
        for name, pair in result.pairs.items():
            told = f"{NAMES[result.engine]}: {name}"
            met = verdict(met=_ratio(pair) <= _BAR_RATIO)
            rows.append(_rate_bar(f"{told}, deliveries beside it", pair.rate_beside))
            rows.append(
                [f"{told}, p99 beside deliveries to without", f"≤ {_BAR_RATIO}", f"{_ratio(pair):.2f}", met]
            )
    return table(["", "bar", "measured", ""], rows)


def _rate_bar(told: str, rate: float) -> list[str]:
    return [told, f"≥ {_BAR_RATE:,}/s", f"{rate_of(rate)}/s", verdict(met=rate >= _BAR_RATE)]
