"""The report on organizations."""

from collections.abc import Iterable, Sequence

import msgspec

from bench.measure import Figures
from bench.operations import FOR_DECLARED, OPERATIONS
from bench.report import NAMES, Conditions, circumstances, rate_of, table, verdict

CLIENTS = (1, 32)
MEASURED = (*(operation for operation in OPERATIONS if operation not in FOR_DECLARED), *FOR_DECLARED)
"""The operations, in the order in which they are measured."""

_MIB = 1 << 20
_NOTE = (
    "Every write is durable when it is answered, and has its event. Operations are measured in the order of the"
    " table; before the filters by metadata two keys are declared. After the load PostgreSQL had its"
    " VACUUM ANALYZE, which autovacuum does by itself within minutes."
)


class Edge(msgspec.Struct, frozen=True):
    """How many constant answers a second come from the bare server and through Tenantry, run about with run.

    `share` is the median of what Tenantry's runs are of those of the bare server beside them.
    """

    bare_rate: float
    rate: float
    share: float


class Result(msgspec.Struct):
    """All that was measured on one engine; `figures` by name of the operation and number of clients."""

    engine: str
    engine_version: str
    start_seconds: float
    memory_at_rest: int
    load_rate: float = 0.0
    memory_after_load: int = 0
    memory_after_runs: int = 0
    figures: dict[tuple[str, int], Figures] = {}
    edge: Edge | None = None


class _Bar(msgspec.Struct, frozen=True):
    """A mark for SQLite, one worker, 32 clients."""

    text: str
    operation: str
    least: int


BAR_CLIENTS = 32
_BARS = (
    _Bar("get", "get", 15_000),
    _Bar("list of ten", "list of ten, first page", 8_000),
    _Bar("durable create with its event", "create", 4_000),
)
_BARS_OF_FEW = (
    _Bar("get", "get", 30_000),
    _Bar("list of ten", "list of ten, first page", 20_000),
    _Bar("filter by one domain", "filter by one domain", 20_000),
    _Bar("search, a word of many names", "search, a word of many names", 16_000),
    _Bar("search, a whole name", "search, a whole name", 16_000),
    _Bar("update", "update", 6_500),
    _Bar("durable create with its event", "create", 7_000),
)
_FEW = 100
_LEAST_SHARE = 0.6
_MOST_MEMORY = 70 * _MIB
_MOST_START_SECONDS = 0.6


def page(results: Sequence[Result], count: int, conditions: Conditions) -> str:
    """Return the whole report on organizations."""
    parts = [
        f"# {count:,} organizations",
        circumstances([result.engine_version for result in results], conditions, _NOTE),
    ]
    for result in results:
        parts += [f"## {NAMES[result.engine]}", _figures(result)]
        if result.edge is not None:
            parts.append(_edge(result.edge))
    parts += ["## Process", _process(results)]
    marks = _BARS_OF_FEW if count <= _FEW else _BARS
    bars = [_bars(result, marks) for result in results if _has_bars(result)]
    if bars:
        parts += ["## Bars: SQLite, one worker, 32 clients", *bars]
    return "\n\n".join(parts) + "\n"


def _figures(result: Result) -> str:
    header = ["operation"]
    for count in CLIENTS:
        header += [f"{count} client{'s' if count > 1 else ''}: rate/s", "p50", "p99"]
    rows = []
    for operation in MEASURED:
        row = [operation.name]
        for count in CLIENTS:
            each = result.figures[operation.name, count]
            row += [rate_of(each.rate), f"{each.p50_ms:.2f}", f"{each.p99_ms:.2f}"]
        rows.append(row)
    return table(header, rows)


def _edge(edge: Edge) -> str:
    return (
        f"A constant answer, {BAR_CLIENTS} clients, run about with run: {rate_of(edge.bare_rate)}/s from the"
        f" smallest application on the same server, {rate_of(edge.rate)}/s through Tenantry: {edge.share:.0%}."
    )


def _process(results: Iterable[Result]) -> str:
    rows = [
        [
            NAMES[result.engine],
            f"{result.start_seconds:.2f} s",
            _mib(result.memory_at_rest),
            _mib(result.memory_after_load),
            _mib(result.memory_after_runs),
            f"{rate_of(result.load_rate)}/s",
        ]
        for result in results
    ]
    header = [
        "engine",
        "start to first answer",
        "memory at rest",
        "after the load",
        "after the runs",
        "load (client in Python)",
    ]
    return table(header, rows) + "\n\nMemory is the server's resident set; PostgreSQL's own is not in it."


def _has_bars(result: Result) -> bool:
    return result.engine == "sqlite" and ("get", BAR_CLIENTS) in result.figures


def _bars(result: Result, marks: Sequence[_Bar]) -> str:
    rows = []
    for bar in marks:
        rate = result.figures[bar.operation, BAR_CLIENTS].rate
        rows.append([bar.text, f"≥ {bar.least:,}/s", f"{rate_of(rate)}/s", verdict(met=rate >= bar.least)])
    if result.edge is not None:
        share = result.edge.share
        rows.append(
            [
                "constant answer, of the bare server's",
                f"≥ {_LEAST_SHARE:.0%}",
                f"{share:.0%}",
                verdict(met=share >= _LEAST_SHARE),
            ]
        )
    memory, start = result.memory_at_rest, result.start_seconds
    rows += [
        ["memory at rest", f"< {_mib(_MOST_MEMORY)}", _mib(memory), verdict(met=memory < _MOST_MEMORY)],
        [
            "process start to first answer",
            f"< {_MOST_START_SECONDS} s",
            f"{start:.2f} s",
            verdict(met=start < _MOST_START_SECONDS),
        ],
    ]
    return table(["", "bar", "measured", ""], rows)


def _mib(size: int) -> str:
    return f"{size / _MIB:.0f} MiB"
