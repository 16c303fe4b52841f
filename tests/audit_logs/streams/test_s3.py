"""A real object store, which checks every signature, holds what is sent to it."""

import gzip
import json
from typing import Any

import httpx
import pytest

from object_store import ACCESS_KEY_ID, HOST, REGION, SECRET_ACCESS_KEY, ObjectStore
from streaming import actors, get_stream, make_stream, wait_for_stream, write
from tenantry.audit_logs.streams.batches import Batch
from tenantry.audit_logs.streams.s3 import base, key, request
from tenantry.audit_logs.streams.wire import S3, Bucket, Credential, KeyPrefix, Region
from tenantry.core.addresses import networks
from tenantry.core.client import Client
from tenantry.core.clock import system_clock
from tenantry.core.targets import TargetPolicy


def given(store: ObjectStore, bucket: str, **more: Any) -> dict[str, Any]:
    access = {"access_key_id": ACCESS_KEY_ID, "secret_access_key": SECRET_ACCESS_KEY}
    return {"bucket": bucket, "region": REGION, "endpoint": store.url, **access, **more}


def destination(bucket: str = "acme-audit", **more: Any) -> S3:
    return S3(
        bucket=Bucket(bucket),
        region=Region(REGION),
        access_key_id=Credential(ACCESS_KEY_ID),
        secret_access_key=Credential(SECRET_ACCESS_KEY),
        **more,
    )


def batch_of(*events: dict[str, Any], first: int = 1) -> Batch:
    return Batch(
        stream_id="als_1",
        organization_id="org_1",
        first=first,
        last=first + len(events) - 1,
        events=[json.dumps(event).encode() for event in events],
    )


EVENT = {"id": "audit_log_event_1", "created_at": "2026-01-15T09:30:00.000Z"}


def events(store: ObjectStore, bucket: str) -> list[dict[str, Any]]:
    """Return the events in all objects of a bucket, in the order of keys."""
    bodies = [gzip.decompress(body) for body in store.objects(bucket).values()]
    return [json.loads(line) for body in bodies for line in body.splitlines()]


def test_objects_hold_every_event_under_the_hour_in_which_it_was_written(
    logs: httpx.Client, organization_id: str, store: ObjectStore, engine: str
) -> None:
    bucket = store.make_bucket(f"whole-{engine}")
    stream = make_stream(logs, organization_id, "S3", s3=given(store, bucket, prefix="audit/year=all/"))
    write(logs, organization_id, *actors(3))
    wait_for_stream(logs, stream["id"], lambda now: len(events(store, bucket)) == 3)
    assert [event["actor"]["id"] for event in events(store, bucket)] == actors(3)
    first = events(store, bucket)[0]
    hour = first["created_at"][:13].replace("-", "/").replace("T", "/")
    path = f"audit/year=all/{organization_id}/{hour}/{stream['id']}-000000000001-"
    assert next(iter(store.objects(bucket))).startswith(path)
    wait_for_stream(logs, stream["id"], lambda now: now["last_synced_at"] is not None)


async def test_a_bucket_may_stand_in_the_hosts_name(store: ObjectStore) -> None:
    bucket = store.make_bucket("hosted")
    to = destination(bucket, endpoint=f"http://{HOST}:{store.port}", path_style=False)
    made = request(to, batch_of(EVENT), system_clock()())
    asked: list[str] = []

    async def resolve(name: str) -> list[str]:
        asked.append(name)
        return ["127.0.0.1"]

    sender = Client(TargetPolicy(http=True, networks=networks("127.0.0.0/8")), 20.0, resolve)
    outcome = await sender.send(made.url, made.body, made.headers, made.method)
    await sender.close()
    assert outcome.status == 200, outcome
    assert asked == [f"hosted.{HOST}"]
    assert events(store, bucket) == [EVENT]


def test_a_wrong_secret_is_refused_by_the_signature(
    logs: httpx.Client, organization_id: str, store: ObjectStore, engine: str
) -> None:
    bucket = store.make_bucket(f"refused-{engine}")
    to = given(store, bucket, secret_access_key="not-the-secret-at-all")
    stream = make_stream(logs, organization_id, "S3", s3=to)
    write(logs, organization_id, "user_1")
    told = wait_for_stream(logs, stream["id"], lambda now: now["failures"] > 0)
    assert told["state"] == "invalid"
    assert "SignatureDoesNotMatch" in told["last_error"]
    assert store.objects(bucket) == {}
    right = {"s3": given(store, bucket)}
    logs.patch(f"/tenantry/audit_log_streams/{stream['id']}", json=right)
    wait_for_stream(logs, stream["id"], lambda now: now["last_synced_at"] is not None)
    assert [event["actor"]["id"] for event in events(store, bucket)] == ["user_1"]


def test_a_test_is_an_object_that_replaces_itself(
    logs: httpx.Client, organization_id: str, store: ObjectStore, engine: str
) -> None:
    bucket = store.make_bucket(f"tested-{engine}")
    stream = make_stream(logs, organization_id, "S3", s3=given(store, bucket))
    for _ in range(2):
        logs.post(f"/tenantry/audit_log_streams/{stream['id']}/test")
        wait_for_stream(logs, stream["id"], lambda now: now["test"]["state"] == "taken")
    assert list(store.objects(bucket)) == [f"{organization_id}/{stream['id']}-test.ndjson.gz"]
    assert [event["action"] for event in events(store, bucket)] == ["tenantry.stream_test"]
    assert get_stream(logs, stream["id"])["last_synced_at"] is None


def test_a_batch_that_is_sent_again_replaces_itself(store: ObjectStore) -> None:
    bucket = store.make_bucket("again")
    to = destination(bucket, endpoint=store.url)
    for _ in range(2):
        made = request(to, batch_of(EVENT, EVENT), system_clock()())
        answer = httpx.put(made.url, content=made.body, headers=made.headers)
        assert answer.status_code == 200, answer.text
    assert list(store.objects(bucket)) == ["org_1/2026/01/15/09/als_1-000000000001-000000000002.ndjson.gz"]
    assert events(store, bucket) == [EVENT, EVENT]


def test_a_batch_has_the_same_bytes_and_key_whenever_it_is_sent() -> None:
    early, late = (request(destination(), batch_of(EVENT), milliseconds) for milliseconds in (0, 10**12))
    assert (early.url, early.body) == (late.url, late.body)


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({}, "https://acme-audit.s3.eu-central-1.amazonaws.com"),
        ({"path_style": True}, "https://s3.eu-central-1.amazonaws.com/acme-audit"),
        ({"bucket": "acme.audit"}, "https://s3.eu-central-1.amazonaws.com/acme.audit"),
        ({"endpoint": "https://store.example:9000/"}, "https://store.example:9000/acme-audit"),
        (
            {"endpoint": "https://store.example:9000", "path_style": False},
            "https://acme-audit.store.example:9000",
        ),
    ],
)
def test_a_bucket_stands_in_the_host_or_the_path(more: dict[str, Any], where: str) -> None:
    assert base(destination(**more)) == where


def test_keys_of_one_hour_sort_as_their_events_do() -> None:
    keys = [key(destination(prefix=KeyPrefix("a/")), batch_of(EVENT, first=first)) for first in (1, 9, 10, 99_999)]
    assert keys == sorted(keys)
    assert keys[0] == "a/org_1/2026/01/15/09/als_1-000000000001-000000000001.ndjson.gz"
