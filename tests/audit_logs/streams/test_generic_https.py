"""A receiver of POST requests gets every event, signed, and knows a batch that comes again."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx
import pytest
import workos

from receivers import Receiver
from streaming import actors, get_stream, make_generic, make_stream, wait_for_stream, write

Receive = Callable[..., Receiver]
SECRET = "a-secret-of-the-receiver"
TOKEN = "token-0123456789"


def lines(received: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the events in the bodies of requests that were taken."""
    return [json.loads(line) for each in received if each["status"] == 200 for line in each["body"].splitlines()]


def test_every_event_comes_as_it_is_read_in_the_order_of_the_trail(
    logs: httpx.Client, organization_id: str, receive: Receive
) -> None:
    receiver = receive()
    stream = make_generic(logs, organization_id, receiver)
    write(logs, organization_id, *actors(20))
    wait_for_stream(logs, stream["id"], lambda now: len(lines(receiver.received())) == 20)
    got = lines(receiver.received())
    assert [event["actor"]["id"] for event in got] == actors(20)
    read = logs.get("/tenantry/audit_logs/events", params={"organization_id": organization_id, "limit": 100})
    whole = {event["id"]: {**event, "seal": None} for event in got}
    assert whole == {event["id"]: {**event, "seal": None} for event in read.json()["data"]}


def test_what_was_written_before_the_stream_does_not_come(
    logs: httpx.Client, organization_id: str, receive: Receive
) -> None:
    receiver = receive()
    first = make_generic(logs, organization_id, receiver)
    write(logs, organization_id, "before")
    wait_for_stream(logs, first["id"], lambda now: now["last_synced_at"] is not None)
    late = receive()
    second = make_generic(logs, organization_id, late)
    write(logs, organization_id, "after")
    wait_for_stream(logs, second["id"], lambda now: now["last_synced_at"] is not None)
    assert [event["actor"]["id"] for event in lines(late.received())] == ["after"]


def test_a_request_has_the_headers_that_were_given_and_a_signature_that_the_official_sdk_verifies(
    logs: httpx.Client, organization_id: str, receive: Receive
) -> None:
    receiver = receive()
    given = {"bearer_token": TOKEN, "signing_secret": SECRET, "headers": {"X-Team": "audit", "x-key": "0 1"}}
    make_generic(logs, organization_id, receiver, **given)
    write(logs, organization_id, "user_1")
    (got,) = receiver.wait_for(1)
    assert got["headers"]["authorization"] == f"Bearer {TOKEN}"
    assert (got["headers"]["x-team"], got["headers"]["x-key"]) == ("audit", "0 1")
    assert got["headers"]["content-type"] == "application/x-ndjson"
    workos.WorkOSClient(api_key="sk_unused").webhooks.verify_header(
        event_body=got["body"].encode(), event_signature=got["headers"]["workos-signature"], secret=SECRET
    )


def test_a_receiver_can_have_arrays(logs: httpx.Client, organization_id: str, receive: Receive) -> None:
    receiver = receive()
    make_generic(logs, organization_id, receiver, format="json")
    write(logs, organization_id, "user_1")
    (got,) = receiver.wait_for(1)
    assert got["headers"]["content-type"] == "application/json"
    assert [event["actor"]["id"] for event in json.loads(got["body"])] == ["user_1"]


def test_a_batch_that_failed_comes_again_the_same_though_more_was_written_since(
    logs: httpx.Client, organization_id: str, receive: Receive
) -> None:
    receiver = receive(failing=0.5)  # every second request, the first not among them
    stream = make_generic(logs, organization_id, receiver)
    for number in range(4):
        write(logs, organization_id, f"user_{number}")
        receiver.wait_for(number + 1)
    wait_for_stream(logs, stream["id"], lambda now: now["failures"] == 0 and now["next_attempt_at"] is None)
    bodies: dict[str, set[str]] = {}
    for each in receiver.received():
        bodies.setdefault(each["headers"]["tenantry-batch"], set()).add(each["body"])
    assert all(len(different) == 1 for different in bodies.values())
    assert [event["actor"]["id"] for event in lines(receiver.received())] == actors(4)


def test_events_wait_for_others_so_that_they_go_together(
    logs: httpx.Client, organization_id: str, receive: Receive
) -> None:
    receiver, patient = receive(), receive()
    make_generic(logs, organization_id, receiver)
    stream = make_stream(
        logs, organization_id, "GenericHttps", batch_seconds=3600, generic_https={"url": patient.url}
    )
    for number, actor in enumerate(actors(3)):
        write(logs, organization_id, actor)
        receiver.wait_for(number + 1)
    assert patient.received() == []
    logs.patch(f"/tenantry/audit_log_streams/{stream['id']}", json={"batch_seconds": 0})
    (got,) = patient.wait_for(1)
    assert len(got["body"].splitlines()) == 3


