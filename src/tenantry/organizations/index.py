"""Organizations by a text in their name: SQL, and which way to the rows is the short one.

Whoever reads a page wants its first rows in the order of ids. Where many names match, they are
found by walking in that order; where few do, by the index of terms. So a short walk comes first,
then a look at a few more names, which tells how many match and which terms are rare.
"""

from typing import LiteralString

import msgspec

from tenantry.core.db import Transaction
from tenantry.core.ids import time_of
from tenantry.core.page import Bounds
from tenantry.organizations.search import beginning, is_short, rarest_terms, terms_of_name

_WALKED = 200
_SAMPLED = 150
_WALKED_FAR = 5_000
_WAITING = 256
_PLACE_BITS = 19
_LATEST = (1 << 44) - 1

# One more look-up is cheap where each row found has to be read before the first is known.
_PARTS = {"sqlite": 2, "postgres": 3}

_CONTAINS: dict[str, LiteralString] = {
    "sqlite": "instr(folded_name, :text) > 0",
    "postgres": "strpos(folded_name, :text) > 0",
}
_CONCATENATED: dict[str, LiteralString] = {
    "sqlite": "group_concat(folded_name, char(10))",
    "postgres": "string_agg(folded_name, chr(10))",
}

Match = tuple[str, msgspec.Raw]


def contains(engine: str) -> LiteralString:
    """Return the condition that `folded_name` contains `:text`."""
    return _CONTAINS[engine]


def select_page(tx: Transaction, environment_id: str, text: str, limits: Bounds) -> list[Match]:
    """Return ids and JSON of the rows within `limits` whose folded name contains `text`, and one more if any.

    They come in walking order.
    """
    edge = _edge(tx, environment_id, limits, _WALKED)
    found = _walk(tx, environment_id, text, limits, edge)
    if edge is None or len(found) > limits.limit:
        return found
    sample = _sample(tx, environment_id, limits, edge)
    streams = tx.engine == "sqlite" and not is_short(text)
    if not streams and (found or text in sample):
        # Likely in enough names that a longer walk fills the page.
        edge = _edge(tx, environment_id, limits, _WALKED_FAR)
        found = _walk(tx, environment_id, text, limits, edge)
        if edge is None or len(found) > limits.limit:
            return found
    if tx.engine == "sqlite":
        return _look_up_in_order(tx, environment_id, text, limits, sample)
    return _look_up(tx, environment_id, text, limits, sample)


def has_behind(tx: Transaction, environment_id: str, text: str, limits: Bounds, first: str) -> bool:
    """Return whether such rows are on the other side of `first` than the one `limits` walks to."""
    behind = Bounds(first, descending=not limits.descending, reverse=False, limit=0)
    return bool(select_page(tx, environment_id, text, behind))


def place_of(organization_id: str) -> int:
    """Return the first place of an id's millisecond in the index of SQLite."""
    return min(time_of(organization_id), _LATEST) << _PLACE_BITS


def expect(tx: Transaction, count: int) -> None:
    """Have `count` organizations that are about to be inserted wait for the index together. SQLite's always do."""
    if tx.engine == "postgres" and count >= _WAITING:
        tx.run("SET LOCAL gin_pending_list_limit = 4096")


def take_in(tx: Transaction) -> None:
    """Give SQLite's index the new names that wait for it, if they are many. PostgreSQL does so by itself.

    Among requests that share a transaction one looks.
    """
    if tx.engine == "postgres":
        return
    if tx.known is None:
        _index_waiting(tx)
    elif take_in not in tx.known:
        tx.known[take_in] = True
        _index_waiting(tx)


def rename(tx: Transaction, environment_id: str, organization_id: str, folded_name: str) -> None:
    """Have an organization found by `folded_name`, which is about to be written."""
    if tx.engine == "sqlite":
        place = _take_out(tx, environment_id, organization_id, folded_name)
        if place is not None:
            tx.run("INSERT INTO organizations_to_index (place) VALUES (:place)", place=place)
            _index_waiting(tx)


def delete(tx: Transaction, environment_id: str, organization_id: str) -> None:
    """Have an organization, which is about to be deleted, found no more."""
    if tx.engine == "sqlite":
        _take_out(tx, environment_id, organization_id, None)


