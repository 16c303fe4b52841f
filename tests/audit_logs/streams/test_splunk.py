"""An HTTP Event Collector, as strict as published, takes what is sent to it."""

from collections.abc import Callable
from datetime import datetime

import httpx
import pytest

from intakes import Intake
from receivers import Receiver
from streaming import actors, make_stream, wait_for_stream, write
from tenantry.audit_logs.streams.splunk import url
from tenantry.audit_logs.streams.wire import Credential, Splunk

TakeIn = Callable[..., Intake]
TOKEN = "12345678-1234-1234-1234-1234567890AB"


def test_each_event_comes_with_the_time_at_which_it_occurred(
    logs: httpx.Client, organization_id: str, take_in: TakeIn
) -> None:
    intake = take_in("splunk", TOKEN)
    given = {"url": intake.url, "token": TOKEN, "index": "audit"}
    stream = make_stream(logs, organization_id, "Splunk", splunk=given)
    write(logs, organization_id, *actors(5))
    got = intake.wait_for(5)
    assert [each["event"]["actor"]["id"] for each in got] == actors(5)
    for each in got:
        assert each["time"] == datetime.fromisoformat(each["event"]["occurred_at"]).timestamp()
        assert (each["index"], each["source"], each["sourcetype"]) == ("audit", "tenantry", "tenantry:audit_log")
    wait_for_stream(logs, stream["id"], lambda now: now["last_synced_at"] is not None)


def test_a_busy_collector_gets_every_event_in_the_end(
    logs: httpx.Client, organization_id: str, take_in: TakeIn
) -> None:
    intake = take_in("splunk", TOKEN, failing=0.5)
    make_stream(logs, organization_id, "Splunk", splunk={"url": intake.url, "token": TOKEN})
    for number, actor in enumerate(actors(3)):
        write(logs, organization_id, actor)
        intake.wait_for(number + 1)
    assert 503 in [answer["status"] for answer in intake.answers()]
    assert [each["event"]["actor"]["id"] for each in intake.events()] == actors(3)


def test_a_wrong_token_makes_the_stream_invalid(logs: httpx.Client, organization_id: str, take_in: TakeIn) -> None:
    intake = take_in("splunk", TOKEN)
    given = {"url": intake.url, "token": "87654321-1234-1234-1234-1234567890AB"}
    stream = make_stream(logs, organization_id, "Splunk", splunk=given)
    write(logs, organization_id, "user_1")
    told = wait_for_stream(logs, stream["id"], lambda now: now["failures"] > 0)
    assert told["state"] == "invalid"
    assert told["last_error"] == 'it answered 403: {"text": "Invalid token", "code": 4}'


def test_an_index_that_is_not_there_is_told(logs: httpx.Client, organization_id: str, take_in: TakeIn) -> None:
    intake = take_in("splunk", TOKEN)
    given = {"url": intake.url, "token": TOKEN, "index": "elsewhere"}
    stream = make_stream(logs, organization_id, "Splunk", splunk=given)
    write(logs, organization_id, "user_1")
    told = wait_for_stream(logs, stream["id"], lambda now: now["failures"] > 0)
    assert "Incorrect index" in told["last_error"]
    assert intake.events() == []


def test_what_answers_200_but_is_no_collector_has_not_taken_the_events(
    logs: httpx.Client, organization_id: str, receive: Callable[..., Receiver]
) -> None:
    receiver = receive()
    stream = make_stream(logs, organization_id, "Splunk", splunk={"url": receiver.url, "token": TOKEN})
    write(logs, organization_id, "user_1")
    told = wait_for_stream(logs, stream["id"], lambda now: now["failures"] > 0)
    assert told["last_error"] == "not the answer of an event collector: it answered 200: thanks"
    assert told["last_synced_at"] is None


@pytest.mark.parametrize(
    "given",
    [
        "https://splunk.example:8088",
        "https://splunk.example:8088/",
        "https://splunk.example:8088/services/collector/event",
    ],
)
def test_a_collector_may_be_given_with_its_path_or_without(given: str) -> None:
    to = Splunk(url=given, token=Credential(TOKEN))
    assert url(to) == "https://splunk.example:8088/services/collector/event"
