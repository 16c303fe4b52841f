"""The events of a trail that match a filter: SQL, which index leads, and how far one request looks.

One index hands out places in the order of the page, and the events there are compared with the rest of
the filter. Where the index says all that is asked, a page is a range of it.
"""

from operator import itemgetter
from typing import Any

import msgspec

from tenantry.audit_logs.filters import ALL, Filter, Kept, Place, matches
from tenantry.audit_logs.narrowing import Narrowing, narrowing
from tenantry.core.db import Row, Transaction

ROUNDS = (100, 150)
"""How many rows a request looks at, round after round: a millisecond or two, on the event loop."""

_NARROW = 200
"""An index with fewer rows in the range is taken, whatever the others have."""

_decode = msgspec.json.Decoder(Kept).decode


class Found(msgspec.Struct, frozen=True):
    """One event: where it stands, and its JSON."""

    place: Place
    wire: bytes


class Walked(msgspec.Struct, frozen=True):
    """Matches in walking order; `stopped` is the place up to which was looked, if that was not all."""

    rows: list[Found]
    stopped: Place | None = None


class Looked(msgspec.Struct, frozen=True):
    """What one look along an index found: the matches among its rows, the last row's place, if more may follow."""

    matches: list[Found]
    end: Place | None


class _Lead(msgspec.Struct, frozen=True):
    """An index in the order of places, from which those of some values of a column are taken, or else all."""

    table: str = "audit_log_events"
    column: str | None = None
    values: list[str] = []
    covers: str = ""
    """The field of the filter that the index says all about."""


_WHOLE = _Lead()


# A subquery is run for each place: a planner that may join would rather read all that an actor ever did. The time
# says in which partition an event is.
_AT = (
    "(SELECT event.{column} FROM audit_log_events AS event WHERE event.position = looked.position"
    " AND event.occurred_at = looked.occurred_at AND event.trail = :trail{conditions})"
)


