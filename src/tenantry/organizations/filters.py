"""Organizations that match several things at once: SQL, which index leads, and how far one request looks.

One index hands out ids in the order of the page, and the rows of these are compared with the rest
of the filter. Where the index says all that is asked, a page is a range of it. Where few of its rows
match the rest, a request looks at so many and stops: its page may be short, and leads on.
"""

from functools import lru_cache
from typing import Any

import msgspec

from tenantry.core.clock import milliseconds_of
from tenantry.core.db import PARAMETER, Row, Transaction
from tenantry.core.effort import Effort
from tenantry.core.ids import ulid
from tenantry.core.page import Bounds
from tenantry.organizations import index, metadata_index, store
from tenantry.organizations.search import Match, matches_of
from tenantry.organizations.wire import PREFIX

MOST_COUNTED = 5_000

_NARROW = 200
"""A range with fewer rows is looked through whole, whatever the other conditions are."""

FEW = 150
"""Ranges that have fewer rows together are read whole, in no order: to begin each and merge them takes longer."""

_SLACK_MILLISECONDS = 20
"""An organization that was made elsewhere has an id that may be a little older or younger than it says."""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which organizations a list holds: those that match all that is given.

    With one of `domains` (in `domain_state`, if that is given too), with `text` in the folded name, for
    each key of `metadata` one of its values or, where it has none, any, created in `created_after` or
    later, and before `created_before`.
    """

    domains: list[str] = []
    domain_state: str | None = None
    text: str = ""
    metadata: dict[str, list[str]] = {}
    created_after: str | None = None
    created_before: str | None = None
    has_external_id: bool | None = None
    stripe_customer_id: str | None = None


ALL = Filter()


class _Shape(msgspec.Struct, frozen=True):
    """What of a filter its statements are made from: which conditions there are, without their values."""

    domains: int
    domain_state: bool
    text: bool
    metadata: tuple[int, ...]
    created_after: bool
    created_before: bool
    has_external_id: bool | None
    stripe_customer_id: bool


def _shape(chosen: Filter) -> _Shape:
    return _Shape(
        len(chosen.domains),
        chosen.domain_state is not None,
        bool(chosen.text),
        tuple([len(values) for values in chosen.metadata.values()]),
        chosen.created_after is not None,
        chosen.created_before is not None,
        chosen.has_external_id,
        chosen.stripe_customer_id is not None,
    )


class Counted(msgspec.Struct, frozen=True):
    """How many match; where that is not `exact`, how many at least."""

    count: int
    exact: bool


class Walked(msgspec.Struct, frozen=True):
    """Ids and JSON in walking order; `stopped` is the id up to which was looked, if that was not all."""

    rows: list[Match]
    stopped: str | None = None


class Span(msgspec.Struct, frozen=True):
    """A range of ids, both ends excluded; None where it has no end."""

    above: str | None = None
    below: str | None = None

    def past(self, cursor: str | None, *, descending: bool) -> "Span":
        """Return what of the range is past `cursor`."""
        if cursor is None:
            return self
        if descending:
            return Span(self.above, cursor if self.below is None else min(cursor, self.below))
        return Span(cursor if self.above is None else max(cursor, self.above), self.below)

    def parameters(self) -> dict[str, str | None]:
        """Return what the parameters of a condition by its ends stand for."""
        return {"above": self.above, "below": self.below}


class _Lead(msgspec.Struct, frozen=True):
    """Ranges of an index, each in the order of ids, which stand in `column`: together all that `covers` asks."""

    ranges: tuple[str, ...]
    covers: str = ""
    column: str = "organization_id"
    repeats: bool = False
    """Whether a range may have an id more than once."""

    together: str = ""
    """All of several ranges as one, whose ids are in no order and may be there more than once."""


def _ids_sql(lead: _Lead, span: Span, *, descending: bool) -> str:
    """Return the query of the first `:looked` ids of a way within the span."""
    return _ids_within(lead, span.above is not None, span.below is not None, descending)


@lru_cache(maxsize=512)
def _ids_within(lead: _Lead, is_above: bool, is_below: bool, descending: bool) -> str:  # noqa: FBT001 (a key of the cache)
    within = _within(lead, is_above, is_below)
    end = f" ORDER BY looked_id{' DESC' if descending else ''} LIMIT :looked"
    select = f"SELECT {'DISTINCT ' if lead.repeats else ''}{lead.column} AS looked_id FROM "
    parts = [f"{select}{each}{within}{end}" for each in lead.ranges]
    if len(parts) == 1:
        return parts[0]
    merged = (f"SELECT looked_id FROM ({part}) AS range_{number}" for number, part in enumerate(parts))
    return " UNION ".join(merged) + end


@lru_cache(maxsize=512)
def _few_within(lead: _Lead, is_above: bool, is_below: bool, descending: bool) -> str:  # noqa: FBT001 (a key of the cache)
    """Return the query of `:few` ids of a way of several ranges, and the first `:looked` organizations of these.

    With each how many the few are.
    """
    order = " DESC" if descending else ""
    return (
        f"WITH few AS MATERIALIZED ({_few_ids_within(lead, is_above, is_below)})"
        " SELECT id, wire, (SELECT count(*) FROM few) FROM organizations WHERE environment_id = :environment_id"
        f" AND id IN (SELECT DISTINCT looked_id FROM few ORDER BY looked_id{order} LIMIT :looked)"
        f" ORDER BY id{order}"
    )


@lru_cache(maxsize=512)
def _few_ids_within(lead: _Lead, is_above: bool, is_below: bool) -> str:  # noqa: FBT001 (a key of the cache)
    """Return the query of `:few` ids of a way of several ranges, in no order, perhaps one more than once."""
    return f"SELECT {lead.column} AS looked_id FROM {lead.together}{_within(lead, is_above, is_below)} LIMIT :few"


def _within(lead: _Lead, is_above: bool, is_below: bool) -> str:  # noqa: FBT001 (as above)
    return (f" AND {lead.column} > :above" if is_above else "") + (
        f" AND {lead.column} < :below" if is_below else ""
    )


_ORGANIZATIONS = "organizations WHERE environment_id = :environment_id"
_DOMAINS = "organization_domains WHERE environment_id = :environment_id"
_HAS_EXTERNAL_ID = {True: "external_id IS NOT NULL", False: "external_id IS NULL"}
_WHOLE = _Lead((_ORGANIZATIONS,), column="id")
_BY_NAME = _Lead((), covers="text")


class _Query:
    """A filter in an environment, and the way to what it matches."""

    def __init__(self, tx: Transaction, environment_id: str, chosen: Filter, effort: Effort) -> None:
        self._tx = tx
        self._environment_id = environment_id
        self._chosen = chosen
        self._shape = _shape(chosen)
        self._effort = effort
        self._created = _created(chosen)
        self._parameters = {"environment_id": environment_id} | _parameters(chosen)

    def walk(self, cursor: str | None, *, descending: bool, most: int) -> Walked:
        """Return the first `most` matches past `cursor`, as far as the effort goes. Raises TakesLong."""
        span = self._created.past(cursor, descending=descending)
        lead = self._lead(span, descending=descending)
        rest = self._rest(lead)
        if not rest and lead is not _BY_NAME:
            return Walked(self._all_of(lead, span, descending=descending, most=most))
        found: list[Match] = []
        looked_up_to = ""
        for looked in self._effort.rounds:
            ids = self._ids(lead, span, looked, descending=descending)
            if ids:
                found += self._matches(ids, rest, descending=descending, most=most - len(found))
            if len(found) == most or len(ids) < looked:
                return Walked(found)
            looked_up_to = ids[-1]
            span = span.past(looked_up_to, descending=descending)
        self._effort.stop()
        return Walked(found, looked_up_to)

    def has_any(self, cursor: str, *, descending: bool) -> bool:
        """Return whether there may be a match past `cursor`. Raises TakesLong."""
        span = self._created.past(cursor, descending=descending)
        lead = self._lead(span, descending=descending)
        if not self._rest(lead):
            return bool(self._ids(lead, span, 1, descending=descending))
        walked = self.walk(cursor, descending=descending, most=1)
        return bool(walked.rows) or walked.stopped is not None

    def count(self) -> Counted:
        """Return how many match, as far as the effort goes. Raises TakesLong."""
        span = self._created
        lead = self._lead(span, descending=True)
        rest = self._rest(lead)
        if not rest and lead is not _BY_NAME:
            count = self._size(lead, span, MOST_COUNTED + 1)
            return Counted(min(count, MOST_COUNTED), count <= MOST_COUNTED)
        total = 0
        for looked in self._effort.rounds:
            ids = self._ids(lead, span, looked, descending=True)
            if ids:
                total += self._count_matches(ids, rest)
            if len(ids) < looked:
                return Counted(total, exact=True)
            span = span.past(ids[-1], descending=True)
        self._effort.stop()
        return Counted(total, exact=False)

    def _lead(self, span: Span, *, descending: bool) -> _Lead:
        """Return the way with the fewest rows, as far as a short look at each can tell."""
        leads = _leads(self._shape, self._indexed())
        by_name = bool(self._chosen.text)
        if not leads:
            return _BY_NAME if by_name else _WHOLE
        if len(leads) == 1 and not by_name:
            return leads[0]
        sizes = [self._size(lead, span, _NARROW, descending=descending) for lead in leads]
        least = min(sizes)
        return _BY_NAME if by_name and least == _NARROW else leads[sizes.index(least)]

    def _indexed(self) -> frozenset[int]:
        """Return which of the keys asked for are declared, and have all their values in the index."""
        keys = list(self._chosen.metadata)
        if not keys:
            return frozenset()
        indexed = metadata_index.select_indexed(self._tx, self._environment_id, keys)
        return frozenset(number for number, key in enumerate(keys) if key in indexed)

    def _rest(self, lead: _Lead) -> str:
        """Return the conditions that `lead` does not cover, to stand after others."""
        return _conditions_but(self._tx.engine, self._shape, lead.covers)

    def _ids(self, lead: _Lead, span: Span, looked: int, *, descending: bool) -> list[str]:
        """Return the first `looked` ids of the way within the span."""
        if lead is not _BY_NAME:
            sql = _ids_sql(lead, span, descending=descending)
            return [row[0] for row in self._all(sql, looked=looked, **span.parameters())]
        cursor, far = (span.below, span.above) if descending else (span.above, span.below)
        limits = Bounds(cursor, descending=descending, reverse=False, limit=looked - 1)
        text, effort = self._chosen.text, self._effort
        ids = [each for each, _ in index.select_page(self._tx, self._environment_id, text, limits, effort)]
        return ids if far is None else [each for each in ids if (each > far if descending else each < far)]

    def _size(self, lead: _Lead, span: Span, most: int, *, descending: bool = True) -> int:
        """Return how many ids the way has within the span, counted up to `most`."""
        sql = f"SELECT count(*) FROM ({_ids_sql(lead, span, descending=descending)}) AS looked"
        count: int = self._all(sql, looked=most, **span.parameters())[0][0]
        return count

    def _all_of(self, lead: _Lead, span: Span, *, descending: bool, most: int) -> list[Match]:
        """Return the first `most` of the way, which says all that is asked."""
        if lead.together:
            few_of = self._few_placed if self._tx.engine == "sqlite" else self._few_of
            few = few_of(lead, span, descending=descending, most=most)
            if few is not None:
                return few
            if self._tx.engine == "sqlite":
                return self._placed(self._ids(lead, span, most, descending=descending))
        ids = _ids_sql(lead, span, descending=descending)
        rows = self._all(
            "SELECT id, wire FROM organizations WHERE environment_id = :environment_id"
            f" AND id IN ({ids}) ORDER BY id{' DESC' if descending else ''}",
            looked=most,
            **span.parameters(),
        )
        return matches_of(rows)

    def _placed(self, ids: list[str]) -> list[Match]:
        """Return the organizations with these ids, in this order, without a look at the index of ids."""
        wires = store.select_wires_by_id(self._tx, self._environment_id, ids) if ids else {}
        return [(each, msgspec.Raw(wires[each])) for each in ids]

    def _few_placed(self, lead: _Lead, span: Span, *, descending: bool, most: int) -> list[Match] | None:
        """Do as `_few_of` on SQLite, which takes longer to sort few ids than Python does."""
        sql = _few_ids_within(lead, span.above is not None, span.below is not None)
        rows = self._all(sql, few=FEW, **span.parameters())
        if len(rows) == FEW:
            return None
        ids = sorted({row[0] for row in rows}, reverse=descending)
        return self._placed(ids[:most])

    def _few_of(self, lead: _Lead, span: Span, *, descending: bool, most: int) -> list[Match] | None:
        """Return the first `most` of a way of several ranges; None where they have more than a few rows."""
        sql = _few_within(lead, span.above is not None, span.below is not None, descending)
        rows = self._all(sql, few=FEW, looked=most, **span.parameters())
        if rows and rows[0][2] == FEW:
            return None
        return matches_of(rows)

    def _matches(self, ids: list[str], rest: str, *, descending: bool, most: int) -> list[Match]:
        rows = self._all(
            "SELECT id, wire FROM organizations WHERE environment_id = :environment_id AND id IN :ids"
            f"{rest} ORDER BY id{' DESC' if descending else ''} LIMIT :most",
            ids=ids,
            most=most,
        )
        return matches_of(rows)

    def _count_matches(self, ids: list[str], rest: str) -> int:
        sql = f"SELECT count(*) FROM organizations WHERE environment_id = :environment_id AND id IN :ids{rest}"
        count: int = self._all(sql, ids=ids)[0][0]
        return count

    def _all(self, sql: Any, **parameters: object) -> list[Row]:
        """Run a query made of the literals of this file."""
        return self._tx.all(sql, **_used(sql, self._parameters | parameters))


def select_page(tx: Transaction, environment_id: str, chosen: Filter, limits: Bounds, effort: Effort) -> Walked:
    """Return ids and JSON of the matches within `limits`, in walking order, and one more if there is one.

    Raises TakesLong.
    """
    query = _Query(tx, environment_id, chosen, effort)
    return query.walk(limits.cursor, descending=limits.descending, most=limits.limit + 1)


def has_behind(
    tx: Transaction, environment_id: str, chosen: Filter, limits: Bounds, first: str, effort: Effort
) -> bool:
    """Return whether there may be matches on the other side of `first` than the one `limits` walks to.

    Raises TakesLong.
    """
    return _Query(tx, environment_id, chosen, effort).has_any(first, descending=not limits.descending)


def count(tx: Transaction, environment_id: str, chosen: Filter, effort: Effort) -> Counted:
    """Return how many organizations match. Raises TakesLong."""
    return _Query(tx, environment_id, chosen, effort).count()


def _created(chosen: Filter) -> Span:
    """Return the range in which ids of organizations created within the filter's times are."""
    after, before = chosen.created_after, chosen.created_before
    return Span(
        above=None if after is None else _id_at(milliseconds_of(after) - _SLACK_MILLISECONDS),
        below=None if before is None else _id_at(milliseconds_of(before) + _SLACK_MILLISECONDS),
    )


