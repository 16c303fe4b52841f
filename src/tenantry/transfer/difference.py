"""What two places have that is not the same: a merge of both by id, in bounded memory."""

import sqlite3
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from tenantry.domains.service import filter_form
from tenantry.domains.wire import DomainRecord
from tenantry.organizations.imports import Given
from tenantry.transfer.sources import Source, SourceFailed

Side = Literal["a", "b", "both"]
_AT_ONCE = 1000


class _Said(msgspec.Struct, frozen=True):
    """What a record says, in one form. One that is not `whole` says nothing of metadata that it does not name."""

    fields: dict[str, Any]
    whole: bool


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Said).decode


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


def _comparable(given: Given) -> _Said:
    """Return what a record says, as an import takes it: null stands for what is not there."""
    record = given.record
    fields: dict[str, Any] = msgspec.to_builtins(record, str_keys=True, enc_hook=str)
    fields.pop("id")
    if record.allow_profiles_outside_organization is None:
        del fields["allow_profiles_outside_organization"]
    if given.whole:
        fields.setdefault("stripe_customer_id", None)
    for field in fields.keys() & {"external_id", "stripe_customer_id"}:
        fields[field] = fields[field] or None
    if "metadata" in fields and given.whole:
        fields["metadata"] = {key: value for key, value in fields["metadata"].items() if value is not None}
    if record.domains is not UNSET:
        fields["domains"] = {filter_form(each.domain): _of_domain(each) for each in record.domains}
    return _Said(fields, given.whole)


def _of_domain(record: DomainRecord) -> dict[str, Any]:
    """Return what a record says of a domain beside its name: without an id nothing but that it is proved."""
    if record.id is UNSET:
        return {"state": record.state} if record.state == "verified" else {}
    value: dict[str, Any] = msgspec.to_builtins(record, str_keys=True, enc_hook=str)
    return {field: each for field, each in value.items() if field != "domain" and each}


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
    for field in sorted(a.fields.keys() & b.fields.keys()):
        left, right = a.fields[field], b.fields[field]
        if field == "metadata":
            left, right = _metadata_compared(a, b)
        elif field == "domains":
            left, right = _domains_compared(left, right)
        if left != right:
            found[field] = (left, right)
    return found


def _metadata_compared(a: _Said, b: _Said) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the metadata of both without the keys of which one says nothing."""
    left, right = a.fields["metadata"], b.fields["metadata"]
    if a.whole and b.whole:
        return left, right
    keys = [key for key in left | right if (a.whole or key in left) and (b.whole or key in right)]
    return {key: left.get(key) for key in keys}, {key: right.get(key) for key in keys}


def _domains_compared(left: dict[str, Any], right: dict[str, Any]) -> tuple[object, object]:
    """Return the domains of both without what only one says of a domain; their names where one says no more."""
    ours, theirs = _restricted(left, right), _restricted(right, left)
    if left.keys() != right.keys() and not all([*ours.values(), *theirs.values()]):
        return sorted(left), sorted(right)
    return ours, theirs


def _restricted(domains: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {field: each for field, each in value.items() if field in others.get(name, value)}
        for name, value in domains.items()
    }
