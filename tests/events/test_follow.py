"""GET /tenantry/events: the feed with positions, and waiting for the next event."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from support import Access, Server, caller_in, client, fresh_database_url, grant, open_migrated
from tenantry.core.db import Database
from tenantry.environments import service as environments
from tenantry.organizations import service as organizations
from tenantry.organizations.wire import CreateOrganization

FEED = "/tenantry/events"
START = "0" * 32


def get(api: httpx.Client, **query: object) -> dict[str, Any]:
    answer = api.get(FEED, params={name: str(value) for name, value in query.items()})
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def follow(api: httpx.Client, count: int, after: str = START, **query: object) -> tuple[list[dict[str, Any]], str]:
    """Return the events past `after` once there are `count`, and the position that leads on."""
    events: list[dict[str, Any]] = []
    deadline = time.monotonic() + 20
    while len(events) < count and time.monotonic() < deadline:
        page = get(api, after=after, **({"wait": 2} | query))
        events += page["data"]
        after = page["list_metadata"]["after"]
    assert len(events) == count
    return events, after


def create(api: httpx.Client, name: str = "Acme", **body: object) -> dict[str, Any]:
    made: dict[str, Any] = api.post("/organizations", json={"name": name, **body}).json()
    return made


@pytest.fixture
def waiting() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


def test_an_empty_feed_leads_on_too(api: httpx.Client) -> None:
    assert get(api) == {"object": "list", "data": [], "list_metadata": {"after": START}}


def test_all_events_come_when_none_is_named_each_with_its_position(api: httpx.Client) -> None:
    made = create(api, domains=["a.com"])
    api.put(f"/organizations/{made['id']}", json={"name": "New"})
    api.delete(f"/organizations/{made['id']}")
    events, after = follow(api, 5)
    assert [event["event"] for event in events] == [
        "organization.created",
        "organization_domain.created",
        "organization.updated",
        "organization_domain.deleted",
        "organization.deleted",
    ]
    positions = [event["position"] for event in events]
    assert sorted(set(positions)) == positions
    assert after == positions[-1]
    assert events[2]["context"]["previous_attributes"] == {"name": "Acme"}
    wire = api.get("/events", params={"events": "organization.updated"}).json()["data"][0]
    assert events[2] == wire | {"position": positions[2]}


def test_after_leads_from_page_to_page_and_past_the_end(api: httpx.Client) -> None:
    ids = [create(api, str(number))["id"] for number in range(5)]
    follow(api, 5)
    after, seen = START, []
    for _ in range(4):
        page = get(api, after=after, limit=2)
        seen += [event["data"]["id"] for event in page["data"]]
        assert page["list_metadata"]["after"] >= after
        after = page["list_metadata"]["after"]
    assert seen == ids
    assert get(api, after=after)["list_metadata"]["after"] == after


def test_after_may_be_the_id_of_an_event(api: httpx.Client) -> None:
    create(api, "one")
    create(api, "two")
    events, _ = follow(api, 2)
    assert get(api, after=events[0]["id"])["data"] == events[1:]


def test_an_empty_page_leads_past_the_events_that_do_not_match(api: httpx.Client) -> None:
    create(api)
    events, _ = follow(api, 1)
    page = get(api, events="organization.deleted")
    assert (page["data"], page["list_metadata"]["after"]) == ([], events[0]["position"])


def test_an_organizations_events_come_whatever_their_names(api: httpx.Client) -> None:
    create(api, "other")
    made = create(api, domains=["a.com"])
    follow(api, 3)
    events = get(api, organization_id=made["id"])["data"]
    assert [event["event"] for event in events] == ["organization.created", "organization_domain.created"]
    assert get(api, organization_id=made["id"], events="organization.created")["data"] == events[:1]


def test_times_bound_the_feed_with_after_too(api: httpx.Client) -> None:
    create(api, "one")
    create(api, "two")
    events, _ = follow(api, 2)
    times = [event["created_at"] for event in events]
    assert get(api, range_start=times[0], range_end=times[1], after=START)["data"] == events
    assert get(api, range_start="2100-01-01", after=START)["data"] == []


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("after=x", "after must be a position, or an id that begins with event_"),
        (f"after=9{'0' * 31}", "after must be a position, or an id that begins with event_"),
        ("wait=26", "wait must not be greater than 25"),
        ("wait=-1", "wait must not be less than 0"),
        ("events=x", "each value in events must be the name of an event; 'x' is not"),
        ("range_end=x", "range_end must be an ISO 8601 time in UTC, as 2026-01-15T12:00:00Z"),
    ],
)
def test_a_wrong_parameter_is_told(api: httpx.Client, query: str, sentence: str) -> None:
    for path in (FEED, f"{FEED}/stream"):
        if query.startswith("wait") and path != FEED:
            continue
        answer = api.get(f"{path}?{query}")
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["code"] == sentence


def test_a_wait_ends_when_an_event_is_there(api: httpx.Client, waiting: ThreadPoolExecutor) -> None:
    after = get(api)["list_metadata"]["after"]
    answer = waiting.submit(get, api, after=after, wait=25)
    time.sleep(0.3)
    assert not answer.done()
    made = create(api)
    assert [event["data"]["id"] for event in answer.result(20)["data"]] == [made["id"]]


def test_a_wait_does_not_end_for_an_event_that_does_not_match(
    api: httpx.Client, waiting: ThreadPoolExecutor
) -> None:
    answer = waiting.submit(get, api, events="organization.deleted", wait=25)
    made = create(api)
    follow(api, 1)
    time.sleep(0.3)
    assert not answer.done()
    api.delete(f"/organizations/{made['id']}")
    assert [event["event"] for event in answer.result(20)["data"]] == ["organization.deleted"]


def test_a_wait_is_over_when_the_time_is_up(api: httpx.Client) -> None:
    began = time.monotonic()
    assert get(api, wait=1)["data"] == []
    assert time.monotonic() - began >= 1


def test_an_event_of_another_process_ends_a_wait(
    api: httpx.Client, shared_database: Database, access: Access, waiting: ThreadPoolExecutor
) -> None:
    """The test's own process writes to the database that the server serves."""
    answer = waiting.submit(get, api, wait=25)
    time.sleep(0.3)
    caller = caller_in(access.environment_id)
    shared_database.write(lambda tx: organizations.create(tx, caller, CreateOrganization(name="Elsewhere")))
    assert [event["data"]["name"] for event in answer.result(20)["data"]] == ["Elsewhere"]


