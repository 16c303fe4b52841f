"""What is kept of an import on its way: counts, a report of what could not come, where to go on.

A batch is durable before its checkpoint is saved. When an import fails or is interrupted, what is durable is in
the checkpoint, and all of this is exact. When it is killed outright, the last batches may not be: after it goes on
they are counted again, as unchanged, and their lines may be in the report twice. Nothing is taken in twice.
"""

from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from tenantry.transfer import output
from tenantry.transfer.service import Batch

_encode = msgspec.json.Encoder().encode


class Counts(msgspec.Struct, kw_only=True):
    """What became of the records. `domains_left_out` counts domains that could not come with theirs."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    kept: int = 0
    refused: int = 0
    domains_left_out: int = 0

    def add(self, batch: Batch) -> None:
        """Count a batch."""
        for taken in batch.taken:
            setattr(self, taken.outcome, getattr(self, taken.outcome) + 1)
            if taken.outcome not in {"refused", "kept"}:
                self.domains_left_out += len(taken.problems)

    @property
    def records(self) -> int:
        """How many records there were."""
        return self.created + self.updated + self.unchanged + self.kept + self.refused


class Checkpoint(msgspec.Struct, kw_only=True):
    """Where an import stands: what it reads, where to, the place after what is durable, and the counts so far.

    `report` is the file of its report.
    """

    source: str
    target: str
    cursor: str | None = None
    counts: Counts = msgspec.field(default_factory=Counts)
    report: str = ""


class NotACheckpoint(Exception):
    """There is a file in the checkpoint's place that is none; the message says what to do."""


def load(path: Path) -> Checkpoint | None:
    """Return the checkpoint in a file, None when there is no file. Raises NotACheckpoint and OSError."""
    if output.is_stream(path) or not path.exists():
        return None
    held = path.read_bytes()
    try:
        return msgspec.json.decode(held, type=Checkpoint) if held else None
    except msgspec.DecodeError as error:
        raise NotACheckpoint(
            f"{path} is no checkpoint, and would be written over. Name another file with --checkpoint."
        ) from error


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint over the one before: a kill leaves the one or the other. Raises OSError."""
    with output.written(path) as file:
        file.write(_encode(checkpoint))


def remove(path: Path) -> None:
    """Remove the checkpoint of an import that is done. Raises OSError."""
    if not output.is_stream(path):
        output.real(path).unlink(missing_ok=True)


class Report:
    """The report of an import, in place of the one before when the import ends, in whatever way.

    With `goes_on` it goes on with the lines that are there. An import of which nothing came leaves the one
    before; of one that has nothing to report there is none.
    """

    def __init__(self, path: Path, *, goes_on: bool) -> None:
        self._path = path
        self._goes_on = goes_on
        self._counts = goes_on
        self._is_stream = output.is_stream(path)
        self.holds_lines = False

    def __enter__(self) -> Self:
        """Open it. Raises OSError."""
        self._file = self._opened()
        return self

    def _opened(self) -> BinaryIO:
        if self._is_stream:
            return output.open_stream(self._path)
        part = output.part_of(self._path)
        if self._goes_on and not part.exists() and self._path.exists():
            # The import ended by itself, not by a kill: its lines have taken their name.
            output.real(self._path).replace(part)
        return output.open_part(self._path, goes_on=self._goes_on)

    def add(self, batch: Batch) -> None:
        """Write what of a batch could not come. Raises OSError."""
        self._counts = True
        if lines := report_of(batch):
            self._file.writelines(lines)
            self._file.flush()
            self.holds_lines = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._is_stream:
            return
        part, real = output.part_of(self._path), output.real(self._path)
        self.holds_lines = part.stat().st_size > 0
        if self.holds_lines:
            part.replace(real)
            return
        part.unlink()
        if self._counts or error is None:
            real.unlink(missing_ok=True)


def report_of(batch: Batch) -> list[bytes]:
    """Return a line of JSON for each thing of a batch that could not come, with the reason."""
    return [
        _encode(
            item.shown
            | {"place": item.cursor, "outcome": taken.outcome, "field": problem.field, "reason": problem.code}
        )
        + b"\n"
        for item, taken in zip(batch.items, batch.taken, strict=True)
        for problem in taken.problems
    ]
