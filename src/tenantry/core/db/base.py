"""What every engine offers: a database that runs work in transactions."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, ClassVar, LiteralString, TypeVar

import msgspec

from tenantry.core.clock import Clock, timestamp
from tenantry.core.entropy import Entropy, alphanumeric
from tenantry.core.hints import Hints
from tenantry.core.ids import IdSource

T = TypeVar("T")
Row = tuple[Any, ...]

# SQLite finds a placeholder's name by going through all before it: of 2,000 that is most of the look-up.
_MOST_PLACEHOLDERS = 128
PARAMETER = re.compile(r"(?<!:):(\w+)")
"""A parameter of a statement, `:name`; `::` is a cast."""


class Collision(Exception):
    """Other work was faster: where works run at the same time this one is run again, and finds what that made."""


class World:
    """What a transaction takes from outside: the time, randomness and what was seen before."""

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        self.clock = clock
        self.entropy = entropy
        self.ids = IdSource(entropy)
        self.hints = Hints()


Values = tuple[object, ...]
"""A row to be inserted: what goes into each column, in their order."""


class Insertion:
    """INSERT into `table`: the statements for `one` row, named or numbered, and on PostgreSQL for `all`.

    `columns` are names with PostgreSQL's types: "id text, wire bytea". Into those of `expressions` goes what these
    say of the value. `otherwise` is what stands behind: ON CONFLICT. Rows that others refer to `lead`: they are in
    place before those that were inserted at the same time.
    """

    def __init__(
        self,
        table: LiteralString,
        columns: LiteralString,
        expressions: Mapping[LiteralString, LiteralString] = MappingProxyType({}),
        otherwise: LiteralString = "",
        *,
        leads: bool = False,
    ) -> None:
        self.leads = leads
        typed = [column.split(" ") for column in columns.split(", ")]
        self.names = [name for name, _ in typed]
        self.is_plain = not expressions
        self._into: LiteralString = "INSERT INTO " + table + " (" + ", ".join(self.names) + ")"
        self._otherwise = otherwise
        given = [expressions.get(name, ":" + name) for name in self.names]
        self.one: LiteralString = self._into + " VALUES (" + ", ".join(given) + ")" + otherwise
        self.numbered = PARAMETER.sub(lambda found: f"?{self.names.index(found[1]) + 1}", self.one)
        arrays = [":" + name + "::" + kind + "[]" for name, kind in typed]
        self.all: LiteralString = self._into + " SELECT * FROM unnest(" + ", ".join(arrays) + ")" + otherwise

    @lru_cache(maxsize=128)  # noqa: B019 (there are a few, and they are for ever)
    def of_many(self, count: int) -> str:
        """Return the statement for `count` rows, whose values follow each other; there are no expressions."""
        row = "(" + ", ".join("?" * len(self.names)) + ")"
        return self._into + " VALUES " + ", ".join([row] * count) + self._otherwise

    def named(self, row: Values) -> dict[str, object]:
        """Return the parameters of `one`."""
        return dict(zip(self.names, row, strict=True))

    def columns_of(self, rows: list[Values]) -> dict[str, object]:
        """Return the parameters of `all`: for each column the values of `rows` (at least one)."""
        return dict(zip(self.names, map(list, zip(*rows, strict=True)), strict=True))


class Transaction(ABC):
    """One unit of work: all its statements take effect together or not at all.

    Statements name their parameters `:name`. A list given to `IN :name` stands for
    its items, texts or numbers; it must not be empty. Rows are tuples, in the order of the columns.
    `engine` is for the few statements that must differ. `known` is there where several requests
    that only add rows share the transaction: what one has looked up, the next need not. `hints` are what
    transactions before have seen.
    """

    engine: ClassVar[str]
    known: dict[object, Any] | None = None

    def __init__(self, world: World) -> None:
        self._world = world
        self.hints = world.hints
        self.milliseconds = world.clock()
        self.now = timestamp(self.milliseconds)

    def new_id(self, prefix: str) -> str:
        """Return a new id of this transaction's time, after all that it made before."""
        return self._world.ids.new(prefix, self.milliseconds)

    def new_token(self, length: int) -> str:
        """Return `length` random characters of `[A-Za-z0-9]`."""
        return alphanumeric(self._world.entropy, length)

    @abstractmethod
    def all(self, sql: LiteralString, **parameters: object) -> list[Row]:
        """Return every row of a query."""

    @abstractmethod
    def one(self, sql: LiteralString, **parameters: object) -> Row | None:
        """Return the first row of a query, or None."""

    def one_assumed(self, assumed: Row | None, sql: LiteralString, **parameters: object) -> Row | None:
        """Do as `one`; but where a look-up takes a journey, `assumed` may be returned, if given.

        Whether it is so is then found out meanwhile, and known before the work's outcome counts: where it is
        not, the work is run again.
        """
        del assumed
        return self.one(sql, **parameters)

    def one_in_place(self, sql: LiteralString, **parameters: object) -> Row | None:
        """Do as `one`, but perhaps without rows that other requests have inserted into the same transaction.

        None of those has its answer yet, so to miss them is as right as to have come first; and where a unique
        index then refuses a row, each of the requests is run again for itself.
        """
        return self.one(sql, **parameters)

    def side_by_side(self, works: Sequence[Callable[["Transaction"], T]]) -> list[T]:
        """Return what each of `works` returns in this transaction; they may run at the same time.

        They only add rows, and none hangs on what another adds. Where a unique index says otherwise, all
        that is done in this transaction is done again, and they one after the other.
        """
        return [work(self) for work in works]

    @abstractmethod
    def run(self, sql: LiteralString, **parameters: object) -> int:
        """Run a statement that returns no rows; return how many rows it changed."""

    @abstractmethod
    def run_all(self, sql: LiteralString, rows: list[dict[str, object]]) -> None:
        """Run a statement once for each of `rows`, its parameters, without a list among them."""

    def insert(self, insertion: Insertion, row: Values) -> None:
        """Insert one row, which is there for the next statement: what fails of it fails the transaction."""
        self.run_later(insertion.one, **insertion.named(row))

    @abstractmethod
    def insert_all(self, insertion: Insertion, rows: list[Values]) -> None:
        """Insert `rows`, which may be none, in this order."""

    def run_later(self, sql: LiteralString, **parameters: object) -> None:
        """Run a statement in its turn, whose outcome is not waited for: what fails of it fails the transaction."""
        self.run(sql, **parameters)

    @abstractmethod
    def has_table(self, name: str) -> bool:
        """Return whether the schema in use has a table of that name."""

    @abstractmethod
    def script(self, sql: str) -> None:
        """Run the statements of a migration."""


