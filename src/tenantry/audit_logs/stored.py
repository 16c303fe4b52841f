"""Checks what is stored: the chain of a trail, and that what events are found by says what they say."""

from collections.abc import Callable, Iterator, Mapping

import msgspec

from tenantry.audit_logs import seals
from tenantry.audit_logs.chain import START, Trail, checkpoint_line, header_line, unsealed_line
from tenantry.audit_logs.records import line_of, unsealed
from tenantry.audit_logs.seals import EventColumns, StoredSeal, TargetRow, TrailNumber
from tenantry.audit_logs.verify import Broken, Checked, check, checkpoints_in
from tenantry.audit_logs.wire import AuditLogTarget
from tenantry.core.db import Transaction

_AT_ONCE = 1000


class _Who(msgspec.Struct, frozen=True):
    type: str
    id: str


class _Kept(msgspec.Struct, frozen=True):
    """What an event says of itself, so far as it can be found by it."""

    id: str
    organization_id: str
    occurred_at: str
    created_at: str
    action: str
    actor: _Who
    targets: list[AuditLogTarget]
    version: int


_decode = msgspec.json.Decoder(_Kept).decode


def trails(tx: Transaction, environment_id: str | None, organization_id: str | None) -> list[TrailNumber]:
    """Return the trails of an environment and an organization; of all where None is given."""
    return seals.select_trail_numbers(tx, environment_id, organization_id)


def public_keys(tx: Transaction) -> dict[str, bytes]:
    """Return every key that the database knows, by id. Whoever can write there could have added one."""
    return {row.id: row.public_key for row in seals.select_keys(tx)}


def check_trail(
    tx: Transaction, trail: TrailNumber, known: Mapping[str, bytes], tell: Callable[[int], None]
) -> Checked:
    """Return what a trail holds when all of it is right; tell of each thousand events. Raises Broken.

    All must be one state of the database (`scans`).
    """
    rows = seals.select_checkpoints(tx, trail.number)
    checkpoints = checkpoints_in((checkpoint_line(row.statement, row.signature) for row in rows), known)
    walk = _Walk(tx, trail, tell)
    checked = check(walk.lines(), checkpoints)
    _check_chain(tx, trail.number, checked)
    walk.targets.check_that_no_other_is_stored()
    return checked


class _Targets:
    """The targets that the events of a trail have, compared with those that are stored to find them by."""

    def __init__(self, tx: Transaction, trail: int) -> None:
        self._tx = tx
        self._trail = trail
        self._wanted: list[TargetRow] = []
        self._count = 0

    def add(self, position: int, kept: _Kept) -> None:
        """Remember an event's targets until they are looked up."""
        self._wanted += [
            TargetRow(target_id, kept.occurred_at, position, type_)
            for target_id, type_ in {(each.id, each.type) for each in kept.targets}
        ]

    def look_up(self) -> None:
        """Raise Broken unless what was remembered is stored."""
        lost = seals.select_target_not_there(self._tx, self._trail, self._wanted) if self._wanted else None
        if lost is not None:
            raise Broken(f"An event of {lost.occurred_at} is not found by its target {_named(lost)}.")
        self._count += len(self._wanted)
        self._wanted = []

    def check_that_no_other_is_stored(self) -> None:
        """Raise Broken if an event is found by a target that it does not have."""
        stored = seals.count_targets(self._tx, self._trail)
        if stored == self._count:
            return
        after = TargetRow("", "", 0, "")
        while rows := seals.select_targets(self._tx, self._trail, after, _AT_ONCE):
            for row, wire in rows:
                if wire is None or (row.target_id, row.target_type) not in _targets_of(wire):
                    raise Broken(
                        f"An event of {row.occurred_at} is found by the target {_named(row)}, not its own."
                    )
            after = rows[-1][0]
        raise Broken(f"The events have {self._count} targets; {stored} are stored to find them by.")


def _named(row: TargetRow) -> str:
    return f"{row.target_id!r} of the type {row.target_type!r}"


