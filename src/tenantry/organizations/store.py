"""Rows of organizations."""

from typing import LiteralString

import msgspec

from tenantry.core.db import Insertion, Transaction, Values
from tenantry.core.page import Bounds, behind, in_order, walk, walked
from tenantry.organizations import index
from tenantry.organizations.places import FREE, likely_place
from tenantry.organizations.search import Match, matches_of


class OrganizationRow(msgspec.Struct, frozen=True, kw_only=True):
    """One organization's row. `wire` is the whole object as JSON, domains included."""

    id: str
    name: str
    folded_name: str
    allow_profiles_outside_organization: bool
    external_id: str | None
    stripe_customer_id: str | None
    metadata: str
    created_at: str
    updated_at: str
    wire: bytes


_COLUMNS: LiteralString = (
    "environment_id text, id text, name text, folded_name text, allow_profiles_outside_organization boolean,"
    " external_id text, stripe_customer_id text, metadata text, created_at text, updated_at text, wire bytea"
)
_INSERTION = {
    "sqlite": Insertion("organizations", "place bigint, " + _COLUMNS, {"place": FREE}, leads=True),
    "postgres": Insertion("organizations", _COLUMNS, leads=True),
}


def insert(tx: Transaction, environment_id: str, row: OrganizationRow) -> None:
    """Add one organization."""
    index.take_in(tx)
    tx.insert(_INSERTION[tx.engine], _new_row(tx, environment_id, row))


def insert_all(tx: Transaction, environment_id: str, rows: list[OrganizationRow]) -> None:
    """Add organizations (at least one)."""
    index.expect(tx, len(rows))
    tx.insert_all(_INSERTION[tx.engine], [_new_row(tx, environment_id, row) for row in rows])
    index.take_in(tx)


def _new_row(tx: Transaction, environment_id: str, row: OrganizationRow) -> Values:
    values = (environment_id, *msgspec.structs.astuple(row))
    return (likely_place(row.id), *values) if tx.engine == "sqlite" else values


def update(tx: Transaction, environment_id: str, row: OrganizationRow) -> None:
    """Write everything of `row` over the organization with its id."""
    index.rename(tx, environment_id, row.id, row.folded_name)
    tx.run_later(
        "UPDATE organizations SET name = :name, folded_name = :folded_name,"
        " allow_profiles_outside_organization = :allow_profiles_outside_organization,"
        " external_id = :external_id, stripe_customer_id = :stripe_customer_id, metadata = :metadata,"
        " updated_at = :updated_at, wire = :wire"
        " WHERE environment_id = :environment_id AND id = :id",
        environment_id=environment_id,
        **msgspec.structs.asdict(row),
    )


def release(tx: Transaction, environment_id: str, organization_ids: list[str]) -> None:
    """Take external id and Stripe customer from organizations (at least one) that are to be updated then."""
    tx.run_later(
        "UPDATE organizations SET external_id = NULL, stripe_customer_id = NULL"
        " WHERE environment_id = :environment_id AND id IN :ids",
        environment_id=environment_id,
        ids=organization_ids,
    )


def update_wire(tx: Transaction, environment_id: str, organization_id: str, wire: bytes) -> None:
    """Write what one organization shows, where nothing else of it has changed."""
    tx.run_later(
        "UPDATE organizations SET wire = :wire WHERE environment_id = :environment_id AND id = :id",
        wire=wire,
        environment_id=environment_id,
        id=organization_id,
    )


def delete(tx: Transaction, environment_id: str, organization_id: str) -> None:
    """Remove one organization, whose domains are gone already."""
    index.delete(tx, environment_id, organization_id)
    tx.run_later(
        "DELETE FROM organizations WHERE environment_id = :environment_id AND id = :id",
        environment_id=environment_id,
        id=organization_id,
    )


_WIRE: LiteralString = "SELECT id, wire FROM organizations WHERE environment_id = :environment_id"


def count(tx: Transaction, environment_id: str) -> int:
    """Return how many organizations an environment has."""
    row = tx.one(
        "SELECT COUNT(*) FROM organizations WHERE environment_id = :environment_id", environment_id=environment_id
    )
    found: int = row[0] if row else 0
    return found


def lock(tx: Transaction, environment_id: str, organization_ids: list[str]) -> None:
    """Lock the rows of organizations (at least one) until the transaction ends. On SQLite nobody else writes."""
    if tx.engine == "postgres":
        # In one order, so that two who lock the same rows do not wait for each other.
        tx.all(
            "SELECT id FROM organizations WHERE environment_id = :environment_id AND id IN :organization_ids"
            " ORDER BY id FOR UPDATE",
            environment_id=environment_id,
            organization_ids=organization_ids,
        )


def select_wire(tx: Transaction, environment_id: str, organization_id: str) -> bytes | None:
    """Return one organization's JSON."""
    sql: LiteralString = _WIRE + " AND id = :id"
    row = None
    if tx.engine == "sqlite":
        place = likely_place(organization_id)
        row = tx.one(sql + " AND place = :place", environment_id=environment_id, id=organization_id, place=place)
    if row is None:
        row = tx.one(sql, environment_id=environment_id, id=organization_id)
    return row[1] if row else None


def select_wires_by_id(tx: Transaction, environment_id: str, organization_ids: list[str]) -> dict[str, bytes]:
    """Return the JSON of each of the organizations (at least one) that is there, by id."""
    found: dict[str, bytes] = {}
    if tx.engine == "sqlite":
        places = [likely_place(each) for each in organization_ids]
        # The plus keeps SQLite from walking the environment instead: it takes that for few rows.
        rows = tx.all(
            "SELECT id, wire FROM organizations WHERE +environment_id = :environment_id AND place IN :places",
            environment_id=environment_id,
            places=places,
        )
        wanted = set(organization_ids)
        found = {row[0]: row[1] for row in rows if row[0] in wanted}
    missing = [each for each in organization_ids if each not in found]
    if missing:
        rows = tx.all(_WIRE + " AND id IN :ids", environment_id=environment_id, ids=missing)
        found |= {row[0]: row[1] for row in rows}
    return found


