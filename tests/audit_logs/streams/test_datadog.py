"""Datadog's intake, as strict as published, takes what is sent to it."""

import json
from collections.abc import Callable

import httpx
import pytest

from intakes import Intake
from streaming import actors, get_stream, make_stream, wait_for_stream, write
from tenantry.audit_logs.streams.batches import Batch
from tenantry.audit_logs.streams.datadog import request, url
from tenantry.audit_logs.streams.policy import MOST_BYTES, MOST_EVENTS
from tenantry.audit_logs.streams.wire import Credential, Datadog, Site, Tag

TakeIn = Callable[..., Intake]
API_KEY = "0123456789abcdef0123456789abcdef"


def test_each_event_is_a_log_with_its_time_its_tags_and_a_line_to_read(
    logs: httpx.Client, organization_id: str, take_in: TakeIn
) -> None:
    intake = take_in("datadog", API_KEY)
    given = {"api_key": API_KEY, "url": intake.url, "tags": ["env:test", "team:audit"], "service": "billing"}
    stream = make_stream(logs, organization_id, "Datadog", datadog=given)
    write(logs, organization_id, *actors(5))
    got = intake.wait_for(5)
    assert [log["audit_log_event"]["actor"]["id"] for log in got] == actors(5)
    for log in got:
        event = log["audit_log_event"]
        assert log["message"] == f"document.opened by user User {event['actor']['id']}"
        assert log["timestamp"] == event["occurred_at"]
        assert log["ddtags"] == f"env:test,team:audit,organization_id:{organization_id}"
        assert (log["ddsource"], log["service"]) == ("tenantry", "billing")
    assert {answer["headers"]["content-encoding"] for answer in intake.answers()} == {"gzip"}
    wait_for_stream(logs, stream["id"], lambda now: now["last_synced_at"] is not None)


def test_a_busy_intake_gets_every_event_in_the_end(
    logs: httpx.Client, organization_id: str, take_in: TakeIn
) -> None:
    intake = take_in("datadog", API_KEY, failing=0.5)
    make_stream(logs, organization_id, "Datadog", datadog={"api_key": API_KEY, "url": intake.url})
    for number, actor in enumerate(actors(3)):
        write(logs, organization_id, actor)
        intake.wait_for(number + 1)
    assert 503 in [answer["status"] for answer in intake.answers()]
    assert [log["audit_log_event"]["actor"]["id"] for log in intake.events()] == actors(3)


def test_a_wrong_key_makes_the_stream_invalid(logs: httpx.Client, organization_id: str, take_in: TakeIn) -> None:
    intake = take_in("datadog", API_KEY)
    given = {"api_key": "another-key-0123", "url": intake.url}
    stream = make_stream(logs, organization_id, "Datadog", datadog=given)
    write(logs, organization_id, "user_1")
    told = wait_for_stream(logs, stream["id"], lambda now: now["failures"] > 0)
    assert told["state"] == "invalid"
    assert told["last_error"].startswith("it answered 403: ")
    assert "another-key" not in json.dumps(get_stream(logs, stream["id"]))


@pytest.mark.parametrize(
    ("site", "where"),
    [
        ("datadoghq.com", "https://http-intake.logs.datadoghq.com/api/v2/logs"),
        ("datadoghq.eu", "https://http-intake.logs.datadoghq.eu/api/v2/logs"),
        ("us3.datadoghq.com", "https://http-intake.logs.us3.datadoghq.com/api/v2/logs"),
    ],
)
def test_each_site_has_its_intake(site: Site, where: str) -> None:
    assert url(Datadog(api_key=Credential(API_KEY), site=site)) == where


def test_the_largest_batch_is_within_the_limits(take_in: TakeIn) -> None:
    """1,000 logs and 5 MB a request: so a full batch of events of a kilobyte each, with long tags."""
    intake = take_in("datadog", API_KEY)
    tags = [Tag("t" * 100)] * 10
    to = Datadog(api_key=Credential(API_KEY), url=intake.url, tags=tags)
    event = {
        "action": "a" * 300,
        "occurred_at": "2026-01-15T12:00:00.000Z",
        "actor": {"id": "u", "type": "t" * 100, "name": "n" * 300},
    }
    wire = json.dumps(event).encode().ljust(MOST_BYTES // MOST_EVENTS)
    batch = Batch(stream_id="als_1", organization_id="org_1", first=1, last=1000, events=[wire] * MOST_EVENTS)
    made = request(to, batch, 0)
    assert httpx.post(made.url, content=made.body, headers=made.headers).status_code == 202
