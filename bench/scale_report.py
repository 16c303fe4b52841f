"""The report on a million organizations, and its bars."""

from collections.abc import Iterator

import msgspec

from bench.measure import Figures
from bench.operations import DELETE, LISTS, OPERATIONS
from bench.report import NAMES, Conditions, circumstances, rate_of, table, verdict
from bench.search import Timing, row

CLIENTS = (1, 32, 128)
BAR_CLIENTS, MOST_CLIENTS = 32, 128
_MIB = 1 << 20
_NOTE = (
    "Every write is durable when it is answered, and has its event. The databases were filled by the function"
    " that answers a create; PostgreSQL got a copy of SQLite's rows, then its VACUUM ANALYZE, and has its default"
    " settings (shared_buffers 128 MB). Both were read before each operation, so that"
    " they were in the system's memory."
)
_MOST_P99 = 20.0
_MOST_SEARCH = 1.0
_MOST_BETWEEN = 5.0
_MOST_SHORT = 50.0
_LEAST_KEPT = 0.85
_LEAST_LAST = 0.9
_LEAST_CREATES = {"sqlite": 5000, "postgres": 1500}
_LEAST_BESIDE = 0.7
_MOST_MEMORY = 250 * _MIB
_LEAST_WORKERS = 1.6
_NAMES_OF_READS = [each.name for each in (*OPERATIONS, *LISTS) if not each.writes]
_LAST = (
    ("list of ten, first page", "list of ten, last page"),
    ("oldest first, first page", "oldest first, last page"),
)


class Beside(msgspec.Struct, frozen=True):
    """Reads alone, and with so many creates a second, which were meant to be half of `top`."""

    alone: Figures
    beside: Figures
    writes: float
    top: float


class Measured(msgspec.Struct):
    """All figures so far, by `cell`; the largest process and what searches take beside them."""

    versions: dict[str, str] = {}
    figures: dict[str, Figures] = {}
    beside: dict[str, Beside] = {}
    memory: dict[str, int] = {}
    searches: dict[str, dict[int, list[Timing]]] = {}


def cell(engine: str, count: int, workers: int, operation: str, clients: int) -> str:
    """Return what a figure is known by."""
    return f"{engine} {count} {workers} {operation} {clients}"


def page(measured: Measured, count: int, few: int, conditions: Conditions) -> str:
    """Return the whole report."""
    parts = [
        f"# {count:,} organizations",
        circumstances(list(measured.versions.values()), conditions, _NOTE),
        "## Bars",
        table(
            ["", "bar", "measured", ""],
            [each for engine in measured.versions for each in _bars(engine, measured, count, few)],
        ),
    ]
    for engine in measured.versions:
        parts += [
            f"## {NAMES[engine]}",
            _rates(engine, measured, count, few),
            "What a search takes in the server, without HTTP:",
            table(
                ["search", "matches on the page", "median ms", "p95 ms", "max ms"],
                [row(timing) for timing in measured.searches[engine][count]],
            ),
        ]
    parts.append("Reads beside creates, 32 clients:")
    parts.append(_reads_beside(measured))
    return "\n\n".join(parts) + "\n"


def _rates(engine: str, measured: Measured, count: int, few: int) -> str:
    header = ["operation", f"{few:,}, {BAR_CLIENTS} clients: rate/s", "p99"]
    for clients in CLIENTS:
        header += [f"{clients} client{'s' if clients > 1 else ''}: rate/s", "p50", "p99"]
    rows = []
    for operation in (*OPERATIONS, *LISTS, DELETE):
        small = measured.figures.get(cell(engine, few, 1, operation.name, BAR_CLIENTS))
        cells = [rate_of(small.rate), f"{small.p99_ms:.2f}"] if small else ["", ""]
        for clients in CLIENTS:
            each = measured.figures.get(cell(engine, count, 1, operation.name, clients))
            cells += [rate_of(each.rate), f"{each.p50_ms:.2f}", f"{each.p99_ms:.2f}"] if each else [""] * 3
        if any(cells):
            rows.append([operation.name, *cells])
    return table(header, rows)