def select_wires_of_owners(tx: Transaction, environment_id: str, domain: str, most: int) -> list[bytes]:
    """Return the JSON of up to `most` organizations that have a domain verified, the first to have it first."""
    # A query within the row, not a join: it leaves no choice of which table is read first.
    rows = tx.all(
        "SELECT (SELECT wire FROM organizations WHERE organizations.environment_id = :environment_id"
        " AND organizations.id = owned.organization_id)"
        " FROM organization_domains AS owned"
        " WHERE environment_id = :environment_id AND domain = :domain AND verified_at IS NOT NULL"
        " ORDER BY verified_at, id LIMIT :most",
        environment_id=environment_id,
        domain=domain,
        most=most,
    )
    return [row[0] for row in rows]


def select_wire_by_external_id(tx: Transaction, environment_id: str, external_id: str) -> bytes | None:
    """Return the JSON of the organization with that external id."""
    row = tx.one(
        "SELECT wire FROM organizations WHERE environment_id = :environment_id AND external_id = :external_id",
        environment_id=environment_id,
        external_id=external_id,
    )
    return row[0] if row else None


def select_id_by_external_id(tx: Transaction, environment_id: str, external_id: str) -> str | None:
    """Return the id of the organization with that external id, to tell who has it; see `one_in_place`."""
    row = tx.one_in_place(
        "SELECT id FROM organizations WHERE environment_id = :environment_id AND external_id = :external_id",
        environment_id=environment_id,
        external_id=external_id,
    )
    return row[0] if row else None


def select_id_by_stripe_customer_id(tx: Transaction, environment_id: str, stripe_customer_id: str) -> str | None:
    """Return the id of the organization with that Stripe customer, to tell who has it; see `one_in_place`."""
    row = tx.one_in_place(
        "SELECT id FROM organizations"
        " WHERE environment_id = :environment_id AND stripe_customer_id = :stripe_customer_id",
        environment_id=environment_id,
        stripe_customer_id=stripe_customer_id,
    )
    return row[0] if row else None


def select_ids_by_external_id(tx: Transaction, environment_id: str, external_ids: list[str]) -> dict[str, str]:
    """Return the id of the organization with each of the external ids (at least one) that one has."""
    rows = tx.all(
        "SELECT external_id, id FROM organizations"
        " WHERE environment_id = :environment_id AND external_id IN :external_ids",
        environment_id=environment_id,
        external_ids=external_ids,
    )
    return {row[0]: row[1] for row in rows}


def select_ids_by_stripe_customer_id(
    tx: Transaction, environment_id: str, customer_ids: list[str]
) -> dict[str, str]:
    """Return the id of the organization with each of the Stripe customers (at least one) that one has."""
    rows = tx.all(
        "SELECT stripe_customer_id, id FROM organizations"
        " WHERE environment_id = :environment_id AND stripe_customer_id IN :customer_ids",
        environment_id=environment_id,
        customer_ids=customer_ids,
    )
    return {row[0]: row[1] for row in rows}


def select_page(tx: Transaction, environment_id: str, limits: Bounds) -> tuple[list[Match], bool]:
    """Return ids and JSON of the rows within `limits`, in walking order, and one more if there is one.

    Then whether there are rows behind the cursor, its own among them; False where there is none.
    """
    if limits.cursor is None:
        rows = tx.all(_WIRE + walk(limits), environment_id=environment_id, **walked(limits))
        return matches_of(rows), False
    # The cursor's own row is nearly always there, and says without a look at others that there are rows behind.
    rows = tx.all(
        _WIRE
        + (" AND id <= :cursor" if limits.descending else " AND id >= :cursor")
        + in_order(limits)
        + " LIMIT :most",
        environment_id=environment_id,
        cursor=limits.cursor,
        most=limits.limit + 2,
    )
    if rows and rows[0][0] == limits.cursor:
        return matches_of(rows[1:]), True
    return matches_of(rows[: limits.limit + 1]), bool(rows) and _is_any_behind(tx, environment_id, limits)


def _is_any_behind(tx: Transaction, environment_id: str, limits: Bounds) -> bool:
    sql: LiteralString = "SELECT 1 FROM organizations WHERE environment_id = :environment_id" + behind(limits)
    return tx.one(sql, environment_id=environment_id, first=limits.cursor) is not None


def select_wires(tx: Transaction, environment_id: str, after: str, most: int) -> list[tuple[str, bytes]]:
    """Return id and JSON of the first `most` organizations past the id `after`, by id."""
    rows = tx.all(
        "SELECT id, wire FROM organizations WHERE environment_id = :environment_id AND id > :after"
        " ORDER BY id LIMIT :most",
        environment_id=environment_id,
        after=after,
        most=most,
    )
    return [(row[0], row[1]) for row in rows]


def select_versions(
    tx: Transaction, environment_id: str, after: str, through: str | None, most: int
) -> list[tuple[str, str]]:
    """Return id and time of update of the first `most` organizations past `after`, by id, `through` included."""
    sql: LiteralString = (
        "SELECT id, updated_at FROM organizations WHERE environment_id = :environment_id AND id > :after"
    )
    parameters = {"environment_id": environment_id, "after": after, "most": most}
    if through is not None:
        sql += " AND id <= :through"
        parameters["through"] = through
    return [(row[0], row[1]) for row in tx.all(sql + " ORDER BY id LIMIT :most", **parameters)]
