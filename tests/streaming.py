"""What tests of log streams do: make organizations and streams, write events, wait."""

import time
from collections.abc import Callable
from typing import Any

import httpx

from receivers import Receiver
from tenantry.core.clock import system_clock, timestamp

Json = dict[str, Any]

SETTINGS = {
    "TENANTRY_WEBHOOK_HTTP": "true",
    "TENANTRY_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8, ::1/128",
    "TENANTRY_AUDIT_STREAM_TIMEOUT_SECONDS": "2",
}
"""A server that sends to this machine, as environment variables."""

ACTION = "document.opened"


def make_action(api: httpx.Client) -> None:
    answer = api.post(f"/audit_logs/actions/{ACTION}/schemas", json={"targets": [{"type": "document"}]})
    assert answer.status_code == 201, answer.text


def make_organization(api: httpx.Client, name: str = "Acme") -> str:
    identity: str = api.post("/organizations", json={"name": name}).json()["id"]
    return identity


def make_stream(api: httpx.Client, organization_id: str, type_: str, **more: Any) -> Json:
    """Return a new stream that waits no time for a batch to fill, unless `more` says otherwise."""
    body = {"type": type_, "batch_seconds": 0, **more}
    answer = api.post(f"/tenantry/organizations/{organization_id}/audit_log_streams", json=body)
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made


def make_generic(api: httpx.Client, organization_id: str, receiver: Receiver, **more: Any) -> Json:
    return make_stream(api, organization_id, "GenericHttps", generic_https={"url": receiver.url, **more})


def write(api: httpx.Client, organization_id: str, *actors: str, metadata: Json | None = None) -> None:
    """Write an event of each actor."""
    for actor in actors:
        event = {
            "action": ACTION,
            "occurred_at": timestamp(system_clock()()),
            "actor": {"id": actor, "type": "user", "name": f"User {actor}"},
            "targets": [{"id": "document_1", "type": "document"}],
            "context": {"location": "192.0.2.1"},
            "metadata": metadata or {},
        }
        answer = api.post("/audit_logs/events", json={"organization_id": organization_id, "event": event})
        assert answer.status_code == 200, answer.text


def actors(count: int) -> list[str]:
    return [f"user_{number}" for number in range(count)]


def get_stream(api: httpx.Client, stream_id: str) -> Json:
    found: Json = api.get(f"/tenantry/audit_log_streams/{stream_id}").json()
    return found


def wait_for_stream(
    api: httpx.Client, stream_id: str, is_so: Callable[[Json], bool], seconds: float = 20.0
) -> Json:
    """Return a stream once it is so."""
    deadline = time.monotonic() + seconds
    while not is_so(stream := get_stream(api, stream_id)):
        assert time.monotonic() < deadline, stream
        time.sleep(0.05)
    return stream
