"""`python -m bench events`: pages of the feed, first, in the middle and last."""

import contextlib
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple
from urllib.parse import urlencode

import click
import msgspec

from bench import command, measure, server
from bench.command import Place
from bench.fill import Filler
from bench.load import SEED, load
from bench.measure import Figures
from bench.operations import Operation, Request
from bench.report import NAMES, Conditions, circumstances, rate_of, table, verdict
from tenantry.events.wire import EventName

_CLIENTS = 32
_PAGE = 100
_ORGANIZATIONS = 1000
_FILLED_AT_ONCE = 10_000
_BAR_RATE = 1000
# Two medians of the same thing differ by some hundredths on a machine that is shared.
_BAR_RATIO = 0.9
_NAMES = (EventName.ORGANIZATION_CREATED, EventName.ORGANIZATION_UPDATED, EventName.ORGANIZATION_DELETED)
_CHOICES = {"one name": _NAMES[:1], "three names": _NAMES}
_NOTE = (
    "The events were recorded by the service's own function, ten thousand to a transaction, with three names"
    " in equal parts. After that PostgreSQL had its VACUUM ANALYZE. A page holds 100 events: the first has no"
    " `after`, one in the middle begins after any event of the middle half, the last ends with the last event."
)


class _Stored(NamedTuple):
    """Which events are asked for, and the ids of all of them in order."""

    names: tuple[EventName, ...]
    ids: list[str]

    def page(self, after: str | None) -> Request:
        query = [("events", name.value) for name in self.names] + [("limit", str(_PAGE))]
        return Request("GET", "/events?" + urlencode(query + ([("after", after)] if after else [])))


def _first(stored: _Stored, _random: Random) -> Request:
    return stored.page(None)


def _middle(stored: _Stored, random: Random) -> Request:
    quarter = len(stored.ids) // 4
    return stored.page(stored.ids[random.randrange(quarter, 3 * quarter)])


def _last(stored: _Stored, _random: Random) -> Request:
    return stored.page(stored.ids[-_PAGE - 1])


_PAGES: dict[str, Callable[[_Stored, Random], Request]] = {
    "first page": _first,
    "a page in the middle": _middle,
    "last page": _last,
}


class _Result(msgspec.Struct, frozen=True):
    """What was measured on one engine; `figures` by choice of names and page."""

    engine: str
    engine_version: str
    fill_rate: float
    figures: dict[tuple[str, str], Figures]


@click.command()
@click.option(
    "--count", default=1_000_000, show_default=True, type=click.IntRange(10_000), help="Events to store."
)
@command.options
def events(count: int, **given: Any) -> None:
    """Pages of 100 events out of many, wherever they stand."""
    conditions = command.conditions("events", {"count": count}, given)
    results = command.on_each_engine(given, lambda place: _measured(place, count, conditions))
    command.publish(_report(results, count, conditions), f"events-{count}.md")


def _measured(place: Place, count: int, conditions: Conditions) -> _Result:
    key = server.prepare(place.database)
    with server.serving(place.database, place.folder) as running:
        load(running.base_url, key, _ORGANIZATIONS)
        with contextlib.closing(Filler(place.database, key, SEED)) as filler:
            fill_rate = _fill(filler, count)
            server.settle(place.database)
            stored = {choice: _Stored(names, filler.event_ids(*names)) for choice, names in _CHOICES.items()}
        figures = {}
        for choice, chosen in stored.items():
            target = measure.Target(running.base_url, key, chosen)
            for name, request in _PAGES.items():
                figures[choice, name] = _figures(target, Operation(name, request, _PAGE), conditions, place)
                click.echo(f"{place.engine:8}  {choice:11}  {name:20}  {figures[choice, name].rate:9,.0f}/s")
    return _Result(place.engine, server.version(place.engine), fill_rate, figures)


def _fill(filler: Filler, count: int) -> float:
    started = time.monotonic()
    for first in range(0, count, _FILLED_AT_ONCE):
        filler.fill(min(_FILLED_AT_ONCE, count - first), *_NAMES)
    return count / (time.monotonic() - started)


def _figures(
    target: measure.Target[_Stored], operation: Operation[_Stored], conditions: Conditions, place: Place
) -> Figures:
    return measure.measure(
        target, operation, _CLIENTS, conditions.seconds, conditions.repeats, place.folder, Random(SEED)
    )


def _report(results: Sequence[_Result], count: int, conditions: Conditions) -> str:
    parts = [f"# Pages of {count:,} events"]
    parts.append(circumstances([result.engine_version for result in results], conditions, _NOTE))
    for result in results:
        parts += [f"## {NAMES[result.engine]}", _table(result)]
        parts.append(f"The events were stored at {rate_of(result.fill_rate)}/s.")
    parts += [f"## Bars: pages of {_PAGE}, one worker, {_CLIENTS} clients", _bars(results)]
    return "\n\n".join(parts) + "\n"


def _table(result: _Result) -> str:
    rows = []
    for choice in _CHOICES:
        first = result.figures[choice, "first page"].rate
        for name in _PAGES:
            each = result.figures[choice, name]
            row = [f"{choice}, {name}", rate_of(each.rate), f"{each.p50_ms:.2f}", f"{each.p99_ms:.2f}"]
            rows.append([*row, f"{each.rate / first:.2f}"])
    return table(["events", "pages/s", "p50", "p99", "of the first page's rate"], rows)


def _bars(results: Sequence[_Result]) -> str:
    rows = []
    for result in results:
        for choice in _CHOICES:
            rates = {name: result.figures[choice, name].rate for name in _PAGES}
            slowest, ratio = min(rates.values()), rates["last page"] / rates["first page"]
            told = f"{NAMES[result.engine]}, {choice}"
            met = verdict(met=slowest >= _BAR_RATE)
            rows.append([f"{told}: slowest page", f"≥ {_BAR_RATE:,}/s", f"{rate_of(slowest)}/s", met])
            met = verdict(met=ratio >= _BAR_RATIO)
            rows.append([f"{told}: last to first", f"≥ {_BAR_RATIO}", f"{ratio:.2f}", met])
    return table(["", "bar", "measured", ""], rows)
