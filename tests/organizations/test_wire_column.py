"""The JSON kept beside an organization's rows says what the rows say, whatever was done to them."""

import contextlib
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import caller_in, grant
from tenantry.core.caller import Caller
from tenantry.core.db import Database, Transaction
from tenantry.core.errors import ValidationFailed
from tenantry.core.validation import convert
from tenantry.organizations import service
from tenantry.organizations.metadata import InvalidMetadata
from tenantry.organizations.service import ExternalIdAlreadyUsed, StripeCustomerIdAlreadyUsed
from tenantry.organizations.wire import CreateOrganization, UpdateOrganization

NAMES = st.text(min_size=1, max_size=10).filter(lambda text: "\0" not in text)
DOMAINS = st.sampled_from(["a.com", "B.com.", "c.com", "bücher.example", "not a domain"])
DOMAIN_DATA = st.lists(
    st.fixed_dictionaries({"domain": DOMAINS}, optional={"state": st.sampled_from(["pending", "verified"])}),
    max_size=3,
)
METADATA = st.dictionaries(st.sampled_from("abc"), st.none() | NAMES, max_size=3)
OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    "allow_profiles_outside_organization": st.booleans(),
    "domains": st.none() | st.lists(DOMAINS, max_size=2),
    "domain_data": st.none() | DOMAIN_DATA,
    "metadata": st.none() | METADATA,
    "external_id": st.none() | st.sampled_from(["", "1", "2"]),
}
CREATES = st.fixed_dictionaries({"name": NAMES}, optional=OPTIONAL)
UPDATES = st.fixed_dictionaries(
    {}, optional={"name": st.none() | NAMES, "stripe_customer_id": st.none() | st.sampled_from("xy"), **OPTIONAL}
)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_json_says_what_the_rows_say(database: Database, now: list[int], data: st.DataObject) -> None:
    environment_id = grant(database).environment_id
    caller = caller_in(environment_id)
    for _ in range(data.draw(st.integers(1, 8))):
        now[0] += 1
        step(database, caller, data)
        for wire, rows in database.read(lambda tx: both_forms(tx, environment_id)):
            assert wire == rows


def step(database: Database, caller: Caller, data: st.DataObject) -> None:
    """Do one thing to one organization; a refusal is a thing too."""
    ids = [row[0] for row in database.read(lambda tx: select(tx, "id", caller.environment_id))]
    kind = data.draw(st.sampled_from(["create", "update", "update", "delete"] if ids else ["create"]))
    chosen = data.draw(st.sampled_from(ids)) if ids else ""
    given_body = data.draw(CREATES if kind == "create" else UPDATES)

    def work(tx: Transaction) -> None:
        if kind == "create":
            service.create(tx, caller, convert(given_body, CreateOrganization, strict=True))
        elif kind == "update":
            service.update(tx, caller, chosen, convert(given_body, UpdateOrganization, strict=True))
        else:
            service.delete(tx, caller, chosen)

    with contextlib.suppress(
        InvalidMetadata, ValidationFailed, ExternalIdAlreadyUsed, StripeCustomerIdAlreadyUsed
    ):
        database.write(work)


def select(tx: Transaction, column: str, environment_id: str) -> list[Any]:
    sql: Any = f"SELECT {column} FROM organizations WHERE environment_id = :environment_id ORDER BY id"
    return tx.all(sql, environment_id=environment_id)


def both_forms(tx: Transaction, environment_id: str) -> list[tuple[Any, Any]]:
    """Return what each organization's JSON says, beside what its rows say."""
    columns = "id, name, allow_profiles_outside_organization, external_id, stripe_customer_id, metadata,"
    rows = select(tx, columns + " created_at, updated_at, wire", environment_id)
    return [(msgspec.json.decode(row[-1]), from_rows(tx, environment_id, row)) for row in rows]


def from_rows(tx: Transaction, environment_id: str, row: Any) -> dict[str, Any]:
    identity, name, outside, external_id, customer_id, metadata, created_at, updated_at, _ = row
    organization = {
        "object": "organization",
        "id": identity,
        "name": name,
        "allow_profiles_outside_organization": bool(outside),
        "created_at": created_at,
        "updated_at": updated_at,
        "domains": domains_of(tx, environment_id, identity),
        "metadata": msgspec.json.decode(metadata),
        "external_id": external_id,
    }
    return organization | ({} if customer_id is None else {"stripe_customer_id": customer_id})


def domains_of(tx: Transaction, environment_id: str, organization_id: str) -> list[dict[str, Any]]:
    names = [
        *("id", "organization_id", "domain", "state", "verification_strategy", "verification_prefix"),
        *("verification_token", "created_at", "updated_at"),
    ]
    sql: Any = (
        f"SELECT {', '.join(names)} FROM organization_domains"
        " WHERE environment_id = :environment_id AND organization_id = :organization_id ORDER BY id"
    )
    rows = tx.all(sql, environment_id=environment_id, organization_id=organization_id)
    return [
        {"object": "organization_domain"}
        | {name: value for name, value in zip(names, row, strict=True) if value is not None}
        for row in rows
    ]
