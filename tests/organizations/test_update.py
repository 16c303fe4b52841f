"""PUT /organizations/{id}: what is absent stays."""

from typing import Any

import httpx
import pytest

FULL = {
    "name": "Acme",
    "allow_profiles_outside_organization": True,
    "domain_data": [{"domain": "acme.com", "state": "pending"}],
    "metadata": {"tier": "gold", "region": "eu"},
    "external_id": "17",
}


@pytest.fixture
def acme(api: httpx.Client) -> dict[str, Any]:
    made: dict[str, Any] = api.post("/organizations", json=FULL).json()
    return made


def put(api: httpx.Client, organization: dict[str, Any], change: object) -> dict[str, Any]:
    answer = api.put(f"/organizations/{organization['id']}", json=change)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert api.get(f"/organizations/{organization['id']}").json() == body
    return body


def without_time(organization: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in organization.items() if name != "updated_at"}


def test_only_what_is_given_changes(api: httpx.Client, acme: dict[str, Any]) -> None:
    changed = put(api, acme, {"name": "Acme Inc"})
    assert without_time(changed) == without_time(acme) | {"name": "Acme Inc"}
    assert changed["updated_at"] > acme["updated_at"]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"name": "Acme"},
        dict.fromkeys(("name", "domains", "domain_data", "allow_profiles_outside_organization", "metadata")),
        {"external_id": "17"},
        {"external_id": ""},
        {"domain_data": [{"domain": "ACME.com", "state": "pending"}]},
        {"domains": ["acme.com"]},
        {"metadata": {"tier": "gold"}},
        {"metadata": {"absent": None}},
        {"stripe_customer_id": None},
    ],
)
def test_a_change_that_changes_nothing_leaves_everything(
    api: httpx.Client, acme: dict[str, Any], change: object
) -> None:
    assert put(api, acme, change) == acme


def test_an_update_without_a_body_changes_nothing(api: httpx.Client, acme: dict[str, Any]) -> None:
    assert api.put(f"/organizations/{acme['id']}").json() == acme


def test_metadata_is_merged(api: httpx.Client, acme: dict[str, Any]) -> None:
    changed = put(api, acme, {"metadata": {"tier": "diamond", "region": None, "seats": ""}})
    assert changed["metadata"] == {"tier": "diamond", "seats": ""}


def test_empty_metadata_clears_it(api: httpx.Client, acme: dict[str, Any]) -> None:
    assert put(api, acme, {"metadata": {}})["metadata"] == {}


def test_the_limit_of_keys_holds_after_the_merge(api: httpx.Client, acme: dict[str, Any]) -> None:
    answer = api.put(f"/organizations/{acme['id']}", json={"metadata": {f"k{n}": "v" for n in range(49)}})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_metadata")
    swap = {f"k{n}": "v" for n in range(49)} | {"tier": None}
    assert len(put(api, acme, {"metadata": swap})["metadata"]) == 50


def test_null_clears_the_external_id(api: httpx.Client, acme: dict[str, Any]) -> None:
    assert put(api, acme, {"external_id": None})["external_id"] is None
    assert api.get("/organizations/external_id/17").status_code == 404


def test_another_organizations_external_id_is_refused(api: httpx.Client, acme: dict[str, Any]) -> None:
    other = api.post("/organizations", json={"name": "Other"}).json()
    answer = api.put(f"/organizations/{other['id']}", json={"external_id": "17", "name": "New"})
    assert (answer.status_code, answer.json()["code"]) == (400, "external_id_already_used")
    assert api.get(f"/organizations/{other['id']}").json() == other


def test_a_stripe_customer_is_set_shown_and_cleared(api: httpx.Client, acme: dict[str, Any]) -> None:
    assert put(api, acme, {"stripe_customer_id": "cus_1"})["stripe_customer_id"] == "cus_1"
    assert "stripe_customer_id" not in put(api, acme, {"stripe_customer_id": None})


def test_a_stripe_customer_belongs_to_one_organization(api: httpx.Client, acme: dict[str, Any]) -> None:
    put(api, acme, {"stripe_customer_id": "cus_1"})
    other = api.post("/organizations", json={"name": "Other"}).json()
    answer = api.put(f"/organizations/{other['id']}", json={"stripe_customer_id": "cus_1"})
    assert (answer.status_code, answer.json()["code"]) == (400, "stripe_customer_id_already_used")


def test_domain_data_replaces_the_domains(api: httpx.Client, acme: dict[str, Any]) -> None:
    changed = put(api, acme, {"domain_data": [{"domain": "new.com", "state": "verified"}]})
    assert [domain["domain"] for domain in changed["domains"]] == ["new.com"]


def test_a_domain_that_stays_keeps_its_row(api: httpx.Client, acme: dict[str, Any]) -> None:
    changed = put(api, acme, {"domain_data": [{"domain": "acme.com"}, {"domain": "new.com"}]})
    assert changed["domains"][0] == acme["domains"][0]
    assert [domain["domain"] for domain in changed["domains"]] == ["acme.com", "new.com"]


def test_a_listed_domain_becomes_verified_on_the_callers_word(api: httpx.Client, acme: dict[str, Any]) -> None:
    (domain,) = put(api, acme, {"domain_data": [{"domain": "acme.com", "state": "verified"}]})["domains"]
    assert (domain["id"], domain["state"]) == (acme["domains"][0]["id"], "verified")
    assert domain["verification_strategy"] == "manual"
    assert "verification_token" not in domain
    (again,) = put(api, acme, {"domain_data": [{"domain": "acme.com", "state": "pending"}]})["domains"]
    assert again == domain


@pytest.mark.parametrize("empty", [{"domain_data": []}, {"domains": []}])
def test_an_empty_list_removes_all_domains(api: httpx.Client, acme: dict[str, Any], empty: object) -> None:
    assert put(api, acme, empty)["domains"] == []


def test_an_unknown_organization_is_not_found(api: httpx.Client) -> None:
    answer = api.put("/organizations/org_01EHQMYV6MBK39QC5PZXHY59C3", json={"name": "Acme"})
    assert answer.status_code == 404
    assert answer.json() == {
        "message": "Organization not found: 'org_01EHQMYV6MBK39QC5PZXHY59C3'.",
        "code": "entity_not_found",
        "entity_id": "org_01EHQMYV6MBK39QC5PZXHY59C3",
    }


def test_a_wrong_field_is_told_and_nothing_is_half_done(api: httpx.Client, acme: dict[str, Any]) -> None:
    answer = api.put(f"/organizations/{acme['id']}", json={"name": "", "metadata": {"tier": "x"}})
    assert answer.json()["errors"] == [{"field": "name", "code": "name should not be empty"}]
    assert api.get(f"/organizations/{acme['id']}").json() == acme
