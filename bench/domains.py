"""`python -m bench domains`: the first pass over many pending domains beside requests, and whose a domain is."""

import contextlib
import threading
import time
from collections.abc import Sequence
from random import Random
from types import TracebackType
from typing import Any, Self

import click
import msgspec

from bench import command, measure, server
from bench.bulk import fill
from bench.command import Place
from bench.load import SEED
from bench.measure import Figures, MeasurementFailed
from bench.operations import LOOK_UPS, OPERATIONS, Loaded, Operation
from bench.pending import Pending, Progress
from bench.report import NAMES, Conditions, circumstances, rate_of, table, verdict
from bench.responder import Responder, responding
from tenantry.core.db import open_database
from tenantry.server import system_world

_CLIENTS = 32
_ENVIRONMENT = "filled"
_DOMAINS_OF_ONE = 2  # on average, as they are generated
_BESIDE = tuple(operation for operation in OPERATIONS if operation.name in {"get", "update"})
_GET = tuple(operation for operation in OPERATIONS if operation.name == "get")
_MIB = 1 << 20
_POLL_SECONDS = 0.2
_REST_SECONDS = 1.0
_BEGIN_SECONDS = 0.5
_LONGEST_SECONDS = 3000.0
_BAR_LOOK_UPS = 8000
_BAR_RATIO = 2.0
_BAR_PASS = 1.1
# A twentieth may go out at once after a silence; as much again may have been held up on its way.
_BAR_RATE = 1.1
_BAR_MEMORY = 64 * _MIB


class _Options(msgspec.Struct, frozen=True):
    """How many domains there are, how many of them are due at once, and how the DNS is asked about them."""

    domains: int
    pending: int
    rate: int
    missing: int


class _Memory(msgspec.Struct, frozen=True):
    """The server's resident bytes: before the checks, the most meanwhile, and after them."""

    before: int
    most: int
    after: int


class _Pass(msgspec.Struct, frozen=True):
    """A first pass: how many questions came, within that second that had the most too, and how long it took."""

    questions: int
    most_in_a_second: int
    seconds: float
    missed: int
    memory: _Memory


class _Result(msgspec.Struct, frozen=True):
    """What was measured on one engine; medians, by name of the operation."""

    engine: str
    engine_version: str
    domains: int
    look_ups: dict[str, Figures]
    without: dict[str, Figures]
    beside: dict[str, Figures]
    first_pass: _Pass


@click.command()
@click.option("--domains", "count", default=1_000_000, show_default=True, type=click.IntRange(1000))
@click.option(
    "--pending", default=100_000, show_default=True, type=click.IntRange(1000), help="Those that are due at once."
)
@click.option(
    "--rate", default=200, show_default=True, type=click.IntRange(1), help="Most questions a second to the DNS."
)
@click.option(
    "--missing", default=10, show_default=True, type=click.IntRange(0, 100), help="Percent that lack their record."
)
@command.options
def domains(count: int, pending: int, rate: int, missing: int, **given: Any) -> None:
    """A first pass over pending domains beside requests, and look-ups by domain and e-mail address."""
    options = _Options(count, pending, rate, missing)
    conditions = command.conditions("domains", msgspec.structs.asdict(options), given)
    results = command.on_each_engine(given, lambda place: _measured(place, options, conditions))
    command.publish(_report(results, options, conditions), f"domains-{count}.md")


class _MemoryMeter:
    """Notes the most memory that a server has within a `with` block."""

    def __init__(self, running: server.Server) -> None:
        self._running = running
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.most = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(_POLL_SECONDS):
            self.most = max(self.most, self._running.memory())