def _reads_beside(measured: Measured) -> str:
    rows = []
    for name, each in measured.beside.items():
        engine, _, _, operation = name.rsplit(" ", 1)[0].split(" ", 3)
        rows.append(
            [
                f"{NAMES[engine]}, {operation}",
                rate_of(each.alone.rate),
                rate_of(each.beside.rate),
                f"{each.beside.p99_ms:.2f}",
                f"{rate_of(each.writes)} of {rate_of(each.top)}",
            ]
        )
    return table(["reads", "alone: rate/s", "beside creates: rate/s", "p99", "creates/s, of at most"], rows)


def _bars(engine: str, measured: Measured, count: int, few: int) -> Iterator[list[str]]:
    def of(operation: str, clients: int = BAR_CLIENTS, *, size: int = count, workers: int = 1) -> Figures:
        return measured.figures[cell(engine, size, workers, operation, clients)]

    name = NAMES[engine]
    slowest = max(
        (of(each).p99_ms, each) for each in _NAMES_OF_READS if not each.startswith(("search", "constant"))
    )
    yield _at_most(f"{name}: slowest p99 of a read ({slowest[1]})", _MOST_P99, slowest[0])
    for kind, most in (("a search", _MOST_SEARCH), ("in between", _MOST_BETWEEN), ("1 or 2 letters", _MOST_SHORT)):
        timing = max(
            (each for each in measured.searches[engine][count] if _kind(each.kind) == kind),
            key=lambda each: each.median,
        )
        yield _at_most(f"{name}: slowest median, {kind} ({timing.kind})", most, timing.median)
    for each in ("get", "get by external id"):
        yield _share(
            f"{name}: {each}, of its rate at {few:,}", _LEAST_KEPT, of(each).rate / of(each, size=few).rate
        )
    for first, last in _LAST:
        yield _share(f"{name}: {last}, of the first page's rate", _LEAST_LAST, of(last).rate / of(first).rate)
    creates = of("create", MOST_CLIENTS).rate
    least = _LEAST_CREATES[engine]
    yield [
        f"{name}: creates, 128 clients",
        f"≥ {least:,}/s",
        f"{rate_of(creates)}/s",
        verdict(met=creates >= least),
    ]
    for key, beside in measured.beside.items():
        if key.startswith(engine):
            operation = key.rsplit(" ", 1)[0].split(" ", 3)[3]
            share = beside.beside.rate / beside.alone.rate
            yield _share(f"{name}: {operation}, beside creates at half their rate", _LEAST_BESIDE, share)
    largest = max(size for key, size in measured.memory.items() if key.startswith(engine))
    told = f"{largest / _MIB:.0f} MiB"
    yield [f"{name}: largest worker", "< 250 MiB", told, verdict(met=largest < _MOST_MEMORY)]
    if engine == "postgres":
        share = of("get", MOST_CLIENTS, workers=2).rate / of("get", MOST_CLIENTS).rate
        yield [
            f"{name}: get by two workers, of one's rate",
            f"≥ {_LEAST_WORKERS}",
            f"{share:.2f}",
            verdict(met=share >= _LEAST_WORKERS),
        ]


def _kind(kind: str) -> str:
    """Return which bar holds for a kind of search."""
    if any(text in kind for text in ("1 letter", "2 letters")) and "12" not in kind:
        return "1 or 2 letters"
    return "a search" if kind.startswith(("common", "rare", "absent")) else "in between"


def _at_most(what: str, most: float, found: float) -> list[str]:
    return [what, f"≤ {most:g} ms", f"{found:.2f} ms", verdict(met=found <= most)]


def _share(what: str, least: float, found: float) -> list[str]:
    return [what, f"≥ {least:.0%}", f"{found:.0%}", verdict(met=found >= least)]
