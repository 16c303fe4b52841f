"""What is kept of an import on its way: exact counts, a report of what could not come, where to go on."""

from pathlib import Path

import msgspec

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
    """Where an import stands: what it reads, where to, the place after what is durable, and the counts so far."""

    source: str
    target: str
    cursor: str | None = None
    counts: Counts = msgspec.field(default_factory=Counts)


def load(path: Path, source: str, target: str) -> Checkpoint:
    """Return the checkpoint in a file, when it is of the same import; else a new one."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Checkpoint)
    except (OSError, msgspec.DecodeError):
        found = None
    if found is not None and (found.source, found.target) == (source, target):
        return found
    return Checkpoint(source=source, target=target)


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint over the one before: a kill leaves the one or the other."""
    beside = path.with_name(path.name + ".part")
    beside.write_bytes(_encode(checkpoint))
    beside.replace(path)


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
