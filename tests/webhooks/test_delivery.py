"""Webhooks arrive: again when they failed, and whatever another endpoint does."""

import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from hooks import SETTINGS, create, endpoints_tried, states, subjects, subscribe, wait_until_settled
from support import Server, client, grant, open_migrated
from tenantry.core.db import Database

NEVER = 600.0


def test_what_arrives_is_the_event_as_the_feed_has_it(hooks: httpx.Client, receive: Any) -> None:
    receiver = receive()
    subscribe(hooks, f"{receiver.url}/hook?a=b")
    create(hooks)
    (got,) = receiver.wait_for(1)
    (event,) = hooks.get("/events?events=organization.created").json()["data"]
    assert json.loads(got["body"]) == event
    assert got["path"] == "/hook?a=b"
    assert got["headers"]["content-type"] == "application/json"


def test_only_what_is_subscribed_to_is_sent_and_only_from_then_on(
    hooks: httpx.Client, hook_database: Database, receive: Any
) -> None:
    create(hooks, 3)
    receiver, other = receive(), receive()
    first = subscribe(hooks, receiver.url)
    subscribe(hooks, other.url, "organization.deleted")
    made = create(hooks, 3)
    receiver.wait_for(3)
    hooks.patch(f"/webhook_endpoints/{first['id']}", json={"status": "disabled"})
    create(hooks, 2)
    time.sleep(1)
    assert sorted(subjects(receiver)) == sorted(made)
    assert other.received() == []
    assert wait_until_settled(hook_database) == [("delivered", 1)] * 3


def test_slow_and_dead_endpoints_delay_no_other(serve_hooks: Any, hook_database: Database, receive: Any) -> None:
    """It has everything before the first attempt at a slow one has come to an end."""
    hooks = serve_hooks(TENANTRY_WEBHOOK_TIMEOUT_SECONDS="60")
    slow, dead, quick = receive(seconds=NEVER), receive(), receive()
    stuck = set()
    for number in range(12):
        stuck.add(subscribe(hooks, f"{slow.url}/{number}")["id"])
        subscribe(hooks, f"{dead.url}/{number}")
    subscribe(hooks, quick.url)
    dead.kill()
    made = create(hooks, 100)
    quick.wait_for(100, 30)
    assert sorted(subjects(quick)) == sorted(made)
    assert not stuck & endpoints_tried(hook_database)


def test_any_number_of_endpoints_that_never_answer_delay_no_other(
    serve_hooks: Any, hook_database: Database, receive: Any
) -> None:
    """One made after them has everything before the first attempt at one of them has come to an end."""
    hooks = serve_hooks(TENANTRY_WEBHOOK_TIMEOUT_SECONDS="60")
    stuck, quick = receive(seconds=NEVER), receive()
    for number in range(200):
        subscribe(hooks, f"{stuck.url}/{number}")
    last = subscribe(hooks, quick.url)
    made = create(hooks, 20)
    quick.wait_for(20, 30)
    assert sorted(subjects(quick)) == sorted(made)
    assert endpoints_tried(hook_database) <= {last["id"]}


def test_a_failed_delivery_is_sent_again_with_a_new_signature(
    hooks: httpx.Client, hook_database: Database, receive: Any
) -> None:
    receiver = receive(answer=503)
    subscribe(hooks, receiver.url)
    create(hooks)
    assert wait_until_settled(hook_database) == [("failed", 4)]
    found = receiver.received()
    assert len(found) == 4
    assert len({each["body"] for each in found}) == 1
    assert len({each["headers"]["workos-signature"] for each in found}) == 4
    waits = [later["at"] - earlier["at"] for earlier, later in pairwise(found)]
    assert all(wait > 0.4 for wait in waits), waits


def test_a_redirect_is_a_failure_and_is_not_followed(
    hooks: httpx.Client, hook_database: Database, receive: Any
) -> None:
    elsewhere = receive()
    receiver = receive(answer=307, headers={"location": elsewhere.url})
    subscribe(hooks, receiver.url)
    create(hooks)
    assert wait_until_settled(hook_database)[0][0] == "failed"
    assert elsewhere.received() == []