def _range(limits: Bounds) -> LiteralString:
    if limits.cursor is None:
        return ""
    return " AND id < :cursor" if limits.descending else " AND id > :cursor"


def _order(limits: Bounds) -> LiteralString:
    return " ORDER BY id DESC" if limits.descending else " ORDER BY id"


def _cursor(limits: Bounds) -> dict[str, object]:
    return {} if limits.cursor is None else {"cursor": limits.cursor}


def _edge(tx: Transaction, environment_id: str, limits: Bounds, rows: int) -> str | None:
    """Return the id of the first row past the first `rows` within `limits`; None when there are no more."""
    row = tx.one(
        "SELECT id FROM organizations WHERE environment_id = :environment_id"
        + _range(limits)
        + _order(limits)
        + " LIMIT 1 OFFSET :rows",
        environment_id=environment_id,
        rows=rows,
        **_cursor(limits),
    )
    return row[0] if row else None


def _walk(tx: Transaction, environment_id: str, text: str, limits: Bounds, edge: str | None) -> list[Match]:
    """Return the matches before `edge`, all if it is None, as many as a page takes and one."""
    sql: LiteralString = "SELECT id, wire FROM organizations WHERE environment_id = :environment_id"
    parameters = _cursor(limits)
    if edge is not None:
        sql += " AND id > :edge" if limits.descending else " AND id < :edge"
        parameters["edge"] = edge
    found = tx.all(
        sql + _range(limits) + " AND " + contains(tx.engine) + _order(limits) + " LIMIT :most",
        environment_id=environment_id,
        text=text,
        most=limits.limit + 1,
        **parameters,
    )
    return [(row[0], msgspec.Raw(row[1])) for row in found]


def _sample(tx: Transaction, environment_id: str, limits: Bounds, edge: str) -> str:
    """Return some names from the row `edge` on, one a line."""
    row = tx.one(
        "SELECT "
        + _CONCATENATED[tx.engine]
        + " FROM (SELECT folded_name FROM organizations WHERE environment_id = :environment_id"
        + (" AND id <= :edge" if limits.descending else " AND id >= :edge")
        + _order(limits)
        + " LIMIT :rows) AS sampled",
        environment_id=environment_id,
        edge=edge,
        rows=_SAMPLED,
    )
    return (row[0] if row else None) or ""


def _look_up(tx: Transaction, environment_id: str, text: str, limits: Bounds, sample: str) -> list[Match]:
    """Return a page on PostgreSQL, whose index gives all that have the terms, in no order."""
    # Materialized, so that the planner cannot take the way along the ids instead.
    found = tx.all(
        "WITH found AS MATERIALIZED (SELECT environment_id, id, folded_name FROM organizations"
        " WHERE organization_terms(environment_id, folded_name) @@ (:terms)::tsquery),"
        " page AS MATERIALIZED (SELECT id FROM found WHERE environment_id = :environment_id"
        + _range(limits)
        + " AND "
        + contains(tx.engine)
        + _order(limits)
        + " LIMIT :most)"
        " SELECT id, wire FROM organizations WHERE environment_id = :environment_id"
        " AND id IN (SELECT id FROM page)" + _order(limits),
        environment_id=environment_id,
        terms=_terms(environment_id, text, sample, beginning_mark=":*", both="&", parts=_PARTS[tx.engine]),
        text=text,
        most=limits.limit + 1,
        **_cursor(limits),
    )
    return [(row[0], msgspec.Raw(row[1])) for row in found]


def _terms(environment_id: str, text: str, sample: str, *, beginning_mark: str, both: str, parts: int) -> str:
    if is_short(text):
        return beginning(environment_id, text) + beginning_mark
    return f" {both} ".join(rarest_terms(environment_id, text, sample, parts))


