"""Organizations by a text in their name on SQLite, whose index gives what has the terms in the order of places.

A place sorts as the id does. New names wait for the index, and go into it many at once; so do those that are to be
taken out of it.
"""

from typing import LiteralString

import msgspec

from tenantry.core.db import Transaction
from tenantry.core.effort import Effort
from tenantry.core.page import Bounds, cursor_of, in_order, past
from tenantry.organizations import samples
from tenantry.organizations.places import END, first_of_millisecond, last_of_millisecond, likely_place
from tenantry.organizations.search import (
    Match,
    Sample,
    beginning,
    is_short,
    matches_of,
    rarest_terms,
    terms_of_name,
)

CONTAINS: LiteralString = "instr(folded_name, :text) > 0"

_FIRST = 200
_NEAR = 1_000
_SAMPLED = 300
_FAR = 5_000
_SLACK = 3
_TERMS = 2

WAITING = 256
"""So many names wait until they go into the index, or out of it, together."""


def select_page(tx: Transaction, environment_id: str, text: str, limits: Bounds, effort: Effort) -> list[Match]:
    """Return the matches within `limits`, in walking order, and one more than a page takes if there is one.

    Raises TakesLong.
    """
    sample = samples.last_seen(tx, environment_id)
    if sample is None:
        found, edge = _walk(tx, environment_id, text, limits, _FIRST)
        if edge is None or len(found) > limits.limit:
            return found
        sample = samples.keep(tx, environment_id, _names(tx, environment_id, limits, edge))
    rows = _rows_to_walk(text, sample.rows_before(text, limits.limit + 1))
    if is_short(text) and not 0 < rows <= _NEAR:
        effort.stop()
    if rows:
        found, edge = _walk(tx, environment_id, text, limits, rows)
        if edge is None or len(found) > limits.limit:
            return found
    return _look_up(tx, environment_id, text, limits, sample)


def _rows_to_walk(text: str, likely: float) -> int:
    """Return how many rows to look through before the index is asked, where `likely` as many fill a page.

    To look up the beginning of terms takes longer than to look up terms.
    """
    most = _FAR if is_short(text) else _NEAR
    return min(most, max(_FIRST, round(_SLACK * likely))) if likely < most else 0


def take_in(tx: Transaction) -> None:
    """Give the index the new names that wait for it, if they are many.

    Among requests that share a transaction one looks.
    """
    if tx.known is None:
        _index_waiting(tx)
    elif take_in not in tx.known:
        tx.known[take_in] = True
        _index_waiting(tx)


def rename(tx: Transaction, environment_id: str, organization_id: str, folded_name: str) -> None:
    """Have an organization found by `folded_name`, which is about to be written."""
    place = _take_out(tx, environment_id, organization_id, folded_name)
    if place is not None:
        _index_waiting(tx)  # before it waits itself: it has its old name still
        tx.run("INSERT INTO organizations_to_index (place) VALUES (:place)", place=place)


def delete(tx: Transaction, environment_id: str, organization_id: str) -> None:
    """Have an organization, which is about to be deleted, found no more."""
    _take_out(tx, environment_id, organization_id, None)
    _index_waiting(tx)


def _edge(tx: Transaction, environment_id: str, limits: Bounds, rows: int) -> str | None:
    """Return the id of the first row past the first `rows` within `limits`; None when there are no more."""
    row = tx.one(
        "SELECT id FROM organizations WHERE environment_id = :environment_id"
        + past(limits)
        + in_order(limits)
        + " LIMIT 1 OFFSET :rows",
        environment_id=environment_id,
        rows=rows,
        **cursor_of(limits),
    )
    return row[0] if row else None


def _walk(
    tx: Transaction, environment_id: str, text: str, limits: Bounds, rows: int
) -> tuple[list[Match], str | None]:
    """Return the matches among the first `rows`, as many as a page takes and one, and the id behind these rows.

    No id when there are no more rows: the matches are all.
    """
    sql: LiteralString = "SELECT id, wire FROM organizations WHERE environment_id = :environment_id"
    parameters = cursor_of(limits)
    edge = _edge(tx, environment_id, limits, rows)
    if edge is not None:
        sql += " AND id > :edge" if limits.descending else " AND id < :edge"
        parameters["edge"] = edge
    found = tx.all(
        sql + past(limits) + " AND " + CONTAINS + in_order(limits) + " LIMIT :most",
        environment_id=environment_id,
        text=text,
        most=limits.limit + 1,
        **parameters,
    )
    return matches_of(found), edge


