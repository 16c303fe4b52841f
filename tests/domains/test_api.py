"""The routes of organization domains, over HTTP."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from support import Access, Server, client, events_of, grant
from tenantry.core.db import Database

UNKNOWN = "org_domain_01EHQMYV6MBK39QC5PZXHY59C3"
UNKNOWN_ORGANIZATION = "org_01EHQMYV6MBK39QC5PZXHY59C3"


@pytest.fixture
def organization_id(api: httpx.Client) -> str:
    made: dict[str, Any] = api.post("/organizations", json={"name": "Acme"}).json()
    identity: str = made["id"]
    return identity


@pytest.fixture
def stranger(server: Server, shared_database: Database) -> Iterator[httpx.Client]:
    with client(server.base_url, grant(shared_database).key) as opened:
        yield opened


def create(api: httpx.Client, organization_id: str, domain: str = "acme.com") -> httpx.Response:
    return api.post("/organization_domains", json={"organization_id": organization_id, "domain": domain})


def names(database: Database, access: Access) -> list[object]:
    return [event["event"] for event in events_of(database, access.environment_id)]


def test_a_domain_is_created_pending_with_the_record_to_publish(api: httpx.Client, organization_id: str) -> None:
    answer = create(api, organization_id, " ACME.com. ")
    made = answer.json()
    assert answer.status_code == 201
    assert made["object"] == "organization_domain"
    assert (made["organization_id"], made["domain"]) == (organization_id, "acme.com")
    assert (made["state"], made["verification_strategy"]) == ("pending", "dns")
    assert made["verification_prefix"] == f"acme-domain-verification-{made['id'][-6:].lower()}"
    assert len(made["verification_token"]) == 25
    assert api.get(f"/organization_domains/{made['id']}").json() == made
    assert api.get(f"/organizations/{organization_id}").json()["domains"] == [made]


def test_a_create_makes_the_event_of_the_domain_and_no_other(
    api: httpx.Client, organization_id: str, shared_database: Database, access: Access
) -> None:
    before = api.get(f"/organizations/{organization_id}").json()["updated_at"]
    create(api, organization_id)
    assert names(shared_database, access) == ["organization.created", "organization_domain.created"]
    assert api.get(f"/organizations/{organization_id}").json()["updated_at"] == before


def test_a_form_is_read_where_json_is(api: httpx.Client, organization_id: str) -> None:
    answer = api.post("/organization_domains", data={"organization_id": organization_id, "domain": "acme.com"})
    assert answer.status_code == 201


def test_an_organization_has_a_domain_once(api: httpx.Client, organization_id: str) -> None:
    create(api, organization_id)
    again = create(api, organization_id, "Acme.COM")
    assert again.status_code == 409
    assert again.json() == {
        "code": "domain_already_exists",
        "message": "Domain already exists for this organization.",
    }


def test_an_organization_has_no_more_than_two_hundred_domains(api: httpx.Client) -> None:
    names = [f"a{number}.com" for number in range(200)]
    pending = [{"domain": name} for name in names[100:]]
    made = api.post("/organizations", json={"name": "Acme", "domains": names[:100], "domain_data": pending}).json()
    assert len(made["domains"]) == 200
    refused = create(api, made["id"], "one-more.com")
    assert (refused.status_code, refused.json()["code"]) == (422, "too_many_domains")
    assert api.delete(f"/organization_domains/{made['domains'][0]['id']}").status_code == 204
    assert create(api, made["id"], "one-more.com").status_code == 201


def test_several_organizations_may_claim_a_domain(api: httpx.Client, organization_id: str) -> None:
    other = api.post("/organizations", json={"name": "Other"}).json()["id"]
    assert create(api, organization_id).status_code == 201
    assert create(api, other).status_code == 201
    found = api.get("/tenantry/domains/acme.com").json()
    assert [each["organization_id"] for each in found["claimants"]] == [organization_id, other]
    assert (found["owners"], found["contests"], found["policy"]) == ([], [], "exclusive")


def test_where_domains_are_unique_a_second_claim_is_refused(unique_api: httpx.Client) -> None:
    first, second = (unique_api.post("/organizations", json={"name": name}).json()["id"] for name in "ab")
    assert create(unique_api, first).status_code == 201
    refused = create(unique_api, second)
    assert refused.status_code == 409
    assert refused.json() == {"message": "An Organization with the domain acme.com already exists."}


def test_a_domain_of_no_organization_is_refused(
    api: httpx.Client, shared_database: Database, access: Access
) -> None:
    answer = create(api, UNKNOWN_ORGANIZATION)
    assert answer.status_code == 404
    assert answer.json()["entity_id"] == UNKNOWN_ORGANIZATION
    assert names(shared_database, access) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"domain": "acme.com"},
        {"organization_id": UNKNOWN_ORGANIZATION},
        {"organization_id": "", "domain": "x"},
    ],
)
def test_a_body_that_is_not_whole_is_a_422(api: httpx.Client, body: dict[str, str]) -> None:
    answer = api.post("/organization_domains", json=body)
    assert answer.status_code == 422
    wanted = {"domain"} if body.get("organization_id") else set(body) ^ {"domain", "organization_id"}
    assert {error["field"] for error in answer.json()["errors"]} >= wanted


def test_a_deleted_domain_is_gone_from_its_organization_too(
    api: httpx.Client, organization_id: str, shared_database: Database, access: Access
) -> None:
    path = f"/organization_domains/{create(api, organization_id).json()['id']}"
    answer = api.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert api.get(path).status_code == 404
    assert api.delete(path).status_code == 404
    assert api.get(f"/organizations/{organization_id}").json()["domains"] == []
    assert names(shared_database, access)[-1] == "organization_domain.deleted"
    assert create(api, organization_id).status_code == 201


def test_verify_answers_201_with_the_domain(api: httpx.Client, organization_id: str) -> None:
    made = create(api, organization_id).json()
    answer = api.post(f"/organization_domains/{made['id']}/verify")
    assert (answer.status_code, answer.json()) == (201, made)


def test_a_domain_given_as_verified_needs_no_proof(api: httpx.Client) -> None:
    body = {"name": "Acme", "domain_data": [{"domain": "acme.com", "state": "verified"}]}
    [domain] = api.post("/organizations", json=body).json()["domains"]
    answer = api.post(f"/organization_domains/{domain['id']}/verify")
    assert answer.status_code == 400
    assert answer.json() == {"code": "domain_already_verified", "message": "Domain is already verified."}


def test_an_unknown_domain_is_a_404_everywhere(api: httpx.Client) -> None:
    path, ours = f"/organization_domains/{UNKNOWN}", f"/tenantry/organization_domains/{UNKNOWN}"
    answers = [
        api.get(path),
        api.delete(path),
        api.post(f"{path}/verify"),
        api.get(f"{ours}/diagnosis"),
        api.get(f"{ours}/attempts"),
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert {answer.json()["entity_id"] for answer in answers} == {UNKNOWN}


def test_nothing_crosses_an_environment(api: httpx.Client, organization_id: str, stranger: httpx.Client) -> None:
    made = create(api, organization_id).json()
    path, ours = f"/organization_domains/{made['id']}", f"/tenantry/organization_domains/{made['id']}"
    assert create(stranger, organization_id).status_code == 404
    assert stranger.get(path).status_code == 404
    assert stranger.delete(path).status_code == 404
    assert stranger.post(f"{path}/verify").status_code == 404
    assert stranger.get(f"{ours}/diagnosis").status_code == 404
    assert stranger.get("/tenantry/domains/acme.com").json()["claimants"] == []
    assert api.get(path).json() == made


def test_ownership_says_who_has_a_domain_since_when_and_by_what_proof(api: httpx.Client) -> None:
    body = {"name": "Acme", "domain_data": [{"domain": "acme.com", "state": "verified"}]}
    made = api.post("/organizations", json=body).json()
    answer = api.get("/tenantry/domains/ACME.com.")
    assert answer.status_code == 200
    assert answer.json()["domain"] == "acme.com"
    assert answer.json()["owners"] == [
        {
            "organization_id": made["id"],
            "organization_domain_id": made["domains"][0]["id"],
            "proof": "manual",
            "since": made["created_at"],
            "at_risk_since": None,
        }
    ]


def test_ownership_of_what_is_no_domain_is_a_422(api: httpx.Client) -> None:
    answer = api.get("/tenantry/domains/acme")
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["field"] == "domain"
    assert "two labels" in error["code"]


@pytest.mark.parametrize("email", ["ana@acme.com", "Ana.Maria+x@ACME.com", '"a@b"@acme.com', " ana@acme.com. "])
def test_an_email_belongs_to_the_organization_with_its_domain_verified(api: httpx.Client, email: str) -> None:
    body = {"name": "Acme", "domain_data": [{"domain": "acme.com", "state": "verified"}]}
    made = api.post("/organizations", json=body).json()
    answer = api.get("/tenantry/organizations/lookup", params={"email": email})
    assert answer.json() == {"object": "list", "data": [made], "list_metadata": {"before": None, "after": None}}


def test_the_organization_that_had_a_domain_first_stands_first(api: httpx.Client) -> None:
    names = ["Acme", "Bolt", "Core"]
    for name in names:
        data = [{"domain": "acme.com", "state": "verified"}]
        api.post("/organizations", json={"name": name, "domain_data": data})
    found = api.get("/tenantry/organizations/lookup?email=ana@acme.com").json()["data"]
    assert [each["name"] for each in found] == names
    owners = api.get("/tenantry/domains/acme.com").json()["owners"]
    assert [each["organization_id"] for each in owners] == [each["id"] for each in found]


@pytest.mark.parametrize("email", ["ana@eng.acme.com", "ana@other.com"])
def test_an_email_of_another_domain_belongs_to_nobody(api: httpx.Client, email: str) -> None:
    body = {"name": "Acme", "domain_data": [{"domain": "acme.com", "state": "verified"}, {"domain": "other.com"}]}
    api.post("/organizations", json=body)
    assert api.get("/tenantry/organizations/lookup", params={"email": email}).json()["data"] == []


@pytest.mark.parametrize("query", ["", "?email=", "?email=acme.com", "?email=@acme.com", "?email=ana@acme"])
def test_what_is_no_email_is_a_422_that_names_the_field(api: httpx.Client, query: str) -> None:
    answer = api.get(f"/tenantry/organizations/lookup{query}")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["email"]