def _look_up_in_order(tx: Transaction, environment_id: str, text: str, limits: Bounds, sample: str) -> list[Match]:
    """Return a page on SQLite, whose index gives what has the terms in the order of places.

    That is the order of ids but for those of one millisecond, so the last of these is
    read to its end.
    """
    terms = _terms(environment_id, text, sample, beginning_mark="*", both="AND", parts=_PARTS[tx.engine])
    found = _matches(tx, environment_id, text, limits, terms, _places_past(limits), limits.limit + 1)
    if len(found) > limits.limit:
        last = found[-1][0]
        millisecond = last >> _PLACE_BITS << _PLACE_BITS
        rest = (millisecond, last - 1) if limits.descending else (last + 1, millisecond + (1 << _PLACE_BITS) - 1)
        found += _matches(tx, environment_id, text, limits, terms, rest, -1)
    found += _waiting_matches(tx, environment_id, text, limits)
    found.sort(key=lambda row: row[1], reverse=limits.descending)
    return [(row[1], msgspec.Raw(row[2])) for row in found[: limits.limit + 1]]


def _places_past(limits: Bounds) -> tuple[int, int]:
    """Return the least and the greatest place that a row past the cursor can have."""
    if limits.cursor is None:
        return 0, place_of_end()
    first = place_of(limits.cursor)
    return (0, first + (1 << _PLACE_BITS) - 1) if limits.descending else (first, place_of_end())


def place_of_end() -> int:
    """Return the greatest place that there can be."""
    return (_LATEST + 1 << _PLACE_BITS) - 1


def _matches(
    tx: Transaction,
    environment_id: str,
    text: str,
    limits: Bounds,
    terms: str,
    places: tuple[int, int],
    most: int,
) -> list[tuple[int, str, bytes]]:
    """Return place, id and JSON of the first matches within `places`, in walking order; all if `most` is -1."""
    # CROSS JOIN: the index leads, and the rows are read as it names them, until there are enough.
    rows = tx.all(
        "SELECT place, id, wire FROM organization_index CROSS JOIN organizations"
        " ON place = organization_index.rowid"
        " WHERE organization_index MATCH :terms AND organization_index.rowid BETWEEN :least AND :greatest"
        " AND environment_id = :environment_id"
        + _range(limits)
        + " AND "
        + contains(tx.engine)
        + (
            " ORDER BY organization_index.rowid DESC"
            if limits.descending
            else " ORDER BY organization_index.rowid"
        )
        + " LIMIT :most",
        environment_id=environment_id,
        text=text,
        terms=terms,
        least=places[0],
        greatest=places[1],
        most=most,
        **_cursor(limits),
    )
    return [(row[0], row[1], row[2]) for row in rows]


def _waiting_matches(
    tx: Transaction, environment_id: str, text: str, limits: Bounds
) -> list[tuple[int, str, bytes]]:
    """Return place, id and JSON of the matches that the index has not got yet."""
    rows = tx.all(
        "SELECT place, id, wire FROM organizations_to_index CROSS JOIN organizations USING (place)"
        " WHERE environment_id = :environment_id" + _range(limits) + " AND " + contains(tx.engine),
        environment_id=environment_id,
        text=text,
        **_cursor(limits),
    )
    return [(row[0], row[1], row[2]) for row in rows]


def _index_waiting(tx: Transaction) -> None:
    """Give the index all that waits for it, once that is enough."""
    count = tx.one("SELECT count(*) FROM organizations_to_index")
    if count is None or count[0] < _WAITING:
        return
    rows = tx.all(
        "SELECT place, environment_id, folded_name"
        " FROM organizations_to_index CROSS JOIN organizations USING (place)"
    )
    tx.run_all(
        "INSERT INTO organization_index (rowid, terms) VALUES (:place, :terms)",
        [
            {"place": place, "terms": " ".join(terms_of_name(environment_id, folded_name))}
            for place, environment_id, folded_name in rows
        ],
    )
    tx.run("DELETE FROM organizations_to_index")


def _take_out(tx: Transaction, environment_id: str, organization_id: str, unless: str | None) -> int | None:
    """Take an organization out of the index and return its place; None when its folded name is `unless`."""
    row = tx.one(
        "SELECT place, folded_name FROM organizations WHERE environment_id = :environment_id AND id = :id",
        environment_id=environment_id,
        id=organization_id,
    )
    assert row is not None, "services look before they write"
    place: int = row[0]
    if row[1] == unless:
        return None
    if tx.run("DELETE FROM organizations_to_index WHERE place = :place", place=place) == 0:
        tx.run(
            "INSERT INTO organization_index (organization_index, rowid, terms) VALUES ('delete', :place, :terms)",
            place=place,
            terms=" ".join(terms_of_name(environment_id, row[1])),
        )
    return place