class Trail:
    """The events of the trail of that number which match a filter."""

    def __init__(self, tx: Transaction, number: int, chosen: Filter) -> None:
        self._tx = tx
        self._number = number
        self._chosen = chosen

    def walk(self, cursor: Place | None, rounds: tuple[int, ...], *, descending: bool, most: int) -> Walked:
        """Return the first `most` matches past `cursor`, as far as the rounds go."""
        lead = self._lead(cursor, descending=descending)
        rest = _without(self._chosen, lead)
        if rest == ALL:
            return Walked(self._look(lead, rest, cursor, most, descending=descending).matches)
        found: list[Found] = []
        for looked in rounds:
            look = self._look(lead, rest, cursor, looked, descending=descending)
            found += look.matches
            if len(found) >= most or look.end is None:
                return Walked(found[:most])
            cursor = look.end
        return Walked(found, cursor)

    def has_any(self, cursor: Place, rounds: tuple[int, ...], *, descending: bool) -> bool:
        """Return whether there may be a match past `cursor`."""
        walked = self.walk(cursor, rounds, descending=descending, most=1)
        return bool(walked.rows) or walked.stopped is not None

    def look(self, cursor: Place | None, most: int) -> Looked:
        """Look at the next `most` rows past `cursor`, oldest first, for matches."""
        if cursor is not None and self._tx.engine == "postgres":
            # To plan a look into the partitions of all months takes longer than to look into that of one.
            month = Trail(self._tx, self._number, _within_month(self._chosen, cursor.occurred_at))
            looked = month._look_on(cursor, most)
            if looked.end is not None:
                return looked
        return self._look_on(cursor, most)

    def _look_on(self, cursor: Place | None, most: int) -> Looked:
        lead = self._lead(cursor, descending=False)
        return self._look(lead, _without(self._chosen, lead), cursor, most, descending=False)

    def _look(self, lead: _Lead, rest: Filter, cursor: Place | None, most: int, *, descending: bool) -> Looked:
        narrowed = narrowing(self._tx.engine, rest)
        rows = self._narrowed(lead, narrowed, cursor, most, descending=descending)
        end = Place(*rows[-1][:2]) if len(rows) == most else None
        found = [Found(Place(*row[:2]), row[2]) for row in rows if row[2] is not None]
        if narrowed.rest != ALL:
            found = [each for each in found if matches(narrowed.rest, _decode(each.wire))]
        return Looked(found, end)

    def _lead(self, cursor: Place | None, *, descending: bool) -> _Lead:
        """Return the index with the fewest rows, as far as a short look at each can tell."""
        leads = _leads(self._chosen)
        if len(leads) < 2:
            return leads[0] if leads else _WHOLE
        sizes = [self._size(lead, cursor, descending=descending) for lead in leads]
        return leads[sizes.index(min(sizes))]

    def _size(self, lead: _Lead, cursor: Place | None, *, descending: bool) -> int:
        sql, parameters = self._places(lead, cursor, _NARROW, descending=descending)
        count: int = self._all(f"SELECT count(*) FROM ({sql}) AS looked", parameters)[0][0]
        return count

    def _narrowed(
        self, lead: _Lead, narrowed: Narrowing, cursor: Place | None, most: int, *, descending: bool
    ) -> list[Row]:
        """Return time, position and JSON of the next `most` events: no JSON of those that do not pass."""
        read = self._looked_up if lead.column else self._in_order
        sql, parameters = read(lead, narrowed, cursor, most, descending=descending)
        rows = self._all(sql, parameters | narrowed.parameters)
        # Whole events are dear to sort for a database, which would copy them.
        rows.sort(key=itemgetter(0, 1), reverse=descending)
        return rows[:most]

    def _looked_up(
        self, lead: _Lead, narrowed: Narrowing, cursor: Place | None, most: int, *, descending: bool
    ) -> tuple[str, dict[str, object]]:
        """Return the query of the events at the first `most` places past `cursor`, and its parameters."""
        looked, parameters = self._places(lead, cursor, most, descending=descending)
        wire = _AT.format(column="wire", conditions=_and(narrowed.conditions))
        # PostgreSQL would read each event; what an index says of one is not spread over as many pages.
        if narrowed.indexed and self._tx.engine == "postgres":
            held = _AT.format(column="position", conditions=_and(narrowed.indexed))
            wire = f"CASE WHEN {held} IS NOT NULL THEN {wire} END"
        return f"SELECT looked.occurred_at, looked.position, {wire} FROM ({looked}) AS looked", parameters

    def _in_order(
        self, _whole: _Lead, narrowed: Narrowing, cursor: Place | None, most: int, *, descending: bool
    ) -> tuple[str, dict[str, object]]:
        """Return the query of the first `most` events of each stretch past `cursor`, and its parameters.

        Only the index in the order of places can serve it. Where another could, a planner might take this one too.
        """
        wire = "event.wire"
        if narrowed.conditions:
            wire = f"CASE WHEN {' AND '.join(narrowed.conditions)} THEN event.wire END"
        parameters: dict[str, object] = {}
        stretches = []
        for number, (stretch, ends) in enumerate(self._stretches(cursor, descending=descending)):
            parameters |= ends
            stretches.append(
                f"SELECT * FROM (SELECT occurred_at, position, {wire} FROM audit_log_events AS event"
                f" WHERE trail = :trail{stretch}{_order(descending=descending)} LIMIT {most}) AS stretch_{number}"
            )
        return " UNION ALL ".join(stretches), parameters

    def _places(
        self, lead: _Lead, cursor: Place | None, most: int, *, descending: bool
    ) -> tuple[str, dict[str, object]]:
        """Return the query of the first `most` places of the index past `cursor`, and its parameters.

        The number stands in it, so that PostgreSQL can plan without parameters, once: with a partition a month
        that takes longer than to run it.
        """
        parameters: dict[str, object] = {f"value_{number}": value for number, value in enumerate(lead.values)}
        chosen = [f" AND {lead.column} = :value_{number}" for number in range(len(lead.values))]
        end = f"{_order(descending=descending)} LIMIT {most}"
        distinct = "DISTINCT " if lead.table == "audit_log_targets" else ""
        ranges = []
        for stretch, ends in self._stretches(cursor, descending=descending):
            parameters |= ends
            ranges += [
                f"SELECT {distinct}occurred_at, position FROM {lead.table}"
                f" WHERE trail = :trail{value}{stretch}{end}"
                for value in chosen or [""]
            ]
        if len(ranges) == 1:
            return ranges[0], parameters
        merged = (
            f"SELECT occurred_at, position FROM ({each}) AS range_{number}" for number, each in enumerate(ranges)
        )
        # An event has one action and one actor, but may have several of the targets asked for.
        return (" UNION " if distinct else " UNION ALL ").join(merged) + end, parameters

    def _stretches(self, cursor: Place | None, *, descending: bool) -> list[tuple[str, dict[str, object]]]:
        """Return the ranges of places past `cursor` within the filter's times: conditions and their parameters.

        To PostgreSQL what is past a place is one range of an index, to SQLite two: the rest of the place's own
        time, and the times past it.
        """
        start, end = self._chosen.range_start, self._chosen.range_end
        if cursor is None:
            return [_between(start, end)]
        at, past = {"at": cursor.occurred_at, "position": cursor.position}, "<" if descending else ">"
        time = cursor.occurred_at
        beyond = _between(start, end, below=time) if descending else _between(start, end, above=time)
        if (start is not None and time < start) or (end is not None and time > end):
            return [beyond]
        if self._tx.engine == "sqlite":
            return [(f" AND occurred_at = :at AND position {past} :position", at), beyond]
        # That the time is the place's own or past it says in which partitions to look.
        sql, ends = _between(start, time) if descending else _between(time, end)
        return [(f" AND (occurred_at, position) {past} (:at, :position){sql}", at | ends)]

    def _all(self, sql: Any, parameters: dict[str, object]) -> list[Row]:
        """Run a query made of the literals of this file, and numbers of it."""
        return self._tx.all(sql, trail=self._number, **parameters)