def test_large_events_are_sent_in_batches_of_a_mebibyte_at_most(
    logs: httpx.Client, organization_id: str, receive: Receive
) -> None:
    receiver = receive()
    make_stream(logs, organization_id, "GenericHttps", batch_seconds=2, generic_https={"url": receiver.url})
    metadata = {f"key_{number}": "x" * 500 for number in range(50)}
    write(logs, organization_id, *actors(60), metadata=metadata)
    receiver.wait_for(2)
    while len(got := lines(receiver.received())) < 60:
        receiver.wait_for(len(receiver.received()) + 1)
    assert [event["actor"]["id"] for event in got] == actors(60)
    assert max(len(each["body"]) for each in receiver.received()) <= 1 << 20


def test_a_batch_that_is_too_large_for_the_receiver_is_halved_until_it_is_not(
    logs: httpx.Client, organization_id: str, receive: Receive
) -> None:
    receiver = receive(largest=3000)
    made = make_stream(logs, organization_id, "GenericHttps", batch_seconds=2, generic_https={"url": receiver.url})
    write(logs, organization_id, *actors(30))
    wait_for_stream(logs, made["id"], lambda now: len(lines(receiver.received())) == 30)
    statuses = [each["status"] for each in receiver.received()]
    assert 413 in statuses
    assert [event["actor"]["id"] for event in lines(receiver.received())] == actors(30)
    assert get_stream(logs, made["id"])["failures"] == 0


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(
    logs: httpx.Client, organization_id: str, receive: Receive, status: int
) -> None:
    elsewhere = receive()
    receiver = receive(answer=status, headers={"location": elsewhere.url})
    stream = make_generic(logs, organization_id, receiver, bearer_token=TOKEN)
    write(logs, organization_id, "user_1")
    told = wait_for_stream(logs, stream["id"], lambda now: now["failures"] > 0)
    assert told["last_error"] == f"it answered {status}: thanks"
    assert elsewhere.received() == []


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_make_a_stream_invalid_and_new_ones_active_again(
    logs: httpx.Client, organization_id: str, receive: Receive, status: int
) -> None:
    stream = make_generic(logs, organization_id, receive(answer=status))
    write(logs, organization_id, "user_1")
    told = wait_for_stream(logs, stream["id"], lambda now: now["failures"] > 0)
    assert (told["state"], told["last_error"]) == ("invalid", f"it answered {status}: thanks")
    assert told["last_synced_at"] is None
    shown = logs.get(f"/organizations/{organization_id}/audit_log_configuration").json()["log_stream"]
    assert shown["state"] == "invalid"
    right = receive()
    changed = {"generic_https": {"url": right.url, "bearer_token": TOKEN}}
    assert logs.patch(f"/tenantry/audit_log_streams/{stream['id']}", json=changed).json()["state"] == "active"
    wait_for_stream(logs, stream["id"], lambda now: now["last_synced_at"] is not None)
    assert [event["actor"]["id"] for event in lines(right.received())] == ["user_1"]


def test_three_failures_are_an_error_and_a_batch_that_is_taken_ends_it(
    logs: httpx.Client, organization_id: str, receive: Receive
) -> None:
    receiver = receive()
    receiver.kill()
    stream = make_generic(logs, organization_id, receiver)
    write(logs, organization_id, "user_1")
    once = wait_for_stream(logs, stream["id"], lambda now: now["failures"] > 0)
    assert once["state"] == ("active" if once["failures"] < 3 else "error")
    told = wait_for_stream(logs, stream["id"], lambda now: now["failures"] >= 3)
    assert told["state"] == "error"
    assert "Connect" in told["last_error"]
    receiver.start()
    well = wait_for_stream(logs, stream["id"], lambda now: now["state"] == "active")
    assert (well["failures"], well["last_error"]) == (0, None)
    assert well["last_synced_at"] is not None
    assert [event["actor"]["id"] for event in lines(receiver.received())] == ["user_1"]


def test_a_receiver_says_when_to_come_again(logs: httpx.Client, organization_id: str, receive: Receive) -> None:
    stream = make_generic(logs, organization_id, receive(answer=503, headers={"retry-after": "1800"}))
    write(logs, organization_id, "user_1")
    told = wait_for_stream(logs, stream["id"], lambda now: now["failures"] == 1)
    wait = datetime.fromisoformat(told["next_attempt_at"]) - datetime.fromisoformat(told["created_at"])
    assert 29 <= wait.total_seconds() / 60 <= 31
