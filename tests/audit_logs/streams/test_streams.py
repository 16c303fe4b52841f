"""An organization's streams: made, shown without secrets, changed, tested, switched off, deleted."""

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from receivers import Receiver
from streaming import actors, get_stream, make_generic, make_organization, make_stream, wait_for_stream, write
from support import Access, Server, client, grant
from tenantry.core.db import Database

Receive = Callable[..., Receiver]
Json = dict[str, Any]

SECRET = "0123456789-secret-wxyz"
URL = "https://logs.example/audit"
DESTINATIONS: dict[str, Json] = {
    "GenericHttps": {"generic_https": {"url": URL, "bearer_token": SECRET, "headers": {"X-Key": SECRET}}},
    "Datadog": {"datadog": {"api_key": SECRET, "site": "datadoghq.eu"}},
    "Splunk": {"splunk": {"url": "https://splunk.example:8088", "token": SECRET}},
    "S3": {"s3": {"bucket": "acme", "region": "eu-west-1", "access_key_id": "AKID", "secret_access_key": SECRET}},
}


def path(organization_id: str) -> str:
    return f"/tenantry/organizations/{organization_id}/audit_log_streams"


def fields(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [error["field"] for error in answer.json()["errors"]]


@pytest.mark.parametrize("type_", sorted(DESTINATIONS))
def test_a_stream_is_shown_with_hints_in_place_of_its_credentials(
    logs: httpx.Client, organization_id: str, type_: str
) -> None:
    made = make_stream(logs, organization_id, type_, **DESTINATIONS[type_])
    (listed,) = logs.get(path(organization_id)).json()["data"]
    for shown in (made, listed, get_stream(logs, made["id"])):
        assert SECRET not in json.dumps(shown)
        assert "…wxyz" in json.dumps(shown, ensure_ascii=False)
        assert (shown["type"], shown["state"], shown["last_synced_at"]) == (type_, "active", None)


def test_a_signing_secret_is_shown_once(logs: httpx.Client, organization_id: str) -> None:
    made = make_stream(logs, organization_id, "GenericHttps", generic_https={"url": URL})
    secret = made["generic_https"]["signing_secret"]
    assert len(secret) > 30
    shown = get_stream(logs, made["id"])["generic_https"]
    assert "signing_secret" not in shown
    assert shown["signing_secret_hint"] == f"…{secret[-4:]}"


def test_an_environment_has_no_secret_of_a_stream_in_its_events(
    logs: httpx.Client, organization_id: str, streaming_database: Database, logs_access: Access
) -> None:
    for type_, destination in DESTINATIONS.items():
        make_stream(logs, organization_id, type_, **destination)
    rows = streaming_database.read(
        lambda tx: tx.all("SELECT wire FROM events WHERE environment_id = :id", id=logs_access.environment_id)
    )
    assert all(SECRET.encode() not in bytes(row[0]) for row in rows)


@pytest.mark.parametrize("type_", ["AzureSentinel", "GoogleCloudStorage", "Snowflake"])
def test_a_type_of_the_wire_that_is_not_there_is_refused_with_those_that_are(
    logs: httpx.Client, organization_id: str, type_: str
) -> None:
    answer = logs.post(path(organization_id), json={"type": type_})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {
            "field": "type",
            "code": "type must be one of the following values: Datadog, GenericHttps, S3, Splunk;"
            f" Tenantry does not have {type_} yet",
        }
    ]


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, ["type"]),
        ({"type": "datadog"}, ["type"]),
        ({"type": "Datadog"}, ["datadog"]),
        ({"type": "Datadog", "splunk": DESTINATIONS["Splunk"]["splunk"]}, ["splunk"]),
        ({"type": "Datadog", "datadog": {}}, ["datadog.api_key"]),
        ({"type": "Datadog", "datadog": {"api_key": "a b"}}, ["datadog.api_key"]),
        ({"type": "Datadog", "datadog": {"api_key": "a\r\nx: y"}}, ["datadog.api_key"]),
        ({"type": "Datadog", "datadog": {"api_key": "a", "site": "evil.example"}}, ["datadog.site"]),
        ({"type": "Datadog", "datadog": {"api_key": "a", "tags": ["a,b"]}}, ["datadog.tags.0"]),
        ({"type": "Splunk", "splunk": {"url": "https://x.example?a=b", "token": "t"}}, ["splunk.url"]),
        ({"type": "Splunk", "splunk": {"url": "https://u:p@x.example", "token": "t"}}, ["splunk.url"]),
        ({"type": "Splunk", "splunk": {"url": "https://[::1", "token": "t"}}, ["splunk.url"]),
        ({"type": "GenericHttps", "generic_https": {"url": "https://u:p@x.example"}}, ["generic_https.url"]),
        ({"type": "GenericHttps", "generic_https": {"url": "https://10.0.0.1"}}, ["generic_https.url"]),
        ({"type": "GenericHttps", "generic_https": {"url": "ftp://x.example"}}, ["generic_https.url"]),
        (
            {"type": "GenericHttps", "generic_https": {"url": URL, "headers": {"Host": "x"}}},
            ["generic_https.headers.Host"],
        ),
        (
            {"type": "GenericHttps", "generic_https": {"url": URL, "headers": {"a b": "x"}}},
            ["generic_https.headers.a b"],
        ),
        (
            {"type": "GenericHttps", "generic_https": {"url": URL, "headers": {"x": "a\nb: c"}}},
            ["generic_https.headers.x"],
        ),
        (
            {
                "type": "GenericHttps",
                "generic_https": {"url": URL, "bearer_token": "t", "headers": {"Authorization": "x"}},
            },
            ["generic_https.headers.Authorization"],
        ),
        ({"type": "GenericHttps", "generic_https": {"url": URL, "signing_secret": "short"}}, None),
        ({"type": "S3", "s3": {**DESTINATIONS["S3"]["s3"], "bucket": "A_B"}}, ["s3.bucket"]),
        ({"type": "S3", "s3": {**DESTINATIONS["S3"]["s3"], "prefix": "../x"}}, ["s3.prefix"]),
        ({"type": "S3", "s3": {**DESTINATIONS["S3"]["s3"], "prefix": "/x"}}, ["s3.prefix"]),
        ({"type": "S3", "s3": {**DESTINATIONS["S3"]["s3"], "region": "evil.example/"}}, ["s3.region"]),
        ({"type": "S3", "s3": {**DESTINATIONS["S3"]["s3"], "endpoint": "https://[fd00::1]"}}, ["s3.endpoint"]),
        (
            {"type": "S3", "s3": {**DESTINATIONS["S3"]["s3"], "endpoint": "https://[::1", "path_style": False}},
            ["s3.endpoint"],
        ),
        ({"type": "Datadog", "batch_seconds": -1, **DESTINATIONS["Datadog"]}, ["batch_seconds"]),
    ],
)
def test_what_is_wrong_is_named(
    logs: httpx.Client, organization_id: str, body: Json, wrong: list[str] | None
) -> None:
    assert fields(logs.post(path(organization_id), json=body)) == (wrong or ["generic_https.signing_secret"])


