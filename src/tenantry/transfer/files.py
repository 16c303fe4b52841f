"""Organizations in files: NDJSON, one object a line, as the wire has it; CSV, with named columns (RFC 4180).

A cell that a spreadsheet would take for a formula is written with an apostrophe before it, and read without.
"""

import codecs
import csv
import io
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, TextIO

import msgspec

from tenantry.core.cells import neutral, original
from tenantry.organizations.wire import Organization
from tenantry.transfer.sources import Item, SourceFailed, item_of, item_of_value, refused

STANDARD = "-"
"""Names standard input, or standard output."""

FIELDS = (
    *("id", "name", "external_id", "stripe_customer_id", "allow_profiles_outside_organization", "domains"),
    *("created_at", "updated_at"),
)
METADATA = "metadata."
ClaimedState = Literal["pending", "verified"]

_NOT_ORGANIZATIONS = (b'"object":"snapshot', b'"object": "snapshot')
_UNDECODED = re.compile("[\udc80-\udcff]")
_LARGEST_CELL = 1 << 20


class _FileSource:
    """A file, or a pipe, which does not last."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self.name, self._size = _name_and_size(path)
        self.lasts = self._size is not None

    def total(self) -> int | None:
        return self._size

    def position(self) -> int | None:
        if self._size is None:
            return None
        return self._size if self._file is None or self._file.closed else self._file.tell()

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        """Yield the file. Raises SourceFailed, also when it cannot be read any further."""
        try:
            if self._path == STANDARD:
                yield sys.stdin.buffer
                return
            with Path(self._path).open("rb") as self._file:
                yield self._file
        except OSError as error:
            raise _unreadable(self._path, error) from error


class NdjsonSource(_FileSource):
    """Lines of JSON. A cursor is the number of lines read."""

    def items(self, after: str | None) -> Iterator[Item]:
        skipped = int(after or 0)
        with self._opened() as file:
            for number, line in enumerate(file, 1):
                text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
                if number > skipped and text.strip() and not any(each in text[:64] for each in _NOT_ORGANIZATIONS):
                    yield item_of(str(number), text)


class CsvSource(_FileSource):
    """Rows of a table. A cursor is the number of rows read.

    `columns` names the column of a field where that is not called like it. Domains that are new are in `state`.
    """

    def __init__(self, path: str, columns: Mapping[str, str], state: ClaimedState) -> None:
        super().__init__(path)
        self._columns = columns
        self._state = state
        # Of the same rows, read otherwise, other records come.
        self.name += f" {sorted(columns.items())} {state}"

    def items(self, after: str | None) -> Iterator[Item]:
        skipped = int(after or 0)
        csv.field_size_limit(_LARGEST_CELL)
        with self._opened() as file, _decoded(file) as lines:
            rows = csv.reader(lines, strict=True)
            try:
                fields = self._fields(next(rows, []))
                for number, row in enumerate(rows, 1):
                    if number > skipped and row:
                        yield self._item(str(number), fields, row)
            except csv.Error as error:
                raise SourceFailed(f"{self._path}, line {rows.line_num}: {error}.") from error

    def _fields(self, header: list[str]) -> list[list[str]]:
        """Return the fields that each column gives. Raises SourceFailed."""
        missing = [column for column in self._columns.values() if column not in header]
        if missing:
            raise SourceFailed(f"{self._path} has no column '{missing[0]}'. It has: {', '.join(header)}.")
        taken = [self._fields_of(column) for column in header]
        twice = [
            column for column, fields in zip(header, taken, strict=True) if fields and header.count(column) > 1
        ]
        if twice:
            raise SourceFailed(f"{self._path} has more than one column '{twice[0]}'. Rename all but one.")
        if not {"id", "external_id"} & {field for fields in taken for field in fields}:
            raise SourceFailed(
                f"{self._path} has neither a column id nor external_id, by which a row is found again."
                f" Name one: --map external_id=COLUMN. It has: {', '.join(header)}."
            )
        return taken

    def _fields_of(self, column: str) -> list[str]:
        """Return the fields for which a column was named; where none was, the one that it is called like."""
        mapped = [field for field, named in self._columns.items() if named == column]
        return mapped or ([column] if is_field(column) and column not in self._columns else [])

    def _item(self, cursor: str, fields: list[list[str]], row: list[str]) -> Item:
        if len(row) != len(fields):
            return refused(cursor, f"the row has {len(row)} cells, the header {len(fields)}")
        if _UNDECODED.search("".join(row)):
            return refused(cursor, "the row is not valid UTF-8")
        cells = {field: original(cell) for each, cell in zip(fields, row, strict=True) for field in each}
        return item_of_value(cursor, _value(cells, self._state), whole=False)


def is_field(name: str) -> bool:
    """Return whether a table can have a field of that name."""
    return name in FIELDS or (name.startswith(METADATA) and name != METADATA)


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


def _name_and_size(path: str) -> tuple[str, int | None]:
    """Return what tells a file from another, and from itself after a change; its size, if it is a regular file."""
    if path == STANDARD:
        return path, None
    try:
        found = Path(path).stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    if stat.S_ISDIR(found.st_mode):
        raise SourceFailed(f"Cannot read {path}: it is a folder. Name a file in it.")
    name = f"{Path(path).resolve()} {found.st_size} {found.st_mtime_ns}"
    return name, found.st_size if stat.S_ISREG(found.st_mode) else None


def _unreadable(path: str, error: OSError) -> SourceFailed:
    return SourceFailed(f"Cannot read {path}: {error.strerror}.")


@contextmanager
def _decoded(file: BinaryIO) -> Iterator[TextIO]:
    """Yield the text of a file, with the bytes that are no UTF-8 as they are."""
    text = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
    try:
        yield text
    finally:
        text.detach()