class Commits:
    """Tells whoever listens that this process has committed a write. Safe to use from several threads."""

    def __init__(self) -> None:
        self._listeners: tuple[Callable[[], None], ...] = ()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every commit, in the thread that made it: it must be quick and raise nothing."""
        self._listeners = (*self._listeners, listener)

    def leave(self, listener: Callable[[], None]) -> None:
        """Call `listener` no more."""
        self._listeners = tuple(each for each in self._listeners if each != listener)

    def tell(self) -> None:
        """Call every listener."""
        for listener in self._listeners:
            listener()


Work = Callable[[Transaction], T]
"""Work may run more than once before it is committed: it has no effect outside its transaction."""


class Database(ABC):
    """A database on one engine.

    `read` and `write` are for threads that may wait (commands, background work, tests);
    `read_soon` and `write_soon` for the event loop. A write has been made durable when
    it returns, and `commits` has told of it.
    """

    engine: str

    def __init__(self) -> None:
        self.commits = Commits()

    @abstractmethod
    def read(self, work: Work[T]) -> T:
        """Run `work` that changes nothing, here and now."""

    @abstractmethod
    def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction of its own and return when it is durable.

        Raises what `work` raises, after undoing what it did.
        """

    @abstractmethod
    async def read_soon(self, work: Work[T], *, scans: bool = False) -> T:
        """Run `work` that changes nothing.

        `scans` says that it may look at many rows: it runs in a thread, of which there are
        few, and all its statements see one state of the database.
        """

    @abstractmethod
    async def write_soon(self, work: Work[T], *, scans: bool = False, many: bool = False, adds: bool = False) -> T:
        """Do as `write` does, without blocking the event loop.

        `scans` says that it may look at many rows or change many: short work runs on the
        event loop, this in a thread; so does what has `many` statements, if they are run in the
        process itself. `adds` says that it adds rows and changes none, so
        that nothing is likely to collide with it: it may share a transaction with other such work.
        """

    @abstractmethod
    def close(self) -> None:
        """Finish what is under way and let go of every connection."""


def expand_lists(sql: LiteralString, parameters: dict[str, object]) -> tuple[str, dict[str, object]]:
    """Replace each `IN :name` by one placeholder an item, `IN (:name_0, :name_1)`; a long list goes as JSON."""
    expanded: dict[str, object] = {}
    placeholders: list[tuple[str, int]] = []
    for name, value in parameters.items():
        if not isinstance(value, list):
            expanded[name] = value
            continue
        assert value, f"IN :{name} needs a list with items"
        if len(value) > _MOST_PLACEHOLDERS:
            placeholders.append((name, 0))
            expanded[name] = msgspec.json.encode(value).decode()
        else:
            placeholders.append((name, len(value)))
            expanded.update((f"{name}_{index}", item) for index, item in enumerate(value))
    return _with_placeholders(sql, tuple(placeholders)), expanded


@lru_cache(maxsize=1024)
def _with_placeholders(sql: str, placeholders: tuple[tuple[str, int], ...]) -> str:
    """Return a statement with as many placeholders for each list; one that has none is JSON."""
    for name, count in placeholders:
        items = ", ".join(f":{name}_{index}" for index in range(count)) or f"SELECT value FROM json_each(:{name})"
        sql = re.sub(rf"\bIN :{name}\b", f"IN ({items})", sql)
    return sql