def _id_at(milliseconds: int) -> str:
    return f"{PREFIX}_{ulid(max(0, milliseconds), 0)}"


@lru_cache(maxsize=512)
def _leads(shape: _Shape, indexed: frozenset[int]) -> tuple[_Lead, ...]:
    """Return the indexes that cover a condition of a filter; `indexed` are the keys that have one."""
    leads = []
    if shape.stripe_customer_id:
        leads.append(_Lead((f"{_ORGANIZATIONS} AND stripe_customer_id = :customer",), "stripe_customer_id", "id"))
    if shape.domains:
        ranges = tuple(f"{_DOMAINS} AND domain = :domain_{place}" for place in range(shape.domains))
        covers = "" if shape.domain_state else "domains"
        leads.append(_Lead(ranges, covers, together=_together(_DOMAINS, "domain", "domain", shape.domains)))
    leads += [_lead_by_key(number, values) for number, values in enumerate(shape.metadata) if number in indexed]
    if shape.domain_state:
        in_state = f"{_DOMAINS} AND state = :domain_state"
        leads.append(_Lead((in_state,), "" if shape.domains else "domains", repeats=True))
    if shape.has_external_id is not None:
        having = f"{_ORGANIZATIONS} AND {_HAS_EXTERNAL_ID[shape.has_external_id]}"
        leads.append(_Lead((having,), "has_external_id", "id"))
    return tuple(leads)


