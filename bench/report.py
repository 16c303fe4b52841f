"""What the reports share, as Markdown."""

import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

from bench.measure import wrk

NAMES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}


class Conditions(msgspec.Struct, frozen=True):
    """How it was measured."""

    seconds: int
    repeats: int
    file_system: str
    load_average: float
    command: str


def circumstances(engines: Iterable[str], conditions: Conditions, note: str) -> str:
    """Return on what machine it was measured and how, what is to be known besides, and the command again."""
    return (
        f"{machine(engines, conditions)}\n\n"
        "Server, load client and database share the machine, whose load average was"
        f" {conditions.load_average:.1f} before. Each figure is the median of {conditions.repeats} runs of"
        f" {conditions.seconds} s. Latency is wrk's, in milliseconds. Every answer was a 2xx. The server writes"
        f" one JSON log line a request to a file, as in production. {note}\n\n"
        f"Make it again: `{conditions.command}`"
    )


def machine(engines: Iterable[str], conditions: Conditions) -> str:
    """Return what was measured, and on what machine."""
    tools = f"Python {platform.python_version()}, granian {version('granian')}, {_wrk_version()}"
    return (
        f"Tenantry {version('tenantry')} at {_commit()}, one worker. {os.cpu_count()} cores ({_processor()}),"
        f" Linux {platform.release()}; {tools}, {', '.join(engines)}; data on {conditions.file_system}."
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


def verdict(*, met: bool) -> str:
    """Return the cell that says whether a bar was met."""
    return "met" if met else "**missed**"


def rate_of(rate: float) -> str:
    """Return a rate for people: one place after the point where it is small."""
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"


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