def _targets_of(wire: bytes) -> set[tuple[str, str]]:
    return {(each.id, each.type) for each in _decode(wire).targets}


class _Walk:
    """The lines of a trail, as they would stand in its file; `targets` are those of its events."""

    def __init__(self, tx: Transaction, trail: TrailNumber, tell: Callable[[int], None]) -> None:
        self._tx = tx
        self._number = trail.number
        self._trail = Trail(trail.environment_id, trail.organization_id)
        self._tell = tell
        self.targets = _Targets(tx, trail.number)

    def lines(self) -> Iterator[bytes]:
        yield header_line(self._trail, self._tx.now, filtered=False)
        yield from self._sealed()
        stray = seals.select_stray(self._tx, self._number, seals.select_sealing(self._tx))
        if stray is not None:
            raise Broken(
                f"An event without a seal ({stray}) stands among sealed ones:"
                " it was inserted, or its seal deleted."
            )
        for position, wire in unsealed(self._tx, self._number):
            yield unsealed_line(wire)
            self.targets.add(position, _decode(wire))
        self.targets.look_up()

    def _sealed(self) -> Iterator[bytes]:
        chain = seals.select_chain(self._tx, self._number)
        after = chain.first_sequence - 1 if chain else 0
        previous = seals.select_hashes(self._tx, self._number, [after]).get(after, START)
        while rows := seals.select_whole(self._tx, self._number, after, _AT_ONCE):
            for row, columns in rows:
                self._check_presence(row)
                yield line_of(row, previous)
                # The event's hash was found right: now for what stands beside it.
                if row.wire is not None and columns is not None:
                    self._check_columns(row, row.wire, columns)
                previous = row.hash
            self.targets.look_up()
            after = rows[-1][0].sequence
            self._tell(len(rows))

    def _check_presence(self, row: StoredSeal) -> None:
        """Raise Broken if a seal's event is no event, or is there after all, at another time than the seal's."""
        if row.wire is not None:
            try:
                _decode(row.wire)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise Broken(f"Event {row.sequence} was changed: it is none any more ({error}).") from error
            return
        occurred_at = None if row.event_hash else seals.select_time(self._tx, self._number, row.position)
        if occurred_at is not None:
            raise Broken(f"Event {row.sequence} is stored as of {occurred_at}; sealed was {row.occurred_at}.")

    def _check_columns(self, row: StoredSeal, wire: bytes, columns: EventColumns) -> None:
        kept = _decode(wire)
        self.targets.add(row.position, kept)
        for name, said, stored in (
            ("organization", kept.organization_id, self._trail.organization_id),
            ("id", kept.id, columns.id),
            ("occurred_at", kept.occurred_at, columns.occurred_at),
            ("created_at", kept.created_at, columns.created_at),
            ("action", kept.action, columns.action),
            ("version", kept.version, columns.version),
            ("actor's type", kept.actor.type, columns.actor_type),
            ("actor's id", kept.actor.id, columns.actor_id),
        ):
            if said != stored:
                raise Broken(
                    f"Event {row.sequence} ({kept.id}) is found by what it does not say: its {name} is {said!r},"
                    f" stored beside it is {stored!r}."
                )


def _check_chain(tx: Transaction, number: int, checked: Checked) -> None:
    """Raise Broken unless the chain ends where it is kept to end: seals at its end may have been deleted."""
    chain = seals.select_chain(tx, number)
    if chain is None:
        if checked.last:
            raise Broken("The end of the chain was deleted.")
        return
    nothing_left = chain.first_sequence > chain.sequence
    if checked.last != chain.sequence and not (nothing_left and not checked.last):
        missing = checked.last + 1 if checked.last else chain.first_sequence
        raise Broken(f"Event {missing} is missing at the end: the chain ends with event {chain.sequence}.")
    if checked.last and checked.last_hash != chain.hash:
        raise Broken(f"The hash of event {checked.last} is not the one with which the chain ends.")