def _lead_by_key(number: int, values: int) -> _Lead:
    of_key = f"organization_metadata WHERE environment_id = :environment_id AND key = :key_{number}"
    if not values:
        return _Lead((f"{of_key} AND value IS NOT NULL",), f"metadata_{number}")
    ranges = tuple(f"{of_key} AND value = :value_{number}_{place}" for place in range(values))
    return _Lead(ranges, f"metadata_{number}", together=_together(of_key, "value", f"value_{number}", values))


def _together(of_all: str, column: str, parameter: str, count: int) -> str:
    """Return several ranges as one, or nothing if there is one only."""
    if count == 1:
        return ""
    return f"{of_all} AND {column} IN ({', '.join(f':{parameter}_{place}' for place in range(count))})"


_HAS_KEY: dict[str, str] = {
    "sqlite": "EXISTS (SELECT 1 FROM json_each(metadata) WHERE key = :key_{})",
    "postgres": "jsonb_exists(metadata::jsonb, (:key_{})::text)",
}
_HAS_VALUE: dict[str, str] = {
    "sqlite": "EXISTS (SELECT 1 FROM json_each(metadata) WHERE key = :key_{0} AND value IN :values_{0})",
    "postgres": "metadata::jsonb ->> (:key_{0})::text IN :values_{0}",
}
_HAS_DOMAIN = (
    "EXISTS (SELECT 1 FROM organization_domains AS named WHERE named.environment_id = :environment_id"
    " AND named.organization_id = organizations.id"
)


