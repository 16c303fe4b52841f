"""Organizations by a text in their name, and the index that finds them.

Whoever reads a page wants its first rows in the order of ids. Where many names match, they are
found by walking in that order; where few do, by the index of terms. Some names that were looked at before tell
which way is the short one, and which terms are rare; where there are none yet, a short walk comes first.
"""

from typing import LiteralString

from tenantry.core.db import Transaction
from tenantry.core.effort import Effort
from tenantry.core.page import Bounds
from tenantry.organizations import index_postgres, index_sqlite
from tenantry.organizations.search import Match

_CONTAINS: dict[str, LiteralString] = {"sqlite": index_sqlite.CONTAINS, "postgres": index_postgres.CONTAINS}


def contains(engine: str) -> LiteralString:
    """Return the condition that `folded_name` contains `:text`."""
    return _CONTAINS[engine]


def select_page(tx: Transaction, environment_id: str, text: str, limits: Bounds, effort: Effort) -> list[Match]:
    """Return ids and JSON of the rows within `limits` whose folded name contains `text`, and one more if any.

    They come in walking order. Raises TakesLong where the text is short, not among the first names, and `effort`
    one that gives up.
    """
    if tx.engine == "sqlite":
        return index_sqlite.select_page(tx, environment_id, text, limits, effort)
    return index_postgres.select_page(tx, environment_id, text, limits, effort)


def has_behind(
    tx: Transaction, environment_id: str, text: str, limits: Bounds, first: str, *, effort: Effort
) -> bool:
    """Return whether there are such rows on the other side of `first` than `limits` walks to. Raises TakesLong."""
    behind = Bounds(first, descending=not limits.descending, reverse=False, limit=0)
    return bool(select_page(tx, environment_id, text, behind, effort))


def expect(tx: Transaction, count: int) -> None:
    """Have `count` organizations that are about to be inserted wait for the index together. SQLite's always do."""
    if tx.engine == "postgres":
        index_postgres.expect(tx, count)


def take_in(tx: Transaction) -> None:
    """Give SQLite's index the new names that wait for it, if they are many. PostgreSQL does so by itself."""
    if tx.engine == "sqlite":
        index_sqlite.take_in(tx)


def rename(tx: Transaction, environment_id: str, organization_id: str, folded_name: str) -> None:
    """Have an organization found by `folded_name`, which is about to be written."""
    if tx.engine == "sqlite":
        index_sqlite.rename(tx, environment_id, organization_id, folded_name)


def delete(tx: Transaction, environment_id: str, organization_id: str) -> None:
    """Have an organization, which is about to be deleted, found no more."""
    if tx.engine == "sqlite":
        index_sqlite.delete(tx, environment_id, organization_id)
