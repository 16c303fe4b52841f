"""Organizations in files: NDJSON, one object a line, as the wire has it; CSV, with named columns (RFC 4180).

A cell that a spreadsheet would take for a formula is written with an apostrophe before it, and read without.
"""

import csv
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, TextIO

import msgspec

from tenantry.core.cells import neutral, original
from tenantry.core.errors import FieldError
from tenantry.organizations.wire import Organization
from tenantry.transfer.sources import Item, SourceFailed, item_of, item_of_value

STANDARD = "-"
"""Names standard input, or standard output."""

FIELDS = (
    *("id", "name", "external_id", "stripe_customer_id", "allow_profiles_outside_organization", "domains"),
    *("created_at", "updated_at"),
)
METADATA = "metadata."
ClaimedState = Literal["pending", "verified"]

_NOT_ORGANIZATIONS = (b'"object":"snapshot', b'"object": "snapshot')
_CHUNK = 1 << 20
_LARGEST_CELL = 1 << 20


class NdjsonSource:
    """Lines of JSON. A cursor is the number of lines read."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.name = _name(path)

    def total(self) -> int | None:
        return _lines(self._path)

    def items(self, after: str | None) -> Iterator[Item]:
        skipped = int(after or 0)
        with _binary(self._path) as file:
            for number, line in enumerate(file, 1):
                if number > skipped and line.strip() and not any(each in line[:64] for each in _NOT_ORGANIZATIONS):
                    yield item_of(str(number), line)


class CsvSource:
    """Rows of a table. A cursor is the number of rows read.

    `columns` names the column of a field where that is not called like it. Domains that are new are in `state`.
    """

    def __init__(self, path: str, columns: Mapping[str, str], state: ClaimedState) -> None:
        self._path = path
        self._columns = columns
        self._state = state
        self.name = _name(path)

    def total(self) -> int | None:
        lines = _lines(self._path)
        return None if lines is None else max(0, lines - 1)

    def items(self, after: str | None) -> Iterator[Item]:
        skipped = int(after or 0)
        csv.field_size_limit(_LARGEST_CELL)
        with _text(self._path) as file:
            rows = csv.reader(file, strict=True)
            try:
                fields = self._fields(next(rows, []))
                for number, row in enumerate(rows, 1):
                    if number > skipped and row:
                        yield self._item(str(number), fields, row)
            except (csv.Error, UnicodeDecodeError) as error:
                raise SourceFailed(f"{self._path}, line {rows.line_num}: {error}.") from error

    def _fields(self, header: list[str]) -> list[str | None]:
        """Return the field of each column; None for one that is not taken. Raises SourceFailed."""
        names = {column: field for field, column in self._columns.items()}
        missing = [column for column in names if column not in header]
        if missing:
            raise SourceFailed(f"{self._path} has no column '{missing[0]}'. It has: {', '.join(header)}.")
        fields = [names.get(column, None if column in self._columns else column) for column in header]
        known = [field if field in FIELDS or (field or "").startswith(METADATA) else None for field in fields]
        if not {"id", "external_id"} & set(known):
            raise SourceFailed(
                f"{self._path} has neither a column id nor external_id, by which a row is found again."
                f" Name one: --map external_id=COLUMN. It has: {', '.join(header)}."
            )
        return known

    def _item(self, cursor: str, fields: list[str | None], row: list[str]) -> Item:
        if len(row) != len(fields):
            reason = f"the row has {len(row)} cells, the header {len(fields)}"
            return Item(cursor, None, [FieldError("", reason)], {})
        cells = {field: original(cell) for field, cell in zip(fields, row, strict=True) if field is not None}
        return item_of_value(cursor, _value(cells, self._state), whole=False)


def _value(cells: dict[str, str], state: ClaimedState) -> dict[str, Any]:
    """Return the object that a row stands for. An empty cell clears what can be empty, else it is not given."""
    value: dict[str, Any] = {}
    for field, cell in cells.items():
        if field.startswith(METADATA):
            value.setdefault("metadata", {})[field.removeprefix(METADATA)] = cell or None
        elif field == "domains":
            value[field] = [{"domain": name, "state": state} for name in re.split(r"[\s;,]+", cell) if name]
        elif field in {"external_id", "stripe_customer_id"}:
            value[field] = cell or None
        elif field == "allow_profiles_outside_organization" and cell.lower() in {"true", "false"}:
            value[field] = cell.lower() == "true"
        elif cell:
            value[field] = cell
    return value


def columns_of(organizations: Iterator[Organization]) -> list[str]:
    """Return the columns of a table that holds all of these."""
    keys = {key for each in organizations for key in each.metadata}
    return [*FIELDS, *(METADATA + key for key in sorted(keys))]


def row_of(organization: Organization, columns: list[str]) -> list[str]:
    """Return an organization's row."""
    values: dict[str, str] = {
        "id": organization.id,
        "name": organization.name,
        "external_id": organization.external_id or "",
        "stripe_customer_id": organization.stripe_customer_id or "",
        "allow_profiles_outside_organization": str(organization.allow_profiles_outside_organization).lower(),
        "domains": ";".join(domain.domain for domain in organization.domains),
        "created_at": organization.created_at,
        "updated_at": organization.updated_at,
    }
    metadata = {METADATA + key: value for key, value in organization.metadata.items()}
    return [neutral((values | metadata).get(column, "")) for column in columns]


class CsvWriter:
    """Writes organizations as rows under their columns."""

    def __init__(self, file: TextIO, columns: list[str]) -> None:
        self._rows = csv.writer(file)
        self._columns = columns
        self._rows.writerow([neutral(column) for column in columns])
        self._decode = msgspec.json.Decoder(Organization).decode

    def write(self, wire: bytes) -> None:
        """Add one organization, given as JSON."""
        self._rows.writerow(row_of(self._decode(wire), self._columns))


def _name(path: str) -> str:
    """Return what tells a file from another, and from itself after a change."""
    if path == STANDARD:
        return path
    try:
        found = Path(path).stat()
    except OSError as error:
        raise SourceFailed(f"Cannot read {path}: {error.strerror}.") from error
    return f"{Path(path).resolve()} {found.st_size} {found.st_mtime_ns}"


def _lines(path: str) -> int | None:
    if path == STANDARD:
        return None
    with _binary(path) as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(_CHUNK), b""))


@contextmanager
def _binary(path: str) -> Iterator[BinaryIO]:
    if path == STANDARD:
        yield sys.stdin.buffer
        return
    with Path(path).open("rb") as file:
        yield file


@contextmanager
def _text(path: str) -> Iterator[TextIO]:
    if path == STANDARD:
        sys.stdin.reconfigure(encoding="utf-8-sig", newline="")  # type: ignore[union-attr]
        yield sys.stdin
        return
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        yield file
