"""Organizations in bulk: into an environment, out of one, and what two places have that is not the same."""

import io
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import BinaryIO, Literal

import msgspec

from tenantry.core.caller import Caller
from tenantry.core.db import Database, Transaction
from tenantry.domains.service import DomainRules
from tenantry.organizations.imports import Given, Taken, Trial, take_in
from tenantry.organizations.wire import Organization
from tenantry.transfer.files import CsvWriter, columns_of
from tenantry.transfer.sources import Item, Source, SourceFailed, every

# The more there are, the fewer pages of indexes SQLite writes again and again, and the more memory it takes.
_AT_ONCE = {"sqlite": 5000, "postgres": 2000}
# While one waits for PostgreSQL another works, on the two connections that threads always have. SQLite has one
# writer, which threads beside it hold up but while it commits: then the next is read.
_AT_WORK = {"sqlite": 1, "postgres": 2}
# Of a slow source what has come is made durable, however little it is.
_LONGEST_WAIT = 2.0
_TOLD_EVERY = 500

Format = Literal["ndjson", "csv"]

_decode = msgspec.json.Decoder(Organization).decode


class Batch(msgspec.Struct, frozen=True):
    """Records of a source with what became of each, durable; `cursor` is the place after them."""

    cursor: str
    items: list[Item]
    taken: list[Taken]


def take_all(
    database: Database,
    caller: Caller,
    source: Source,
    rules: DomainRules,
    *,
    after: str | None,
    dry_run: bool,
    seconds: Callable[[], float] = time.monotonic,
) -> Iterator[Batch]:
    """Take in what `source` has past `after`, and yield it in its order as it becomes durable.

    What a slow source gives is not kept waiting for more than two seconds, by the clock `seconds`, if more comes.
    Holds 10,000 records in memory at most; a dry run keeps what it would have made in a temporary file. Raises
    SourceFailed, after what was read before has been yielded.
    """
    batches = _batches(source.items(after), _AT_ONCE[database.engine], seconds)
    return (_try_each if dry_run else _take_each)(database, caller, batches, rules)


def _try_each(
    database: Database, caller: Caller, batches: Iterator[list[Item]], rules: DomainRules
) -> Iterator[Batch]:
    """Yield of each batch what would come of it, one after the other: each must know what those before make."""
    with closing(Trial()) as trial:
        for items in batches:
            take = partial(take_in, caller=caller, given=_given(items), rules=rules, trial=trial)
            yield _batch(items, database.read(take))


def _take_each(
    database: Database, caller: Caller, batches: Iterator[list[Item]], rules: DomainRules
) -> Iterator[Batch]:
    """Yield each batch as it becomes durable."""
    waiting: deque[tuple[set[str], Future[Batch]]] = deque()
    most = _AT_WORK[database.engine]
    take = partial(_take, database, caller, rules)
    with ThreadPoolExecutor(most, "tenantry-import") as pool:
        try:
            for items in batches:
                about = set().union(*(item.identities for item in items))
                while waiting and (
                    len(waiting) >= most or any(not about.isdisjoint(others) for others, _ in waiting)
                ):
                    yield waiting.popleft()[1].result()
                at_commit = threading.Event()
                waiting.append((about, pool.submit(take, items, at_commit)))
                if database.engine == "sqlite":
                    at_commit.wait()
                if len(items) < _AT_ONCE[database.engine]:
                    # The source is slow, or what comes next has to wait for this one.
                    yield from _all_of(waiting)
        except SourceFailed:
            yield from _all_of(waiting)
            raise
        yield from _all_of(waiting)


def _all_of(waiting: deque[tuple[set[str], Future[Batch]]]) -> Iterator[Batch]:
    while waiting:
        yield waiting.popleft()[1].result()


def _batches(items: Iterator[Item], most: int, seconds: Callable[[], float]) -> Iterator[list[Item]]:
    """Yield the items, `most` at a time, none of which is about the same organization as another.

    When the source has been waited for long, those that have come are a batch. Raises SourceFailed as `items`
    does, after the items before.
    """
    batch: list[Item] = []
    seen: set[str] = set()
    waited = 0.0
    asked = seconds()
    try:
        for item in items:
            waited += seconds() - asked
            if batch and (len(batch) >= most or waited >= _LONGEST_WAIT or not seen.isdisjoint(item.identities)):
                yield batch
                batch, seen, waited = [], set(), 0.0
            batch.append(item)
            seen |= item.identities
            asked = seconds()
    except SourceFailed:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _take(
    database: Database, caller: Caller, rules: DomainRules, items: list[Item], at_commit: threading.Event
) -> Batch:
    """Take in a batch; `at_commit` is set when there is nothing left to do but to make it durable."""
    given = _given(items)

    def work(tx: Transaction) -> list[Taken]:
        try:
            return take_in(tx, caller, given, rules)
        finally:
            at_commit.set()

    try:
        return _batch(items, database.write(work))
    finally:
        at_commit.set()


def _given(items: list[Item]) -> list[Given]:
    return [item.given for item in items if item.given is not None]


def _batch(items: list[Item], taken: list[Taken]) -> Batch:
    """Return the items with what became of each; what is no record was not taken in."""
    rest = iter(taken)
    outcomes = [
        Taken("refused", item.shown.get("id"), item.problems) if item.given is None else next(rest)
        for item in items
    ]
    return Batch(items[-1].cursor, items, outcomes)


def export(tx: Transaction, caller: Caller, form: Format, file: BinaryIO, progress: Callable[[int], None]) -> int:
    """Write every organization of an environment to `file`; return how many.

    `progress` is told of each some that were written. The transaction must see one state of the database.
    """
    if form == "ndjson":
        return _write_all((partial(file.write, wire + b"\n") for wire in every(tx, caller)), progress)
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    table = CsvWriter(text, columns_of(map(_decode, every(tx, caller))))
    count = _write_all((partial(table.write, wire) for wire in every(tx, caller)), progress)
    text.detach()
    return count


def _write_all(writes: Iterator[Callable[[], object]], progress: Callable[[int], None]) -> int:
    count = 0
    for count, write in enumerate(writes, 1):
        write()
        if count % _TOLD_EVERY == 0:
            progress(_TOLD_EVERY)
    progress(count % _TOLD_EVERY)
    return count