@pytest.mark.parametrize(
    "url",
    [
        "http://logs.example",
        "https://127.0.0.1",
        "https://localhost",
        "https://169.254.169.254/latest",
        "https://[::1]",
    ],
)
def test_in_production_only_https_at_public_addresses_is_taken(api: httpx.Client, url: str) -> None:
    """By the server that is not told otherwise."""
    body = {"type": "GenericHttps", "generic_https": {"url": url}}
    assert fields(api.post(path(make_organization(api)), json=body)) == ["generic_https.url"]


def test_a_stream_that_is_older_than_the_policy_is_not_sent_to(
    api: httpx.Client, receive: Receive, shared_database: Database
) -> None:
    receiver = receive()
    made = make_stream(api, make_organization(api), "GenericHttps", generic_https={"url": URL})
    kept = {"url": receiver.url.replace("http:", "https:"), "signing_secret": "x" * 20}
    shared_database.write(
        lambda tx: tx.run(
            "UPDATE audit_log_streams SET destination = :destination WHERE id = :id",
            destination=json.dumps(kept).encode(),
            id=made["id"],
        )
    )
    api.post(f"/tenantry/audit_log_streams/{made['id']}/test")
    told = wait_for_stream(api, made["id"], lambda now: now["test"]["state"] == "failed")
    assert told["test"]["error"] == "refused: 127.0.0.1 is not a public address"
    assert receiver.received() == []