def test_retry_after_is_honoured(hooks: httpx.Client, receive: Any) -> None:
    receiver = receive(answer=429, headers={"retry-after": "2"})
    subscribe(hooks, receiver.url)
    create(hooks)
    first, second = receiver.wait_for(2)[:2]
    assert second["at"] - first["at"] > 1.9


def test_410_disables_the_endpoint_with_an_event(
    hooks: httpx.Client, hook_database: Database, receive: Any
) -> None:
    gone, watcher = receive(answer=410), receive()
    made = subscribe(hooks, gone.url)
    subscribe(hooks, watcher.url, "webhook_endpoint.disabled")
    create(hooks)
    (got,) = watcher.wait_for(1)
    event = json.loads(got["body"])
    assert event["event"] == "webhook_endpoint.disabled"
    assert event["data"]["id"] == made["id"]
    assert event["data"]["reason"] == "The endpoint answered 410 Gone."
    assert "secret" not in event["data"]
    listed = {each["id"]: each["status"] for each in hooks.get("/webhook_endpoints").json()["data"]}
    assert listed[made["id"]] == "disabled"
    create(hooks, 3)
    time.sleep(1)
    assert len(gone.received()) == 1
    assert sorted(wait_until_settled(hook_database)) == [("delivered", 1), ("failed", 1)]


def test_every_attempt_is_kept(hooks: httpx.Client, hook_database: Database, receive: Any) -> None:
    receiver = receive(failing=0.5)
    subscribe(hooks, receiver.url)
    create(hooks, 2)
    wait_until_settled(hook_database)
    rows = hook_database.read(
        lambda tx: tx.all("SELECT status, latency_ms, answer, error FROM webhook_attempts ORDER BY id")
    )
    assert sorted({row[0] for row in rows}) == [200, 500]
    assert len(rows) == len(receiver.received())
    assert {bytes(row[2]) for row in rows} == {b"thanks"}
    assert {row[3] for row in rows} == {None}
    assert all(0 <= row[1] < 2000 for row in rows)


def test_a_server_that_is_told_to_stop_waits_for_what_is_under_way(
    database_url: str, hook_database: Database, receive: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    receiver, access = receive(seconds=1), grant(hook_database)
    server = Server(database_url, tmp_path)
    with client(server.base_url, access.key) as api:
        for number in range(3):
            subscribe(api, f"{receiver.url}/{number}")
        create(api)
        while receiver.begun() < 3:
            time.sleep(0.01)
    assert server.stop() == 0
    assert states(hook_database) == [("delivered", 1)] * 3
    assert len(receiver.received()) == 3


@pytest.mark.parametrize("engine", ["postgres"], indirect=True, scope="session")
def test_several_processes_share_the_work_and_send_nothing_twice(
    database_url: str, hook_database: Database, receive: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    receiver, access = receive(), grant(hook_database)
    server = Server(database_url, tmp_path, "--workers", "3")
    try:
        with client(server.base_url, access.key) as api:
            subscribe(api, receiver.url)
            made = create(api, 300)
            receiver.wait_for(300)
            wait_until_settled(hook_database)
        assert sorted(subjects(receiver)) == sorted(made)
    finally:
        assert server.stop() == 0
    assert '"error"' not in server.log.read_text()


def test_dev_delivers_to_this_machine_and_serve_does_not(api: httpx.Client, receive: Any, tmp_path: Path) -> None:
    receiver = receive()
    url = receiver.url.replace("127.0.0.1", "localhost")
    refused = api.post("/webhook_endpoints", json={"endpoint_url": url, "events": ["organization.created"]})
    assert refused.json()["code"] == "invalid_url"
    server = Server("sqlite://", tmp_path, command="dev")
    try:
        with client(server.base_url, "sk_test_default") as dev:
            subscribe(dev, url)
            made = create(dev, 2)
            receiver.wait_for(2)
        assert sorted(subjects(receiver)) == sorted(made)
    finally:
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("variable", "value"),
    [("TENANTRY_WEBHOOK_ALLOWED_NETWORKS", "10.0.0.1/8"), ("TENANTRY_WEBHOOK_RETRY_SECONDS", "60,soon")],
)
def test_a_wrong_setting_is_named_at_the_start(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    open_migrated(database_url).close()
    with pytest.raises(AssertionError, match=f"Error: {variable}"):
        Server(database_url, tmp_path)