def _measured(place: Place, options: _Options, conditions: Conditions) -> _Result:
    server.prepare(place.database)
    fill(place.database, _ENVIRONMENT, options.domains // _DOMAINS_OF_ONE, folder=place.folder)
    key = server.new_key(place.database, _ENVIRONMENT)
    with contextlib.closing(Pending(place.database, options.pending)) as pending:
        server.settle(place.database)
        with responding(pending.records(options.missing)) as responder:
            settings = {
                "TENANTRY_DNS_SERVERS": responder.address,
                "TENANTRY_DNS_QUESTIONS_PER_SECOND": str(options.rate),
            }
            with server.serving(place.database, place.folder, settings) as running:
                ids, domains = _loaded(place.database)
                bench = _Bench(place, measure.Target(running.base_url, key, Loaded(SEED, ids)), conditions)
                look_ups = bench.figures((*_GET, *LOOK_UPS), "")
                without = bench.figures(_BESIDE, "")
                beside, first_pass = _pass(bench, running, pending, responder, options)
    return _Result(place.engine, server.version(place.engine), domains, look_ups, without, beside, first_pass)


def _loaded(url: str) -> tuple[list[str], int]:
    """Return the ids of the organizations in the order of the generator, and how many domains they have."""
    with contextlib.closing(open_database(url, system_world())) as database:
        ids = database.read(lambda tx: tx.all("SELECT id FROM organizations ORDER BY id"))
        [(domains,)] = database.read(lambda tx: tx.all("SELECT COUNT(*) FROM organization_domains"))
    return [row[0] for row in ids], domains


class _Bench:
    """A server, and what measures it."""

    def __init__(self, place: Place, target: measure.Target[Loaded], conditions: Conditions) -> None:
        self._place = place
        self._target = target
        self._conditions = conditions
        self._random = Random(SEED)

    def figures(self, operations: Sequence[Operation[Loaded]], told: str) -> dict[str, Figures]:
        """Measure operations, and tell of each."""
        return {operation.name: self._once(operation, told) for operation in operations}

    def _once(self, operation: Operation[Loaded], told: str) -> Figures:
        figures = measure.measure(
            self._target,
            operation,
            _CLIENTS,
            self._conditions.seconds,
            self._conditions.repeats,
            self._place.folder,
            self._random,
        )
        click.echo(
            f"{self._place.engine:8}  {operation.name:34} {figures.rate:9,.0f}/s"
            f"  p50 {figures.p50_ms:6.2f}  p99 {figures.p99_ms:6.2f} ms{told}"
        )
        return figures


def _pass(
    bench: _Bench, running: server.Server, pending: Pending, responder: Responder, options: _Options
) -> tuple[dict[str, Figures], _Pass]:
    """Measure the operations beside a first pass, and that. Raises MeasurementFailed."""
    before = running.memory()
    with _MemoryMeter(running) as meter:
        began = pending.make_due()
        time.sleep(_BEGIN_SECONDS)
        beside = bench.figures(_BESIDE, "  beside checks")
        if not pending.is_any_left(began):
            raise MeasurementFailed("The pass ended too soon: measure for fewer seconds or with more --pending.")
        made = _wait(pending, began, options.pending)
    first_pass = _Pass(
        responder.asked(began, made.last),
        responder.most_in_a_second(began, made.last),
        made.last - began,
        made.missed,
        _Memory(before, meter.most, running.memory()),
    )
    click.echo(
        f"{first_pass.questions:,} questions in {first_pass.seconds:.1f} s,"
        f" {first_pass.most_in_a_second:,} within one second; {made.missed:,} without a record;"
        f" memory {_mib(before)}, {_mib(meter.most)}, {_mib(first_pass.memory.after)}"
    )
    return beside, first_pass


def _wait(pending: Pending, began: float, count: int) -> Progress:
    """Return what has come of the pending domains once each was looked for. Raises MeasurementFailed."""
    deadline = time.monotonic() + _LONGEST_SECONDS
    made = None
    while made is None or made.verified + made.missed < count:
        if time.monotonic() > deadline:
            raise MeasurementFailed(f"The pass took longer than {_LONGEST_SECONDS:,.0f} s.")
        time.sleep(_REST_SECONDS)
        # To count those that are recorded takes the machine from the server: not before all were taken.
        made = None if pending.is_any_left(began) else pending.progress()
    return made


def _report(results: Sequence[_Result], options: _Options, conditions: Conditions) -> str:
    parts = [
        f"# {results[0].domains:,} domains",
        circumstances([result.engine_version for result in results], conditions, _note(options)),
    ]
    for result in results:
        parts += [f"## {NAMES[result.engine]}", _look_ups(result), _beside(result), _told(result.first_pass)]
    parts += [f"## Bars: one worker, {_CLIENTS} clients", _bars(results, options)]
    return "\n\n".join(parts) + "\n"


def _note(options: _Options) -> str:
    return (
        f"{options.pending:,} of the domains became due at once, pending and never looked at; no other was due."
        f" Of them {options.missing} % had no record of theirs. A domain with its record costs two questions, one"
        " without nine: those directly to the zone's servers are left out, whose address is none that may be"
        " asked. The name server is one process more on the same cores; it answers at once from a table, and"
        " counts what it is asked by hundredths of a second. TENANTRY_DNS_QUESTIONS_PER_SECOND was"
        f" {options.rate:,}. The operations without checks were measured just before. A pass ends when the first"
        " check of the last domain is recorded; at its end every one had been."
    )


def _look_ups(result: _Result) -> str:
    rows = [[name, *_cells(figures)] for name, figures in result.look_ups.items()]
    return table([f"{_CLIENTS} clients", "rate/s", "p50", "p99"], rows)


def _cells(figures: Figures) -> list[str]:
    return [rate_of(figures.rate), f"{figures.p50_ms:.2f}", f"{figures.p99_ms:.2f}"]


def _beside(result: _Result) -> str:
    header = [f"{_CLIENTS} clients", "rate/s", "p50", "p99", "beside checks: rate/s", "p50", "p99", "p99 to p99"]
    rows = [
        [name, *_cells(without), *_cells(result.beside[name]), f"{_ratio(result, name):.2f}"]
        for name, without in result.without.items()
    ]
    return table(header, rows)


def _ratio(result: _Result, name: str) -> float:
    return result.beside[name].p99_ms / result.without[name].p99_ms


def _told(made: _Pass) -> str:
    return (
        f"The first pass took {made.seconds:,.1f} s and {made.questions:,} questions,"
        f" {rate_of(made.questions / made.seconds)}/s, at most {made.most_in_a_second:,} within any second."
        f" Memory: {_mib(made.memory.before)} before, {_mib(made.memory.most)} at most,"
        f" {_mib(made.memory.after)} after."
    )


def _mib(size: int) -> str:
    return f"{size / _MIB:.0f} MiB"


def _bars(results: Sequence[_Result], options: _Options) -> str:
    rows = []
    for result in results:
        told = NAMES[result.engine]
        for operation in LOOK_UPS:
            rate = result.look_ups[operation.name].rate
            met = verdict(met=rate >= _BAR_LOOK_UPS)
            rows.append([f"{told}: {operation.name}", f"≥ {_BAR_LOOK_UPS:,}/s", f"{rate_of(rate)}/s", met])
        for name in result.beside:
            ratio = _ratio(result, name)
            met = verdict(met=ratio <= _BAR_RATIO)
            rows.append([f"{told}: {name}, p99 beside checks to without", f"≤ {_BAR_RATIO}", f"{ratio:.2f}", met])
        rows += [[f"{told}: {row[0]}", *row[1:]] for row in _pass_bars(result.first_pass, options)]
    return table(["", "bar", "measured", ""], rows)


def _pass_bars(made: _Pass, options: _Options) -> list[list[str]]:
    most = round(options.rate * _BAR_RATE)
    took, grown = made.seconds * options.rate / made.questions, made.memory.most - made.memory.before
    return [
        [
            "questions within any second",
            f"≤ {most:,}",
            f"{made.most_in_a_second:,}",
            verdict(met=made.most_in_a_second <= most),
        ],
        [
            "time of the pass to that at the full rate",
            f"≤ {_BAR_PASS}",
            f"{took:.2f}",
            verdict(met=took <= _BAR_PASS),
        ],
        ["memory grown meanwhile", f"≤ {_mib(_BAR_MEMORY)}", _mib(grown), verdict(met=grown <= _BAR_MEMORY)],
    ]
