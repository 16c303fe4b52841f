"""The requests of a universe and what they were answered: the latest of them, within bounds."""

from collections import deque
from collections.abc import Iterator
from typing import Literal

import msgspec

from tenantry.core.clock import timestamp
from tenantry.lab.fault_rules import FaultRule

MOST_REQUESTS = 10_000
MOST_BYTES = 8 << 20
MOST_BODY_BYTES = 32 << 10
"""How much of a body is kept."""

PREFIX = "request"

_ENTRY_BYTES = 800  # what Python makes of an entry beside its texts, about

Sent = Literal["all", "part", "none"]
Fields = tuple[tuple[str, str], ...]


class Kept(msgspec.Struct, frozen=True, gc=False):
    """A body as it is kept: its beginning, and how long it was."""

    start: bytes
    length: int

    @property
    def is_whole(self) -> bool:
        """Whether all of it was kept."""
        return len(self.start) == self.length


def kept(body: bytes, length: int | None = None) -> Kept:
    """Return what is kept of `body`, or of what begins with it and has `length` bytes."""
    return Kept(body[:MOST_BODY_BYTES], len(body) if length is None else length)


def lines(fields: list[tuple[str, str]]) -> str:
    """Return headers as they are kept: one text costs a third of what its parts do."""
    return "\n".join([f"{name}: {value}" for name, value in fields])


def _fields(head: str) -> Fields:
    pairs = (line.partition(": ") for line in head.split("\n") if line)
    return tuple((name, value) for name, _, value in pairs)


class Answered(msgspec.Struct, frozen=True, gc=False):
    """What a request was answered, or would have been; `body` is None where it is a stream."""

    status: int
    head: str
    body: Kept | None

    @property
    def fields(self) -> Fields:
        """Its headers, names in lower case."""
        return _fields(self.head)


class Hit(msgspec.Struct, frozen=True, gc=False):
    """The fault that hit a request."""

    id: str
    rule: FaultRule


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One request. `at` is by the universe's clock; `head` are its headers, a line each.

    `sent` is how much of the answer went out: all of it, a part, or nothing.
    """

    number: int
    at: int
    method: str
    path: str
    query: str
    head: str
    body: Kept
    answer: Answered | None
    sent: Sent
    milliseconds: float
    hit: Hit | None

    @property
    def id(self) -> str:
        """Its id; ids sort in the order in which the requests were answered."""
        return f"{PREFIX}_{self.number:010d}"

    @property
    def fields(self) -> Fields:
        """Its headers, names in lower case."""
        return _fields(self.head)


def number_of(identity: str) -> int | None:
    """Return the number in an entry's id, None when it is no such id."""
    prefix, _, digits = identity.rpartition("_")
    return int(digits) if prefix == PREFIX and digits.isascii() and digits.isdecimal() else None


def is_since(number: int, at: int, since: str | None) -> bool:
    """Return whether a request with that number and time is not older than `since`: a time, or an entry's id."""
    if since is None:
        return True
    before = number_of(since)
    return timestamp(at) >= since if before is None else number > before


def weight(entry: Entry) -> int:
    """Return how many bytes of memory an entry takes, about."""
    size = _ENTRY_BYTES + len(entry.path) + len(entry.query) + len(entry.head) + len(entry.body.start)
    if entry.answer is not None:
        size += len(entry.answer.head)
        if entry.answer.body is not None:
            size += len(entry.answer.body.start)
    return size


class RequestLog:
    """The latest requests of one universe; the oldest are forgotten to stay in bounds. Used from one thread."""

    def __init__(self, most: int = MOST_REQUESTS, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._entries: deque[tuple[Entry, int]] = deque()
        self._bytes = 0
        self._made = 0
        self.forgotten = 0
        self._last_forgotten = (0, 0)

    def next_number(self) -> int:
        """Return the number of the next entry."""
        self._made += 1
        return self._made

    def add(self, entry: Entry) -> None:
        """Keep an entry, and forget the oldest that there is no room for."""
        size = weight(entry)
        self._entries.append((entry, size))
        self._bytes += size
        while len(self._entries) > self._most or (self._bytes > self._most_bytes and len(self._entries) > 1):
            oldest, freed = self._entries.popleft()
            self._bytes -= freed
            self.forgotten += 1
            self._last_forgotten = oldest.number, max(oldest.at, self._last_forgotten[1])

    def remembers(self, since: str | None) -> bool:
        """Return whether every request is kept that is not older than `since`, all where that is None."""
        return not self.forgotten or not is_since(*self._last_forgotten, since)

    def clear(self) -> None:
        """Forget every entry. Their numbers are not given again."""
        self._entries.clear()
        self._bytes = 0
        self.forgotten = 0
        self._last_forgotten = (0, 0)

    def newest_first(self) -> Iterator[Entry]:
        """Yield every entry that is kept."""
        return (entry for entry, _ in reversed(self._entries))

    def find(self, number: int) -> Entry | None:
        """Return the entry with that number, None when it is not kept."""
        return next((entry for entry in self.newest_first() if entry.number == number), None)
