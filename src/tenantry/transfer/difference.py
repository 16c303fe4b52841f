"""What two places have that is not the same: a merge of both by id, in bounded memory."""

import sqlite3
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from tenantry.organizations.imports import Given
from tenantry.transfer.sources import Source, SourceFailed

Side = Literal["a", "b", "both"]
_AT_ONCE = 1000

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One organization that is in one place only, or whose `fields` differ: value in A, value in B."""

    id: str
    side: Side
    fields: dict[str, tuple[object, object]] = msgspec.field(default_factory=dict)


@contextmanager
def sorted_by_id(source: Source, folder: Path) -> Iterator[sqlite3.Connection]:
    """Yield a database of a source's records in `folder`, which keeps memory bounded whatever their order.

    Raises SourceFailed, also for a record that is none or has no id.
    """
    handle = tempfile.NamedTemporaryFile(dir=folder, suffix=".db")  # noqa: SIM115 (closed below, after its user)
    with handle, closing(sqlite3.connect(handle.name, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("CREATE TABLE records (id TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")
        connection.execute("BEGIN")
        connection.executemany("INSERT OR REPLACE INTO records VALUES (?, ?)", _records(source))
        yield connection


def _records(source: Source) -> Iterator[tuple[str, bytes]]:
    for item in source.items(None):
        if item.given is None or "id" not in item.shown:
            reason = "; ".join(problem.code for problem in item.problems) or "it has no id"
            raise SourceFailed(f"Record {item.cursor} cannot be compared: {reason}.")
        yield item.shown["id"], _encode(_comparable(item.given))


def _comparable(given: Given) -> dict[str, Any]:
    """Return what a record says, in one form; of domains their names alone where it says no more."""
    value: dict[str, Any] = msgspec.to_builtins(given.record, str_keys=True, enc_hook=str)
    value.pop("id")
    if "metadata" in value:
        value["metadata"] = {key: each for key, each in value["metadata"].items() if each is not None}
    if given.whole:
        value.setdefault("stripe_customer_id", None)
    if "domains" in value:
        value["domains"] = {each.pop("domain"): each if given.whole else None for each in value["domains"]}
    return value


def differences(a: sqlite3.Connection, b: sqlite3.Connection) -> Generator[Difference | None, None, None]:
    """Yield for each id, in order, how it differs; None where it does not."""
    left, right = _walk(a), _walk(b)
    one, other = next(left, None), next(right, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one[0] < other[0]):
            assert one is not None
            yield Difference(id=one[0], side="a")
            one = next(left, None)
        elif one is None or other[0] < one[0]:
            yield Difference(id=other[0], side="b")
            other = next(right, None)
        else:
            fields = _differing(one[1], other[1])
            yield Difference(id=one[0], side="both", fields=fields) if fields else None
            one, other = next(left, None), next(right, None)


def _walk(connection: sqlite3.Connection) -> Iterator[tuple[str, bytes]]:
    yield from connection.execute("SELECT id, value FROM records ORDER BY id")


def _differing(one: bytes, other: bytes) -> dict[str, tuple[object, object]]:
    """Return the fields that both name and that differ."""
    if one == other:
        return {}
    a, b = _decode(one), _decode(other)
    found: dict[str, tuple[object, object]] = {}
    for field in sorted(a.keys() & b.keys()):
        left, right = a[field], b[field]
        if field == "domains" and (None in left.values() or None in right.values()):
            left, right = sorted(left), sorted(right)
        if left != right:
            found[field] = (left, right)
    return found
