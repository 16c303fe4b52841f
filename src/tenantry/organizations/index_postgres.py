"""Organizations by a text in their name on PostgreSQL, whose index gives all that have the terms, in no order.

Each statement goes to another process and back. So the first one walks, and brings names along that tell
which way is the short one: for the same search and for those that come after it.
"""

from math import inf
from typing import LiteralString

from tenantry.core.db import Transaction
from tenantry.core.effort import Effort
from tenantry.core.page import Bounds, cursor_of, in_order, past
from tenantry.organizations import samples
from tenantry.organizations.search import Match, Sample, beginning, is_short, matches_of, rarest_terms

CONTAINS: LiteralString = "strpos(folded_name, :text) > 0"

FEW = 1_500
"""So many names that have the terms are read, in any order; where there are more, a longer walk is tried first."""

FAR = 10_000
"""So many names are walked then. Each of the two takes some milliseconds at most."""

_NEAR = 300
_ALL = (1 << 31) - 1
_TERMS = 3
_WAITING = 256


def select_page(tx: Transaction, environment_id: str, text: str, limits: Bounds, effort: Effort) -> list[Match]:
    """Return the matches within `limits`, in walking order, and one more than a page takes if there is one.

    Raises TakesLong.
    """
    sample = samples.last_seen(tx, environment_id)
    if sample is None:
        found, names = _near(tx, environment_id, text, limits)
        if names is None:
            return found
        # Others that asked meanwhile may have come back first: to count what is in the names takes milliseconds.
        sample = samples.last_seen(tx, environment_id) or samples.keep(tx, environment_id, names)
    likely = sample.rows_before(text, limits.limit + 1)
    if is_short(text) and likely > _NEAR:
        effort.stop()
    # Where some names hold the text, a walk likely fills the page.
    is_common = likely < inf
    page = None if is_common else _look_up(tx, environment_id, text, limits, sample, FEW)
    if page is None:
        page = _far(tx, environment_id, text, limits)
    if page is None:
        page = _look_up(tx, environment_id, text, limits, sample, _ALL)
    assert page is not None, "nobody has so many organizations"
    return page


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
    found = sorted(matches_of(row for row in rows if row[0] is not None), reverse=limits.descending)
    return found, next((row[2] for row in rows if row[0] is None), None)


def _far(tx: Transaction, environment_id: str, text: str, limits: Bounds) -> list[Match] | None:
    """Return a page, and one more, if there are as many among a good number of the first rows."""
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
        far=FAR,
        most=limits.limit + 1,
        **cursor_of(limits),
    )
    return matches_of(rows) if len(rows) > limits.limit else None


def _look_up(
    tx: Transaction, environment_id: str, text: str, limits: Bounds, sample: Sample, few: int
) -> list[Match] | None:
    """Return the matches that the index knows of, as many as a page takes and one.

    None where as many as `few` names have the terms.
    """
    # Materialized, so that the planner cannot take the way along the ids instead.
    rows = tx.all(
        "WITH found AS MATERIALIZED (SELECT environment_id, id, folded_name FROM organizations"
        " WHERE organization_terms(environment_id, folded_name) @@ (:terms)::tsquery LIMIT :few),"
        " page AS MATERIALIZED (SELECT id FROM found WHERE environment_id = :environment_id"
        + past(limits)
        + " AND "
        + CONTAINS
        + in_order(limits)
        + " LIMIT :most)"
        " SELECT id, wire FROM organizations WHERE environment_id = :environment_id"
        " AND id IN (SELECT id FROM page WHERE (SELECT count(*) FROM found) < :few)"
        " UNION ALL SELECT NULL, NULL WHERE (SELECT count(*) FROM found) = :few",
        environment_id=environment_id,
        terms=_terms(environment_id, text, sample),
        text=text,
        few=few,
        most=limits.limit + 1,
        **cursor_of(limits),
    )
    if rows and rows[0][0] is None:
        return None
    return sorted(matches_of(rows), reverse=limits.descending)


def _terms(environment_id: str, text: str, sample: Sample) -> str:
    """Return what to ask the index for: names with the beginning of a term, or with several terms."""
    if is_short(text):
        return beginning(environment_id, text) + ":*"
    return " & ".join(rarest_terms(environment_id, text, sample, _TERMS))
