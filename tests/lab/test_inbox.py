"""The inbox of a universe receives webhooks without a key, shows them, and tells what their signature says."""

import json
import threading
import time
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import Server
from tenantry.core.signature import signature
from tenantry.lab.inbox import Arrival, Inbox, Signature, judge

INBOX = "/tenantry/lab/inbox"
EVENTS = ["organization.created", "organization.updated"]


def read(universe: httpx.Client, **query: Any) -> dict[str, Any]:
    page: dict[str, Any] = universe.get(INBOX, params=query).raise_for_status().json()
    return page


def subscribe(universe: httpx.Client) -> dict[str, Any]:
    """Have the universe's webhooks sent to its inbox; return the endpoint."""
    body = {"endpoint_url": read(universe)["url"], "events": EVENTS}
    made: dict[str, Any] = universe.post("/webhook_endpoints", json=body).raise_for_status().json()
    return made


def test_a_change_is_delivered_into_the_inbox_with_a_valid_signature(universe: httpx.Client) -> None:
    endpoint = subscribe(universe)
    universe.post("/organizations", json={"name": "Acme"}).raise_for_status()
    (message,) = read(universe, wait=20)["data"]
    assert (message["event"], message["method"], message["path"]) == ("organization.created", "POST", "")
    assert message["data"]["data"]["name"] == "Acme"
    assert message["event_id"] == message["data"]["id"]
    assert json.loads(message["body"]) == message["data"]
    assert message["headers"]["content-type"] == "application/json"
    verdict = message["signature"]
    assert (verdict["verdict"], verdict["webhook_endpoint_id"]) == ("valid", endpoint["id"])
    assert verdict["age_ms"] >= 0


def test_anybody_may_post_and_what_is_not_signed_rightly_is_told(universe: httpx.Client) -> None:
    subscribe(universe)
    url = read(universe)["url"]
    assert httpx.post(f"{url}/some/path", content=b"\xff not json").status_code == 200
    assert httpx.put(url, json={"event": "x"}, headers={"WorkOS-Signature": "t=1, v1=00"}).status_code == 200
    first, second = read(universe)["data"]
    assert (first["path"], first["data"], first["event"]) == ("/some/path", None, None)
    assert first["signature"] == {"verdict": "missing", "webhook_endpoint_id": None, "age_ms": None}
    assert (second["method"], second["event"]) == ("PUT", "x")
    assert second["signature"]["verdict"] == "wrong"


def test_reading_needs_the_key_and_universes_do_not_mix(fork: Any, dev: Server) -> None:
    one, other = fork(), fork()
    url = read(one)["url"]
    httpx.post(url, json={})
    assert httpx.get(f"{dev.base_url}{INBOX}").status_code == 401
    assert httpx.get(url).status_code == 401
    assert len(read(one)["data"]) == 1
    assert read(other)["data"] == []
    assert httpx.post(f"{dev.base_url}{INBOX}/universe_01M8DGJDHQ0EGE8TF5ZZWYPS48", json={}).status_code == 404


def test_serve_has_no_inbox(api: httpx.Client) -> None:
    assert api.post(f"{INBOX}/main", json={}).status_code == 404


def test_messages_are_read_on_from_the_last_and_by_event_and_forgotten(universe: httpx.Client) -> None:
    url = read(universe)["url"]
    for name in ("a", "b", "a"):
        httpx.post(url, json={"event": name})
    first = read(universe, limit=1)
    assert [each["event"] for each in first["data"]] == ["a"]
    rest = read(universe, after=first["list_metadata"]["after"])
    assert [each["event"] for each in rest["data"]] == ["b", "a"]
    assert len(read(universe, events="a")["data"]) == 2
    assert universe.delete(INBOX).status_code == 204
    assert read(universe)["data"] == []


def test_whoever_waits_gets_what_comes_as_soon_as_it_is_there(universe: httpx.Client) -> None:
    url = read(universe)["url"]
    sender = threading.Timer(0.2, lambda: [httpx.post(url, json={"event": name}) for name in ("a", "b")])
    sender.start()
    started = time.monotonic()
    assert len(read(universe, wait=25, count=2)["data"]) == 2
    assert time.monotonic() - started < 20
    sender.join()


def test_a_wait_that_brings_nothing_ends(universe: httpx.Client) -> None:
    assert read(universe, wait=1)["data"] == []


def test_a_retry_falls_due_with_the_clock(fork: Any) -> None:
    universe = fork(frozen=True)
    body = {"endpoint_url": "http://127.0.0.1:9/nobody", "events": EVENTS}
    endpoint = universe.post("/webhook_endpoints", json=body).raise_for_status().json()
    universe.post("/organizations", json={"name": "Acme"}).raise_for_status()
    universe.post("/tenantry/lab/clock/advance", json={"by": "1s"}).raise_for_status()
    universe.put(f"/webhook_endpoints/{endpoint['id']}", json={"endpoint_url": read(universe)["url"]})
    universe.patch(f"/webhook_endpoints/{endpoint['id']}", json={"endpoint_url": read(universe)["url"]})
    universe.post("/tenantry/lab/clock/advance", json={"by": "10m"}).raise_for_status()
    (message,) = read(universe)["data"]
    assert message["signature"]["verdict"] == "valid"


def test_a_body_that_is_too_large_is_refused(universe: httpx.Client) -> None:
    assert httpx.post(read(universe)["url"], content=b"x" * (1 << 21)).status_code == 413
    assert read(universe)["data"] == []


@given(st.binary(max_size=100), st.integers(0, 10**14))
def test_a_signature_is_valid_for_its_secret_alone(body: bytes, at: int) -> None:
    header = signature("whsec_2", at, body)
    secrets = [("we_1", "whsec_1"), ("we_2", "whsec_2")]
    assert judge(header, body, secrets, at + 5) == Signature("valid", "we_2", 5)
    assert judge(header, body + b" ", secrets, at) == Signature("wrong")
    assert judge(header, body, secrets[:1], at) == Signature("wrong")


@pytest.mark.parametrize(
    "header", ["", "t=", "t=x, v1=", "nonsense", "t=1", "t=99999999999999999999, v1=a", "té=1"]
)
def test_a_header_of_another_form_is_wrong(header: str) -> None:
    assert judge(header, b"", [("we_1", "whsec_1")], 0) == Signature("wrong")


async def test_the_oldest_messages_are_forgotten() -> None:
    inbox = Inbox()
    for number in range(1003):
        inbox.add(Arrival("POST", "", {}, str(number).encode()), Signature("missing"), "now")
    kept = list(inbox.messages([], None))
    assert len(kept) == 1000
    assert kept[0].data == 3
    large = Arrival("POST", "", {}, b"x" * (9 << 20))
    inbox.add(large, Signature("missing"), "now")
    inbox.add(large, Signature("missing"), "now")
    assert len(list(inbox.messages([], None))) == 1