def test_a_wait_with_a_key_that_is_revoked_meanwhile_is_refused(
    api: httpx.Client, shared_database: Database, access: Access, waiting: ThreadPoolExecutor
) -> None:
    answer = waiting.submit(api.get, FEED, params={"wait": "2"})
    time.sleep(0.3)
    keys = shared_database.read(
        lambda tx: tx.all("SELECT id FROM api_keys WHERE environment_id = :e", e=access.environment_id)
    )
    shared_database.write(lambda tx: environments.revoke_key(tx, keys[0][0]))
    assert answer.result(20).status_code == 401


def test_environments_wait_apart(
    api: httpx.Client, server: Server, shared_database: Database, waiting: ThreadPoolExecutor
) -> None:
    answer = waiting.submit(get, api, wait=1)
    with client(server.base_url, grant(shared_database).key) as stranger:
        create(stranger)
    assert answer.result(20)["data"] == []


def test_a_server_that_stops_answers_those_who_wait(
    engine: str, postgres: str | None, tmp_path: Path, waiting: ThreadPoolExecutor
) -> None:
    with fresh_database_url(engine, tmp_path, postgres) as url:
        database = open_migrated(url)
        started = Server(url, tmp_path)
        with client(started.base_url, grant(database).key) as api:
            answer = waiting.submit(get, api, wait=25)
            time.sleep(0.5)
            assert started.stop() == 0
            assert answer.result(5)["data"] == []
        database.close()
