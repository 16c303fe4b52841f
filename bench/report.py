"""The tables, as Markdown."""

import os
import platform
import sqlite3
import subprocess
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

from bench.measure import Figures, wrk
from bench.operations import OPERATIONS

_MIB = 1 << 20
_NAMES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}


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


class Conditions(msgspec.Struct, frozen=True):
    """How it was measured."""

    count: int
    seconds: int
    repeats: int
    starts: int
    clients: tuple[int, ...]
    file_system: str
    load_average: float
    command: str


class _Bar(msgspec.Struct, frozen=True):
    """A mark for SQLite, one worker, 32 clients, 100,000 organizations."""

    text: str
    operation: str
    least: int


_BAR_CLIENTS = 32
_BARS = (
    _Bar("get", "get", 15_000),
    _Bar("list of ten", "list of ten, first page", 8_000),
    _Bar("durable create with its event", "create", 4_000),
)
_MOST_MEMORY = 70 * _MIB
_MOST_START_SECONDS = 0.6


def page(results: Sequence[Result], conditions: Conditions) -> str:
    """Return the whole report."""
    parts = [f"# {conditions.count:,} organizations", _conditions(results, conditions)]
    for result in results:
        parts += [f"## {_NAMES[result.engine]}", _figures(result, conditions.clients)]
    parts += ["## Process", _process(results)]
    bars = [_bars(result) for result in results if _has_bars(result)]
    if bars:
        parts += ["## Bars: SQLite, one worker, 32 clients", *bars]
    return "\n\n".join(parts) + "\n"


def _conditions(results: Sequence[Result], conditions: Conditions) -> str:
    engines = ", ".join(f"{_NAMES[result.engine]} {result.engine_version}" for result in results)
    tools = f"Python {platform.python_version()}, granian {version('granian')}, {_wrk_version()}"
    return (
        f"Tenantry {version('tenantry')} at {_commit()}, one worker. {os.cpu_count()} cores ({_processor()}),"
        f" Linux {platform.release()}; {tools}, {engines}; data on {conditions.file_system}.\n\n"
        "Server, load client and database share the machine, whose load average was"
        f" {conditions.load_average:.1f} before. Each figure is the median of {conditions.repeats} runs of"
        f" {conditions.seconds} s. Latency is wrk's, in milliseconds. Every answer was a 2xx. Every write"
        " is durable when it is answered, and has its event. The server writes one JSON log line a request to a"
        " file, as in production. After the load PostgreSQL had its VACUUM ANALYZE, which autovacuum does by"
        " itself within minutes.\n\n"
        f"Make it again: `{conditions.command}`"
    )


def _wrk_version() -> str:
    done = subprocess.run([wrk(), "--version"], capture_output=True, text=True, check=False)
    return " ".join((done.stdout or done.stderr).split()[:2])


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    line = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "an unknown commit"


def _figures(result: Result, clients: Sequence[int]) -> str:
    header = ["operation"]
    for count in clients:
        header += [f"{count} client{'s' if count > 1 else ''}: rate/s", "p50", "p99"]
    rows = []
    for operation in OPERATIONS:
        row = [operation.name]
        for count in clients:
            each = result.figures[operation.name, count]
            row += [_rate(each.rate), f"{each.p50_ms:.2f}", f"{each.p99_ms:.2f}"]
        rows.append(row)
    return table(header, rows)


def _process(results: Iterable[Result]) -> str:
    rows = [
        [
            _NAMES[result.engine],
            f"{result.start_seconds:.2f} s",
            _mib(result.memory_at_rest),
            _mib(result.memory_after_load),
            _mib(result.memory_after_runs),
            f"{_rate(result.load_rate)}/s",
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
    return result.engine == "sqlite" and ("get", _BAR_CLIENTS) in result.figures


def _bars(result: Result) -> str:
    rows = []
    for bar in _BARS:
        rate = result.figures[bar.operation, _BAR_CLIENTS].rate
        rows.append([bar.text, f"≥ {bar.least:,}/s", f"{_rate(rate)}/s", _verdict(met=rate >= bar.least)])
    memory, start = result.memory_at_rest, result.start_seconds
    rows += [
        ["memory at rest", f"< {_mib(_MOST_MEMORY)}", _mib(memory), _verdict(met=memory < _MOST_MEMORY)],
        [
            "process start to first answer",
            f"< {_MOST_START_SECONDS} s",
            f"{start:.2f} s",
            _verdict(met=start < _MOST_START_SECONDS),
        ],
    ]
    return table(["", "bar", "measured", ""], rows)


def _verdict(*, met: bool) -> str:
    return "met" if met else "**missed**"


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"


def _mib(size: int) -> str:
    return f"{size / _MIB:.0f} MiB"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table that reads as one in a terminal too: first column left, the others right."""
    widths = [max(len(line[index]) for line in [header, *rows]) for index in range(len(header))]
    ruler = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(_line(line, widths) for line in [header, ruler, *rows])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = [
        cell.ljust(width) if index == 0 else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "| " + " | ".join([first, *others]) + " |"


def sqlite_version() -> str:
    """Return the version of the SQLite that the server uses."""
    return sqlite3.sqlite_version