@lru_cache(maxsize=512)
def _conditions_but(engine: str, shape: _Shape, covered: str) -> str:
    """Return the conditions of a filter but the one of that name, to stand after others."""
    return "".join(f" AND {sql}" for name, sql in _conditions(engine, shape).items() if name != covered)


def _conditions(engine: str, shape: _Shape) -> dict[str, str]:
    """Return each condition of a filter by its name, those that cost least first."""
    found: dict[str, str] = {}
    if shape.created_after:
        found["created_after"] = "created_at >= :created_after"
    if shape.created_before:
        found["created_before"] = "created_at < :created_before"
    if shape.has_external_id is not None:
        found["has_external_id"] = _HAS_EXTERNAL_ID[shape.has_external_id]
    if shape.stripe_customer_id:
        found["stripe_customer_id"] = "stripe_customer_id = :customer"
    if shape.text:
        found["text"] = index.contains(engine)
    for number, values in enumerate(shape.metadata):
        found[f"metadata_{number}"] = (_HAS_VALUE if values else _HAS_KEY)[engine].format(number)
    if shape.domains or shape.domain_state:
        in_state = " AND named.state = :domain_state" if shape.domain_state else ""
        named = " AND named.domain IN :domains" if shape.domains else ""
        found["domains"] = _HAS_DOMAIN + named + in_state + ")"
    return found


def _parameters(chosen: Filter) -> dict[str, object]:
    """Return what the parameters of leads and conditions stand for."""
    given: dict[str, object] = {
        "created_after": chosen.created_after,
        "created_before": chosen.created_before,
        "customer": chosen.stripe_customer_id,
        "text": chosen.text,
        "domains": chosen.domains,
        "domain_state": chosen.domain_state,
    }
    given |= {f"domain_{number}": domain for number, domain in enumerate(chosen.domains)}
    for number, (key, values) in enumerate(chosen.metadata.items()):
        given |= {f"key_{number}": key, f"values_{number}": values}
        given |= {f"value_{number}_{place}": value for place, value in enumerate(values)}
    return given


def _used(sql: str, parameters: dict[str, object]) -> dict[str, object]:
    """Return those of `parameters` that the query names."""
    return {name: parameters[name] for name in _names(sql)}


@lru_cache(maxsize=512)
def _names(sql: str) -> frozenset[str]:
    return frozenset(PARAMETER.findall(sql))
