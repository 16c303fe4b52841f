"""What tests of webhooks do: subscribe, make events, wait."""

import json
import time
from typing import Any

import httpx

from receivers import Receiver
from tenantry.core.db import Database
from tenantry.webhooks import delivery

SETTINGS = {
    "TENANTRY_WEBHOOK_HTTP": "true",
    "TENANTRY_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
    "TENANTRY_WEBHOOK_RETRY_SECONDS": "0.5,0.5,0.5",
    "TENANTRY_WEBHOOK_TIMEOUT_SECONDS": "2",
}
"""A server that delivers to this machine and retries soon, as environment variables."""


def fan_out(database: Database, environment_id: str, seconds: float = 10.0) -> None:
    """Make the deliveries of every event of an environment.

    On PostgreSQL events are passed once no older transaction is under way, those of other
    tests included.
    """
    deadline = time.monotonic() + seconds
    while database.read(
        lambda tx: tx.one(
            "SELECT 1 FROM events e JOIN webhook_places p ON p.environment_id = e.environment_id"
            " WHERE e.environment_id = :environment_id AND e.position > p.position",
            environment_id=environment_id,
        )
    ):
        assert time.monotonic() < deadline
        database.write(lambda tx: delivery.fan_out(tx, environment_id))
        time.sleep(0.01)


def subscribe(hooks: httpx.Client, url: str, *events: str) -> dict[str, Any]:
    """Return a new endpoint of `hooks`."""
    body = {"endpoint_url": url, "events": events or ["organization.created"]}
    answer = hooks.post("/webhook_endpoints", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def create(hooks: httpx.Client, count: int = 1) -> list[str]:
    """Make organizations; return their ids."""
    return [hooks.post("/organizations", json={"name": f"Org {n}"}).json()["id"] for n in range(count)]


def subjects(receiver: Receiver) -> list[str]:
    """Return the ids of the objects that the webhooks received so far are about."""
    return [json.loads(each["body"])["data"]["id"] for each in receiver.received()]


def states(database: Database) -> list[tuple[str, int]]:
    """Return status and number of attempts of each delivery."""
    rows = database.read(lambda tx: tx.all("SELECT status, attempts FROM webhook_deliveries ORDER BY id"))
    return [(row[0], row[1]) for row in rows]


def endpoints_tried(database: Database) -> set[str]:
    """Return the ids of the endpoints at which an attempt has come to an end, however it ended."""
    rows = database.read(
        lambda tx: tx.all(
            "SELECT DISTINCT d.endpoint_id FROM webhook_deliveries d"
            " JOIN webhook_attempts a ON a.delivery_id = d.id"
        )
    )
    return {row[0] for row in rows}


def wait_until_settled(database: Database, seconds: float = 10.0) -> list[tuple[str, int]]:
    """Return the same once nothing is owed any more."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = states(database)
        if found and all(status != "pending" for status, _ in found):
            return found
        time.sleep(0.05)
    raise AssertionError(f"still owed: {states(database)}")
