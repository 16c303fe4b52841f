"""/webhook_endpoints: create, list, update, delete (wire.md section 5.3)."""

import re
from typing import Any

import httpx
import pytest

EVENTS = ["organization.created", "organization.updated"]
UNKNOWN = "we_01EHQMYV6MBK39QC5PZXHY59C3"


def create(api: httpx.Client, url: str = "https://receiver.invalid/hook", **changes: object) -> httpx.Response:
    return api.post("/webhook_endpoints", json={"endpoint_url": url, "events": EVENTS} | changes)


@pytest.fixture
def made(api: httpx.Client) -> dict[str, Any]:
    answer: dict[str, Any] = create(api).json()
    return answer


def test_a_new_endpoint_is_enabled_and_has_a_secret(api: httpx.Client) -> None:
    answer = create(api)
    assert answer.status_code == 201
    body = answer.json()
    assert re.fullmatch(r"we_[0-9A-HJKMNP-TV-Z]{26}", body["id"])
    assert re.fullmatch(r"whsec_[A-Za-z0-9]{25}", body["secret"])
    assert body == {
        "object": "webhook_endpoint",
        "id": body["id"],
        "endpoint_url": "https://receiver.invalid/hook",
        "secret": body["secret"],
        "status": "enabled",
        "events": EVENTS,
        "created_at": body["created_at"],
        "updated_at": body["created_at"],
    }


def test_each_event_counts_once(api: httpx.Client) -> None:
    assert create(api, events=EVENTS + EVENTS).json()["events"] == EVENTS


def test_names_that_tenantry_does_not_make_can_be_subscribed_to(api: httpx.Client) -> None:
    names = ["dsync.user.created", "agent.blueprint.created", "webhook_endpoint.disabled"]
    assert create(api, events=names).json()["events"] == names


@pytest.mark.parametrize("name", ["organization.exploded", "vault.data.created", "", "resource_export.created"])
def test_an_event_that_cannot_be_subscribed_to_is_named(
    api: httpx.Client, made: dict[str, Any], name: str
) -> None:
    url = "https://other.invalid"
    for answer in (
        create(api, url, events=["organization.created", name]),
        api.patch(f"/webhook_endpoints/{made['id']}", json={"events": ["organization.created", name]}),
    ):
        assert answer.status_code == 422
        message = f"'{name}' is no event to subscribe to."
        assert answer.json() == {
            "code": "invalid_request_parameters",
            "message": "Validation failed",
            "errors": [{"field": "events.1", "code": "unknown_event_type", "message": message}],
        }


def test_an_endpoint_without_events_is_refused(api: httpx.Client, made: dict[str, Any]) -> None:
    for answer in (
        create(api, "https://other.invalid", events=[]),
        api.patch(f"/webhook_endpoints/{made['id']}", json={"events": []}),
    ):
        assert answer.status_code == 422
        assert answer.json()["code"] == "invalid_request_parameters"


@pytest.mark.parametrize("url", ["", "nowhere", "http://example.com", "https://localhost/hook", "https://0x7f.1"])
def test_a_url_that_may_not_be_sent_to_is_refused(api: httpx.Client, made: dict[str, Any], url: str) -> None:
    for answer in (
        create(api, url),
        api.patch(f"/webhook_endpoints/{made['id']}", json={"endpoint_url": url}),
    ):
        assert answer.status_code == 422
        assert answer.json()["code"] == "invalid_url"
        assert answer.json()["message"].startswith("The endpoint_url is invalid: ")


def test_a_url_belongs_to_one_endpoint_of_an_environment(
    api: httpx.Client, unique_api: httpx.Client, made: dict[str, Any]
) -> None:
    other = create(api, "https://other.invalid").json()
    for answer in (
        create(api),
        api.patch(f"/webhook_endpoints/{other['id']}", json={"endpoint_url": made["endpoint_url"]}),
    ):
        assert answer.status_code == 409
        assert answer.json()["code"] == "duplicate_endpoint"
    assert create(unique_api).status_code == 201
    itself = api.patch(f"/webhook_endpoints/{made['id']}", json={"endpoint_url": made["endpoint_url"]})
    assert itself.json() == made


def test_missing_and_wrong_fields_are_told_at_once(api: httpx.Client) -> None:
    answer = api.post("/webhook_endpoints", json={"endpoint_url": 1})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["endpoint_url", "events"]


def test_an_update_changes_what_it_gives(api: httpx.Client, made: dict[str, Any]) -> None:
    path = f"/webhook_endpoints/{made['id']}"
    assert api.patch(path, json={}).json() == made
    nothing = {"endpoint_url": None, "status": None, "events": None}
    assert api.patch(path, json=nothing).json() == made
    disabled = api.patch(path, json={"status": "disabled"}).json()
    assert disabled == made | {"status": "disabled", "updated_at": disabled["updated_at"]}
    change = {"endpoint_url": "https://new.invalid", "events": ["organization.deleted"], "status": "enabled"}
    changed = api.patch(path, json=change).json()
    assert changed == made | change | {"updated_at": changed["updated_at"]}
    assert api.get("/webhook_endpoints").json()["data"] == [changed]


def test_a_wrong_status_is_refused(api: httpx.Client, made: dict[str, Any]) -> None:
    answer = api.patch(f"/webhook_endpoints/{made['id']}", json={"status": "paused"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "status"


def test_a_deleted_endpoint_is_gone(api: httpx.Client, made: dict[str, Any]) -> None:
    path = f"/webhook_endpoints/{made['id']}"
    answer = api.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    for again in (api.delete(path), api.patch(path, json={})):
        assert again.status_code == 404
        assert again.json()["code"] == "entity_not_found"
        assert again.json()["entity_id"] == made["id"]
    assert create(api).status_code == 201


def test_nothing_crosses_an_environment(api: httpx.Client, unique_api: httpx.Client, made: dict[str, Any]) -> None:
    path = f"/webhook_endpoints/{made['id']}"
    assert unique_api.get("/webhook_endpoints").json()["data"] == []
    assert unique_api.patch(path, json={"status": "disabled"}).status_code == 404
    assert unique_api.delete(path).status_code == 404
    assert api.get("/webhook_endpoints").json()["data"] == [made]


def test_pages_lead_on_in_every_order(api: httpx.Client) -> None:
    ids = [create(api, f"https://{number}.receiver.invalid").json()["id"] for number in range(5)]
    for order, cursor, expected in (
        ("desc", "after", ids[::-1]),
        ("asc", "after", ids),
        ("", "before", ids[::-1]),
    ):
        seen: list[str] = []
        query = {"limit": "2"} | ({"order": order} if order else {})
        while True:
            page = api.get("/webhook_endpoints", params=query).json()
            seen += [each["id"] for each in page["data"]]
            if page["list_metadata"][cursor] is None:
                break
            query[cursor] = page["list_metadata"][cursor]
        assert seen == expected


def test_a_cursor_of_another_list_is_refused(api: httpx.Client) -> None:
    answer = api.get("/webhook_endpoints?after=org_01EHQMYV6MBK39QC5PZXHY59C3")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == "after must be an id that begins with we_"


def test_a_create_that_is_sent_again_with_its_key_makes_one_endpoint(api: httpx.Client) -> None:
    body = {"endpoint_url": "https://once.invalid", "events": EVENTS}
    first, second = (
        api.post("/webhook_endpoints", json=body, headers={"idempotency-key": "one"}) for _ in range(2)
    )
    assert first.json() == second.json()
    assert len(api.get("/webhook_endpoints").json()["data"]) == 1
