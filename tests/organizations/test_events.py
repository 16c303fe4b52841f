"""Every change writes its event, in the transaction that makes it."""

from typing import Any

import httpx

from support import Access, events_of
from tenantry.core.db import Database


def test_a_create_is_recorded_with_its_domains(
    api: httpx.Client, shared_database: Database, access: Access
) -> None:
    made = api.post("/organizations", json={"name": "Acme", "domain_data": [{"domain": "acme.com"}]}).json()
    organization, domain = events_of(shared_database, access.environment_id)
    assert (organization["event"], organization["data"]) == ("organization.created", made)
    assert (domain["event"], domain["data"]) == ("organization_domain.created", made["domains"][0])
    assert organization["object"] == "event"
    assert str(organization["id"]).startswith("event_")
    assert organization["created_at"] == made["created_at"]
    context: Any = organization["context"]
    assert context["actor"]["id"].startswith("api_key_")
    assert (context["actor"]["source"], context["actor"]["name"]) == ("api", "tests")
    assert "previous_attributes" not in context


def test_an_update_is_recorded_with_what_it_replaced(
    api: httpx.Client, shared_database: Database, access: Access
) -> None:
    made = api.post("/organizations", json={"name": "Acme", "metadata": {"a": "1"}}).json()
    changed = api.put(
        f"/organizations/{made['id']}", json={"name": "New", "metadata": {"b": "2"}, "stripe_customer_id": "cus_1"}
    ).json()
    event: Any = events_of(shared_database, access.environment_id)[-1]
    assert (event["event"], event["data"]) == ("organization.updated", changed)
    assert event["context"]["previous_attributes"] == {
        "name": "Acme",
        "metadata": {"a": "1"},
        "stripe_customer_id": None,
    }


def test_replacing_domains_records_each_and_the_organization(
    api: httpx.Client, shared_database: Database, access: Access
) -> None:
    made = api.post(
        "/organizations", json={"name": "Acme", "domain_data": [{"domain": "old.com"}, {"domain": "stays.com"}]}
    ).json()
    wanted = [{"domain": "stays.com", "state": "verified"}, {"domain": "new.com"}]
    changed = api.put(f"/organizations/{made['id']}", json={"domain_data": wanted}).json()
    recorded: Any = events_of(shared_database, access.environment_id)[3:]
    assert [(event["event"], event["data"].get("domain")) for event in recorded] == [
        ("organization_domain.deleted", "old.com"),
        ("organization_domain.created", "new.com"),
        ("organization_domain.verified", "stays.com"),
        ("organization.updated", None),
    ]
    assert recorded[-1]["data"] == changed
    assert recorded[-1]["context"]["previous_attributes"] == {"domains": made["domains"]}


def test_a_delete_is_recorded_with_the_last_state(
    api: httpx.Client, shared_database: Database, access: Access
) -> None:
    made = api.post("/organizations", json={"name": "Acme", "domains": ["acme.com"]}).json()
    api.delete(f"/organizations/{made['id']}")
    recorded = events_of(shared_database, access.environment_id)[2:]
    assert [event["event"] for event in recorded] == ["organization_domain.deleted", "organization.deleted"]
    assert recorded[1]["data"] == made


def test_what_changes_nothing_or_fails_leaves_no_event(
    api: httpx.Client, shared_database: Database, access: Access
) -> None:
    made = api.post("/organizations", json={"name": "Acme", "external_id": "17"}).json()
    api.put(f"/organizations/{made['id']}", json={"name": "Acme"})
    api.post("/organizations", json={"name": "Other", "external_id": "17"})
    api.put(f"/organizations/{made['id']}", json={"metadata": {"k": 1}})
    assert len(events_of(shared_database, access.environment_id)) == 1
