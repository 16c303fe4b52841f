"""The report on a million organizations, and its bars."""

from collections.abc import Iterator

import msgspec

from bench.measure import Figures
from bench.operations import CREATE_DECLARED, DELETE, LISTS, OPERATIONS
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
_SHARE = 0.4
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


class Side(msgspec.Struct, frozen=True):
    """One of two that are compared: an operation among so many organizations, by so many workers.

    `share` is how much of a core each worker may have: less than a whole one where others need the rest.
    """

    size: int
    workers: int
    operation: str
    share: float | None = None

    @property
    def server(self) -> tuple[int, int, float | None]:
        """What says which server it is asked of."""
        return self.size, self.workers, self.share


class Comparison(msgspec.Struct, frozen=True):
    """What `after` should have at `least` of the rate of `before`."""

    text: str
    before: Side
    after: Side
    clients: int
    least: float


class Compared(msgspec.Struct, frozen=True):
    """The medians of both rates, and that of what one is of the other, run about with run."""

    before: float
    after: float
    share: float


class Measured(msgspec.Struct):
    """All figures so far, by `cell`; the largest process and what searches take beside them.

    `compared` is by engine and text.
    """

    versions: dict[str, str] = {}
    figures: dict[str, Figures] = {}
    beside: dict[str, Beside] = {}
    compared: dict[str, dict[str, Compared]] = {}
    memory: dict[str, int] = {}
    searches: dict[str, dict[int, list[Timing]]] = {}


def cell(engine: str, count: int, operation: str, clients: int) -> str:
    """Return what a figure is known by."""
    return f"{engine} {count} {operation} {clients}"


def comparisons(engine: str, count: int, few: int) -> Iterator[Comparison]:
    """Yield what bars compare. Rates that were measured minutes apart tell more of the machine than of the two."""
    for each in ("get", "get by external id"):
        before, after = Side(few, 1, each), Side(count, 1, each)
        yield Comparison(f"{each}, of its rate at {few:,}", before, after, BAR_CLIENTS, _LEAST_KEPT)
    for first, last in _LAST:
        before, after = Side(count, 1, first), Side(count, 1, last)
        yield Comparison(f"{last}, of the first page's rate", before, after, BAR_CLIENTS, _LEAST_LAST)
    if engine == "postgres":
        for each in ("get", "list of ten, after any id"):
            before, after = Side(count, 1, each, _SHARE), Side(count, 2, each, _SHARE)
            text = f"{each}, by two workers, of one's rate, {_SHARE} of a core for each"
            yield Comparison(text, before, after, MOST_CLIENTS, _LEAST_WORKERS)


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
    parts += ["Compared run about with run, medians:", _compared(measured)]
    parts.append("Reads beside creates, 32 clients:")
    parts.append(_reads_beside(measured))
    return "\n\n".join(parts) + "\n"


def _rates(engine: str, measured: Measured, count: int, few: int) -> str:
    header = ["operation", f"{few:,}, {BAR_CLIENTS} clients: rate/s", "p99"]
    for clients in CLIENTS:
        header += [f"{clients} client{'s' if clients > 1 else ''}: rate/s", "p50", "p99"]
    rows = []
    for operation in (*OPERATIONS, *LISTS, DELETE, CREATE_DECLARED):
        small = measured.figures.get(cell(engine, few, operation.name, BAR_CLIENTS))
        cells = [rate_of(small.rate), f"{small.p99_ms:.2f}"] if small else ["", ""]
        for clients in CLIENTS:
            each = measured.figures.get(cell(engine, count, operation.name, clients))
            cells += [rate_of(each.rate), f"{each.p50_ms:.2f}", f"{each.p99_ms:.2f}"] if each else [""] * 3
        if any(cells):
            rows.append([operation.name, *cells])
    return table(header, rows)


def _compared(measured: Measured) -> str:
    rows = [
        [f"{NAMES[engine]}, {text}", rate_of(each.before), rate_of(each.after), f"{each.share:.0%}"]
        for engine, found in measured.compared.items()
        for text, each in found.items()
    ]
    return table(["", "the other: rate/s", "it: rate/s", "share"], rows)


def _reads_beside(measured: Measured) -> str:
    rows = []
    for name, each in measured.beside.items():
        engine, _, operation = name.rsplit(" ", 1)[0].split(" ", 2)
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
    def of(operation: str, clients: int = BAR_CLIENTS) -> Figures:
        return measured.figures[cell(engine, count, operation, clients)]

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
    for each in comparisons(engine, count, few):
        yield _share(f"{name}: {each.text}", each.least, measured.compared[engine][each.text].share)
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
            operation = key.rsplit(" ", 1)[0].split(" ", 2)[2]
            share = beside.beside.rate / beside.alone.rate
            yield _share(f"{name}: {operation}, beside creates at half their rate", _LEAST_BESIDE, share)
    largest = max(size for key, size in measured.memory.items() if key.startswith(engine))
    told = f"{largest / _MIB:.0f} MiB"
    yield [f"{name}: largest worker", "< 250 MiB", told, verdict(met=largest < _MOST_MEMORY)]


def _kind(kind: str) -> str:
    """Return which bar holds for a kind of search."""
    if any(text in kind for text in ("1 letter", "2 letters")) and "12" not in kind:
        return "1 or 2 letters"
    return "a search" if kind.startswith(("common", "rare", "absent")) else "in between"


def _at_most(what: str, most: float, found: float) -> list[str]:
    return [what, f"≤ {most:g} ms", f"{found:.2f} ms", verdict(met=found <= most)]


def _share(what: str, least: float, found: float) -> list[str]:
    return [what, f"≥ {least:.0%}", f"{found:.0%}", verdict(met=found >= least)]