def test_an_organization_has_ten_streams_at_most(logs: httpx.Client, organization_id: str) -> None:
    for _ in range(10):
        make_stream(logs, organization_id, "Datadog", **DESTINATIONS["Datadog"])
    body = {"type": "Datadog", **DESTINATIONS["Datadog"]}
    assert fields(logs.post(path(organization_id), json=body)) == ["type"]


def test_streams_are_listed_in_pages(logs: httpx.Client, organization_id: str) -> None:
    made = [make_stream(logs, organization_id, "Datadog", **DESTINATIONS["Datadog"])["id"] for _ in range(3)]
    make_stream(logs, make_organization(logs, "Other"), "Datadog", **DESTINATIONS["Datadog"])
    first = logs.get(path(organization_id), params={"limit": 2, "order": "asc"}).json()
    after = first["list_metadata"]["after"]
    rest = logs.get(path(organization_id), params={"limit": 2, "order": "asc", "after": after}).json()
    assert [each["id"] for page in (first, rest) for each in page["data"]] == made


def test_nothing_crosses_an_environment(
    logs: httpx.Client, organization_id: str, streaming_server: Server, streaming_database: Database
) -> None:
    made = make_stream(logs, organization_id, "Datadog", **DESTINATIONS["Datadog"])
    with client(streaming_server.base_url, grant(streaming_database).key) as stranger:
        one = f"/tenantry/audit_log_streams/{made['id']}"
        answers = [
            stranger.get(one),
            stranger.patch(one, json={"state": "inactive"}),
            stranger.post(f"{one}/test"),
            stranger.delete(one),
            stranger.get(path(organization_id)),
            stranger.post(path(organization_id), json={"type": "Datadog", **DESTINATIONS["Datadog"]}),
        ]
    assert [answer.status_code for answer in answers] == [404] * 6
    assert get_stream(logs, made["id"])["state"] == "active"


def test_a_destination_is_replaced_whole_so_that_kept_credentials_go_nowhere_else(
    logs: httpx.Client, organization_id: str
) -> None:
    made = make_stream(logs, organization_id, "Splunk", **DESTINATIONS["Splunk"])
    one = f"/tenantry/audit_log_streams/{made['id']}"
    assert fields(logs.patch(one, json={"splunk": {"url": "https://evil.example"}})) == ["splunk.token"]
    assert fields(logs.patch(one, json=DESTINATIONS["Datadog"])) == ["datadog"]
    new = {"splunk": {"url": "https://other.example", "token": "another-token-abcd"}}
    shown = logs.patch(one, json=new).json()["splunk"]
    assert (shown["url"], shown["token_hint"]) == ("https://other.example", "…abcd")


def test_a_signing_secret_that_is_not_given_stays(logs: httpx.Client, organization_id: str) -> None:
    made = make_stream(logs, organization_id, "GenericHttps", generic_https={"url": URL})
    one = f"/tenantry/audit_log_streams/{made['id']}"
    hint = made["generic_https"]["signing_secret_hint"]
    kept = logs.patch(one, json={"generic_https": {"url": URL + "/2"}}).json()["generic_https"]
    assert (kept["signing_secret_hint"], "signing_secret" in kept) == (hint, False)
    given = {"generic_https": {"url": URL, "signing_secret": SECRET}}
    changed = logs.patch(one, json=given).json()["generic_https"]
    assert (changed["signing_secret_hint"], changed["signing_secret"]) == ("…wxyz", SECRET)


