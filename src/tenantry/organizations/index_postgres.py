"""Organizations by a text in their name on PostgreSQL, whose index gives all that have the terms, in no order.

Each statement goes to another process and back. So the first one walks, and brings names along that tell
which way is the short one.
"""

from collections.abc import Iterable
from typing import LiteralString

import msgspec

from tenantry.core.db import Row, Transaction
from tenantry.core.page import Bounds, cursor_of, in_order, past
from tenantry.organizations.search import Match, beginning, is_short, rarest_terms

CONTAINS: LiteralString = "strpos(folded_name, :text) > 0"

_NEAR = 300
_FAR = 5_000
_TERMS = 3
_WAITING = 256


def select_page(tx: Transaction, environment_id: str, text: str, limits: Bounds) -> list[Match]:
    """Return the matches within `limits`, in walking order, and one more than a page takes if there is one."""
    found, sample = _near(tx, environment_id, text, limits)
    if sample is None:
        return found
    if text in sample:
        # Likely in enough names that a longer walk fills the page.
        found = _far(tx, environment_id, text, limits)
        if len(found) > limits.limit:
            return found
    return _look_up(tx, environment_id, text, limits, sample)


def expect(tx: Transaction, count: int) -> None:
    """Have `count` organizations that are about to be inserted wait for the index together, if they are many."""
    if count >= _WAITING:
        tx.run("SET LOCAL gin_pending_list_limit = 4096")


def _near(tx: Transaction, environment_id: str, text: str, limits: Bounds) -> tuple[list[Match], str | None]:
    """Return the matches among the first rows; if neither the page nor the rows end there, their names as well."""
    rows = tx.all(
        "WITH near AS MATERIALIZED (SELECT id, folded_name FROM organizations"
        " WHERE environment_id = :environment_id" + past(limits) + in_order(limits) + " LIMIT :near),"
        " page AS MATERIALIZED (SELECT id FROM near WHERE " + CONTAINS + in_order(limits) + " LIMIT :most)"
        " SELECT id, wire, NULL FROM organizations"
        " WHERE environment_id = :environment_id AND id IN (SELECT id FROM page)"
        " UNION ALL SELECT NULL, NULL, string_agg(folded_name, chr(10)) FROM near"
        " WHERE (SELECT count(*) FROM page) < :most HAVING count(*) = :near",
        environment_id=environment_id,
        text=text,
        near=_NEAR,
        most=limits.limit + 1,
        **cursor_of(limits),
    )
    found = sorted(_matches(row for row in rows if row[0] is not None), reverse=limits.descending)
    return found, next((row[2] for row in rows if row[0] is None), None)


def _far(tx: Transaction, environment_id: str, text: str, limits: Bounds) -> list[Match]:
    """Return the matches among many of the first rows, as many as a page takes and one."""
    rows = tx.all(
        "SELECT id, wire FROM (SELECT id, folded_name, wire FROM organizations"
        " WHERE environment_id = :environment_id"
        + past(limits)
        + in_order(limits)
        + " LIMIT :far) AS walked WHERE "
        + CONTAINS
        + in_order(limits)
        + " LIMIT :most",
        environment_id=environment_id,
        text=text,
        far=_FAR,
        most=limits.limit + 1,
        **cursor_of(limits),
    )
    return _matches(rows)


def _look_up(tx: Transaction, environment_id: str, text: str, limits: Bounds, sample: str) -> list[Match]:
    """Return the matches that the index knows of, as many as a page takes and one."""
    # Materialized, so that the planner cannot take the way along the ids instead.
    rows = tx.all(
        "WITH found AS MATERIALIZED (SELECT environment_id, id, folded_name FROM organizations"
        " WHERE organization_terms(environment_id, folded_name) @@ (:terms)::tsquery),"
        " page AS MATERIALIZED (SELECT id FROM found WHERE environment_id = :environment_id"
        + past(limits)
        + " AND "
        + CONTAINS
        + in_order(limits)
        + " LIMIT :most)"
        " SELECT id, wire FROM organizations WHERE environment_id = :environment_id"
        " AND id IN (SELECT id FROM page)" + in_order(limits),
        environment_id=environment_id,
        terms=_terms(environment_id, text, sample),
        text=text,
        most=limits.limit + 1,
        **cursor_of(limits),
    )
    return _matches(rows)


def _terms(environment_id: str, text: str, sample: str) -> str:
    """Return what to ask the index for: names with the beginning of a term, or with several terms."""
    if is_short(text):
        return beginning(environment_id, text) + ":*"
    return " & ".join(rarest_terms(environment_id, text, sample, _TERMS))


def _matches(rows: Iterable[Row]) -> list[Match]:
    return [(row[0], msgspec.Raw(row[1])) for row in rows]
