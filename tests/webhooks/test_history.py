"""What was sent can be seen, and sent again: one delivery, a range of time, all that failed."""

import json
import time
from collections import Counter
from typing import Any

import httpx
import pytest
from workos import WorkOSClient

from hooks import create, subjects, subscribe, wait_until_settled
from tenantry.core.db import Database

ALWAYS = "2020-01-01T00:00:00Z"
UNKNOWN = "whd_01EHQMYV6MBK39QC5PZXHY59C3"


def deliveries(hooks: httpx.Client, endpoint: dict[str, Any], **query: str) -> list[dict[str, Any]]:
    answer = hooks.get(f"/tenantry/webhook_endpoints/{endpoint['id']}/deliveries", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def post(hooks: httpx.Client, path: str, **body: object) -> dict[str, Any]:
    answer = hooks.post(f"/tenantry/{path}", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_deliveries_and_their_attempts_are_listed(
    hooks: httpx.Client, hook_database: Database, receive: Any
) -> None:
    endpoint = subscribe(hooks, receive(answer=503).url)
    create(hooks, 3)
    wait_until_settled(hook_database)
    found = deliveries(hooks, endpoint, order="asc")
    assert [each["status"] for each in found] == ["failed"] * 3
    assert [each["attempts"] for each in found] == [4] * 3
    assert {each["next_attempt_at"] for each in found} == {None}
    first = deliveries(hooks, endpoint, order="asc", limit="2")
    rest = deliveries(hooks, endpoint, order="asc", after=first[-1]["id"])
    assert [each["id"] for each in first + rest] == [each["id"] for each in found]
    path = f"/tenantry/webhook_deliveries/{found[0]['id']}/attempts"
    attempts = hooks.get(path, params={"order": "asc"}).json()
    assert attempts["list_metadata"] == {"before": None, "after": None}
    assert len(attempts["data"]) == 4
    first_attempt = attempts["data"][0]
    assert first_attempt == {
        "object": "webhook_attempt",
        "id": first_attempt["id"],
        "webhook_delivery_id": found[0]["id"],
        "response_status": 503,
        "response_body": "thanks",
        "latency_ms": first_attempt["latency_ms"],
        "error": None,
        "created_at": first_attempt["created_at"],
    }


def test_one_delivery_can_be_sent_again(hooks: httpx.Client, hook_database: Database, receive: Any) -> None:
    receiver = receive()
    endpoint = subscribe(hooks, receiver.url)
    create(hooks)
    receiver.wait_for(1)
    wait_until_settled(hook_database)
    (made,) = deliveries(hooks, endpoint)
    again = post(hooks, f"webhook_deliveries/{made['id']}/resend")
    assert (again["id"], again["status"], again["attempts"]) == (made["id"], "pending", 0)
    first, second = receiver.wait_for(2)
    assert first["body"] == second["body"]
    wait_until_settled(hook_database)
    assert [each["status"] for each in deliveries(hooks, endpoint)] == ["delivered"]


def test_a_range_of_time_can_be_replayed_to_a_new_endpoint(hooks: httpx.Client, receive: Any) -> None:
    first, second = receive(), receive()
    subscribe(hooks, first.url)
    made = create(hooks, 20)
    first.wait_for(20)
    endpoint = subscribe(hooks, second.url)
    asked = post(hooks, f"webhook_endpoints/{endpoint['id']}/replay", range_start=ALWAYS)
    assert asked == {"object": "webhook_requeue", "count": 20, "after": None}
    second.wait_for(20)
    assert sorted(subjects(second)) == sorted(made)
    later = post(hooks, f"webhook_endpoints/{endpoint['id']}/replay", range_start="2100-01-01")
    assert later["count"] == 0


def test_all_that_failed_can_be_recovered_to_the_same_or_another_endpoint(
    hooks: httpx.Client, hook_database: Database, receive: Any
) -> None:
    broken, other = receive(answer=500), receive()
    endpoint = subscribe(hooks, broken.url)
    made = create(hooks, 3)
    wait_until_settled(hook_database)
    path = f"webhook_endpoints/{endpoint['id']}/recover"
    assert post(hooks, path, since="2100-01-01T00:00:00Z")["count"] == 0
    assert post(hooks, path, since=ALWAYS)["count"] == 3
    assert set(Counter(subjects_after(broken, 3 * 5)).values()) <= {5, 6, 7, 8}
    wait_until_settled(hook_database)
    target = subscribe(hooks, other.url)
    answer = post(hooks, f"webhook_endpoints/{target['id']}/recover", since=ALWAYS, source=endpoint["id"])
    assert answer == {"object": "webhook_requeue", "count": 3, "after": None}
    other.wait_for(3)
    assert sorted(subjects(other)) == sorted(made)


def subjects_after(receiver: Any, count: int) -> list[str]:
    receiver.wait_for(count)
    return subjects(receiver)


def test_more_than_one_request_may_do_is_done_by_several(
    hooks: httpx.Client, hook_database: Database, receive: Any
) -> None:
    receiver = receive()
    endpoint = subscribe(hooks, receiver.url, "organization.deleted")
    for identity in create(hooks, 502):
        hooks.delete(f"/organizations/{identity}")
    receiver.wait_for(502)
    path = f"webhook_endpoints/{endpoint['id']}/replay"
    first = post(hooks, path, range_start=ALWAYS)
    assert first["count"] == 500
    rest = post(hooks, path, range_start=ALWAYS, after=first["after"])
    assert (rest["count"], rest["after"]) == (2, None)


def test_after_a_rotation_either_secret_verifies_until_the_overlap_ends(
    hooks: httpx.Client, hook_database: Database, receive: Any
) -> None:
    """A receiver that refuses the new secret is sent the same once more under the old one."""
    receiver = receive(failing=0.5)
    endpoint = subscribe(hooks, receiver.url)
    rotated = post(hooks, f"webhook_endpoints/{endpoint['id']}/rotate_secret", overlap_seconds=60)
    assert rotated["secret"] != endpoint["secret"]
    assert hooks.get("/webhook_endpoints").json()["data"][0]["secret"] == rotated["secret"]
    create(hooks, 2)
    found = receiver.wait_for(3)
    wait_until_settled(hook_database)
    assert {each["attempts"] for each in deliveries(hooks, endpoint)} == {1}
    sdk = WorkOSClient(api_key="sk_test", base_url="http://127.0.0.1:1")
    signed_by = set()
    for each in found:
        for secret in (endpoint["secret"], rotated["secret"]):
            try:
                sdk.webhooks.verify_event(
                    event_body=each["body"].encode(),
                    event_signature=each["headers"]["workos-signature"],
                    secret=secret,
                )
            except ValueError:
                continue
            signed_by.add(secret)
    assert signed_by == {endpoint["secret"], rotated["secret"]}


def test_a_rotation_without_overlap_counts_at_once(hooks: httpx.Client, receive: Any) -> None:
    receiver = receive(answer=401)
    endpoint = subscribe(hooks, receiver.url)
    post(hooks, f"webhook_endpoints/{endpoint['id']}/rotate_secret", overlap_seconds=0)
    create(hooks)
    first, second = receiver.wait_for(2)[:2]
    assert second["at"] - first["at"] > 0.4


def test_a_test_is_sent_and_is_in_no_feed(hooks: httpx.Client, receive: Any) -> None:
    receiver = receive()
    endpoint = subscribe(hooks, receiver.url)
    sent = post(hooks, f"webhook_endpoints/{endpoint['id']}/test")
    (got,) = receiver.wait_for(1)
    event = json.loads(got["body"])
    assert (event["id"], event["event"]) == (sent["event_id"], "webhook_endpoint.test")
    assert event["data"] == {"id": endpoint["id"], "endpoint_url": endpoint["endpoint_url"]}
    assert hooks.get("/events?events=organization.created").json()["data"] == []
    time.sleep(0.5)
    assert len(receiver.received()) == 1


def test_nothing_crosses_an_environment(api: httpx.Client, unique_api: httpx.Client) -> None:
    endpoint = subscribe(api, "https://receiver.invalid")
    made = post(api, f"webhook_endpoints/{endpoint['id']}/test")
    at = f"/tenantry/webhook_endpoints/{endpoint['id']}"
    for answer in (
        unique_api.get(f"{at}/deliveries"),
        unique_api.get(f"/tenantry/webhook_deliveries/{made['id']}/attempts"),
        unique_api.post(f"/tenantry/webhook_deliveries/{made['id']}/resend"),
        unique_api.post(f"{at}/replay", json={"range_start": ALWAYS}),
        unique_api.post(f"{at}/recover", json={"since": ALWAYS}),
        unique_api.post(f"{at}/rotate_secret", json={}),
        unique_api.post(f"{at}/test"),
        api.get(f"/tenantry/webhook_deliveries/{UNKNOWN}/attempts"),
    ):
        assert answer.status_code == 404
        assert answer.json()["code"] == "entity_not_found"


@pytest.mark.parametrize("body", [{}, {"range_start": "yesterday"}, {"range_start": ALWAYS, "after": "we_1"}])
def test_a_wrong_range_is_told(api: httpx.Client, body: dict[str, str]) -> None:
    endpoint = subscribe(api, "https://receiver.invalid")
    answer = api.post(f"/tenantry/webhook_endpoints/{endpoint['id']}/replay", json=body)
    assert answer.status_code == 422