def test_a_stream_that_is_switched_off_keeps_its_place(
    logs: httpx.Client, organization_id: str, receive: Receive
) -> None:
    receiver = receive()
    made = make_generic(logs, organization_id, receiver)
    one = f"/tenantry/audit_log_streams/{made['id']}"
    assert logs.patch(one, json={"state": "inactive"}).json()["state"] == "inactive"
    other = receive()
    make_generic(logs, organization_id, other)
    write(logs, organization_id, *actors(3))
    while sum(len(each["body"].splitlines()) for each in other.received()) < 3:
        time.sleep(0.05)
    assert receiver.received() == []
    assert get_stream(logs, made["id"])["next_attempt_at"] is None
    assert logs.patch(one, json={"state": "active"}).json()["state"] == "active"
    (got,) = receiver.wait_for(1)
    assert len(got["body"].splitlines()) == 3


def test_what_goes_to_nobody_any_more_is_not_sent(
    logs: httpx.Client, organization_id: str, receive: Receive
) -> None:
    receiver, other = receive(), receive()
    made = make_generic(logs, organization_id, receiver)
    make_generic(logs, organization_id, other)
    assert logs.delete(f"/tenantry/audit_log_streams/{made['id']}").status_code == 204
    assert logs.get(f"/tenantry/audit_log_streams/{made['id']}").status_code == 404
    write(logs, organization_id, "user_1")
    other.wait_for(1)
    assert receiver.received() == []


def test_an_organization_takes_its_streams_with_it(
    logs: httpx.Client, organization_id: str, streaming_database: Database
) -> None:
    made = make_stream(logs, organization_id, "Datadog", **DESTINATIONS["Datadog"])
    assert logs.delete(f"/organizations/{organization_id}").status_code in {202, 204}
    assert logs.get(f"/tenantry/audit_log_streams/{made['id']}").status_code == 404
    kept = streaming_database.read(
        lambda tx: tx.all("SELECT id FROM audit_log_streams WHERE id = :id", id=made["id"])
    )
    assert kept == []


def test_a_test_tells_what_came_of_it(logs: httpx.Client, organization_id: str, receive: Receive) -> None:
    receiver = receive()
    made = make_generic(logs, organization_id, receiver)
    assert made["test"] is None
    pending = logs.post(f"/tenantry/audit_log_streams/{made['id']}/test").json()["test"]
    assert (pending["state"], pending["ended_at"]) == ("pending", None)
    told = wait_for_stream(logs, made["id"], lambda now: now["test"]["state"] != "pending")
    assert (told["test"]["state"], told["test"]["error"]) == ("taken", None)
    assert told["last_synced_at"] is None
    (got,) = receiver.received()
    assert json.loads(got["body"])["action"] == "tenantry.stream_test"
    assert got["headers"]["tenantry-batch"] == f"{made['id']}-test"


def test_a_test_that_fails_says_why_and_leaves_the_stream_as_it_is(
    logs: httpx.Client, organization_id: str, receive: Receive
) -> None:
    made = make_generic(logs, organization_id, receive(answer=401))
    logs.patch(f"/tenantry/audit_log_streams/{made['id']}", json={"state": "inactive"})
    logs.post(f"/tenantry/audit_log_streams/{made['id']}/test")
    told = wait_for_stream(logs, made["id"], lambda now: now["test"]["state"] != "pending")
    assert (told["test"]["state"], told["test"]["error"]) == ("failed", "it answered 401: thanks")
    assert (told["state"], told["failures"]) == ("inactive", 0)


def test_the_configuration_shows_the_oldest_stream_that_is_on(logs: httpx.Client, organization_id: str) -> None:
    configuration = f"/organizations/{organization_id}/audit_log_configuration"
    assert "log_stream" not in logs.get(configuration).json()
    first = make_stream(logs, organization_id, "Splunk", **DESTINATIONS["Splunk"])
    second = make_stream(logs, organization_id, "S3", **DESTINATIONS["S3"])
    assert logs.get(configuration).json()["log_stream"] == {
        "id": first["id"],
        "type": "Splunk",
        "state": "active",
        "last_synced_at": None,
        "created_at": first["created_at"],
    }
    logs.patch(f"/tenantry/audit_log_streams/{first['id']}", json={"state": "inactive"})
    assert logs.get(configuration).json()["log_stream"]["id"] == second["id"]
    logs.patch(f"/tenantry/audit_log_streams/{second['id']}", json={"state": "inactive"})
    assert logs.get(configuration).json()["log_stream"]["id"] == first["id"]
