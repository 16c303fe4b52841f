"""`POST /tenantry/organizations/bulk`."""

from typing import Any

import httpx

BULK = "/tenantry/organizations/bulk"


def events(api: httpx.Client) -> int:
    names = ["organization.created", "organization.updated", "organization_domain.created"]
    return len(api.get("/events", params={"events": names, "limit": 100}).json()["data"])


def test_each_is_created_or_updated_with_a_result_of_its_own(api: httpx.Client) -> None:
    made = api.post("/organizations", json={"name": "Acme", "metadata": {"a": "1"}}).json()
    body: list[Any] = [
        {"id": made["id"], "metadata": {"b": "2"}},
        {"name": "Globex", "external_id": "x", "domains": ["globex.com"]},
        {"name": "Second", "external_id": "x"},
        {"name": ""},
        {"id": "org_01EHWNCE74X7JSDV0X3SZ3KJNY", "name": "Gone"},
        7,
    ]
    before = events(api)
    answer = api.post(BULK, json={"organizations": body})
    assert answer.status_code == 200
    assert answer.json()["failed"] == 4
    results = answer.json()["results"]
    assert [each["status"] for each in results] == [200, 201, 400, 422, 404, 422]
    assert results[0]["body"]["metadata"] == {"a": "1", "b": "2"}
    assert results[1]["body"] == api.get("/organizations/external_id/x").json()
    assert results[2]["body"]["code"] == "external_id_already_used"
    assert results[3]["body"]["errors"] == [{"field": "name", "code": "name should not be empty"}]
    assert len(api.get("/organizations").json()["data"]) == 2
    assert events(api) - before == 3


def test_an_atomic_request_is_done_whole_or_not_at_all(api: httpx.Client) -> None:
    body = [{"name": "One", "domains": ["one.com"]}, {"name": "Two", "external_id": "x"}]
    refused = api.post(
        BULK, json={"atomic": True, "organizations": [*body, {"name": "Three", "external_id": "x"}]}
    )
    assert refused.status_code == 422
    assert refused.json()["code"] == "bulk_not_done"
    assert [each["status"] for each in refused.json()["results"]] == [201, 201, 400]
    assert api.get("/organizations").json()["data"] == []
    assert events(api) == 0
    done = api.post(BULK, json={"atomic": True, "organizations": body})
    assert [each["status"] for each in done.json()["results"]] == [201, 201]
    assert len(api.get("/organizations").json()["data"]) == 2


def test_a_thousand_at_once_and_no_more(api: httpx.Client) -> None:
    body = [{"name": f"Acme {number}"} for number in range(1001)]
    assert api.post(BULK, json={"organizations": body}).status_code == 422
    answer = api.post(BULK, json={"organizations": body[:1000]})
    assert {each["status"] for each in answer.json()["results"]} == {201}


def test_a_retried_request_has_one_effect(api: httpx.Client) -> None:
    for _ in range(2):
        api.post(BULK, json={"organizations": [{"name": "Once"}]}, headers={"idempotency-key": "k"})
    assert len(api.get("/organizations").json()["data"]) == 1