def _names(tx: Transaction, environment_id: str, limits: Bounds, edge: str) -> str:
    """Return some names from the row `edge` on, one a line."""
    row = tx.one(
        "SELECT group_concat(folded_name, char(10)) FROM (SELECT folded_name FROM organizations"
        " WHERE environment_id = :environment_id"
        + (" AND id <= :edge" if limits.descending else " AND id >= :edge")
        + in_order(limits)
        + " LIMIT :rows) AS sampled",
        environment_id=environment_id,
        edge=edge,
        rows=_SAMPLED,
    )
    return (row[0] if row else None) or ""


def _look_up(tx: Transaction, environment_id: str, text: str, limits: Bounds, sample: Sample) -> list[Match]:
    """Return the matches that the index knows of, in the order of places, and those that wait for it.

    That is the order of ids but for those of one millisecond, so the last of these is
    read to its end.
    """
    terms = _terms(environment_id, text, sample)
    found = _matches(tx, environment_id, text, limits, terms, _places_past(limits), limits.limit + 1)
    if len(found) > limits.limit:
        last = found[-1][0]
        rest = (
            (first_of_millisecond(last), last - 1) if limits.descending else (last + 1, last_of_millisecond(last))
        )
        found += _matches(tx, environment_id, text, limits, terms, rest, -1)
    found += _waiting_matches(tx, environment_id, text, limits)
    found.sort(key=lambda row: row[1], reverse=limits.descending)
    return [(row[1], msgspec.Raw(row[2])) for row in found[: limits.limit + 1]]


def _terms(environment_id: str, text: str, sample: Sample) -> str:
    """Return what to ask the index for: names with the beginning of a term, or with several terms."""
    if is_short(text):
        return beginning(environment_id, text) + "*"
    return " AND ".join(rarest_terms(environment_id, text, sample, _TERMS))


def _places_past(limits: Bounds) -> tuple[int, int]:
    """Return the least and the greatest place that a row past the cursor can have."""
    if limits.cursor is None:
        return 0, END
    near = likely_place(limits.cursor)
    return (0, last_of_millisecond(near)) if limits.descending else (first_of_millisecond(near), END)


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
        + past(limits)
        + " AND "
        + CONTAINS
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
        **cursor_of(limits),
    )
    return [(row[0], row[1], row[2]) for row in rows]


def _waiting_matches(
    tx: Transaction, environment_id: str, text: str, limits: Bounds
) -> list[tuple[int, str, bytes]]:
    """Return place, id and JSON of the matches that the index has not got yet."""
    rows = tx.all(
        "SELECT place, id, wire FROM organizations_to_index CROSS JOIN organizations USING (place)"
        " WHERE environment_id = :environment_id" + past(limits) + " AND " + CONTAINS,
        environment_id=environment_id,
        text=text,
        **cursor_of(limits),
    )
    return [(row[0], row[1], row[2]) for row in rows]


def _index_waiting(tx: Transaction) -> None:
    """Give the index all that waits for it, and take out of it what is no more, once that is enough."""
    counts = tx.one(
        "SELECT (SELECT count(*) FROM organizations_to_index), (SELECT count(*) FROM organizations_to_unindex)"
    )
    if counts is None or max(counts) < WAITING:
        return
    # First what is no more: something new may stand at its place.
    _take_out_removed(tx)
    _take_in_new(tx)


def _take_out_removed(tx: Transaction) -> None:
    rows = tx.all("SELECT place, terms FROM organizations_to_unindex ORDER BY place")
    tx.run_all(
        "INSERT INTO organization_index (organization_index, rowid, terms) VALUES ('delete', :place, :terms)",
        [{"place": place, "terms": terms} for place, terms in rows],
    )
    tx.run("DELETE FROM organizations_to_unindex")


def _take_in_new(tx: Transaction) -> None:
    rows = tx.all(
        "SELECT place, environment_id, folded_name"
        " FROM organizations_to_index CROSS JOIN organizations USING (place) ORDER BY place"
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
    """Have an organization taken out of the index and return its place; None when its folded name is `unless`.

    Meanwhile the index leads to a row that is not there, or does not have the text: it is looked at in vain.
    """
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
            "INSERT INTO organizations_to_unindex (place, terms) VALUES (:place, :terms)",
            place=place,
            terms=" ".join(terms_of_name(environment_id, row[1])),
        )
    return place