def is_led(chosen: Filter) -> bool:
    """Return whether an index leads to the matches of a filter, past the events between them."""
    return bool(_leads(chosen))


def _leads(chosen: Filter) -> list[_Lead]:
    """Return the indexes that can lead; those that have few rows as a rule stand first, and so win a tie."""
    leads = []
    if chosen.target_ids:
        covers = "" if chosen.target_types else "target_ids"
        leads.append(_Lead("audit_log_targets", "target_id", chosen.target_ids, covers))
    if chosen.actor_ids:
        leads.append(_Lead(column="actor_id", values=chosen.actor_ids, covers="actor_ids"))
    if chosen.actions:
        leads.append(_Lead(column="action", values=chosen.actions, covers="actions"))
    return leads


def _within_month(chosen: Filter, time: str) -> Filter:
    """Return a filter of no later times than those of the month of `time`."""
    end = f"{time[:7]}-31T23:59:59.999Z"  # sorts after every time of a shorter month too
    return msgspec.structs.replace(chosen, range_end=min(end, chosen.range_end or end))


def _without(chosen: Filter, lead: _Lead) -> Filter:
    """Return what the events that the index hands out are still to be compared with."""
    rest = msgspec.structs.replace(chosen, range_start=None, range_end=None)
    return msgspec.structs.replace(rest, **{lead.covers: []}) if lead.covers else rest


def _and(conditions: list[str]) -> str:
    return "".join(f" AND {each}" for each in conditions)


def _order(*, descending: bool) -> str:
    way = " DESC" if descending else ""
    return f" ORDER BY occurred_at{way}, position{way}"


def _between(
    start: str | None, end: str | None, *, above: str | None = None, below: str | None = None
) -> tuple[str, dict[str, object]]:
    """Return the condition that a time is in a range, of whose two limits at either end the narrower counts."""
    low, high = "", ""
    ends: dict[str, object] = {}
    if above is not None and (start is None or above >= start):
        low, ends["low"] = " AND occurred_at > :low", above
    elif start is not None:
        low, ends["low"] = " AND occurred_at >= :low", start
    if below is not None and (end is None or below <= end):
        high, ends["high"] = " AND occurred_at < :high", below
    elif end is not None:
        high, ends["high"] = " AND occurred_at <= :high", end
    return low + high, ends
