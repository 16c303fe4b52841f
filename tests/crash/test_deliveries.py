"""Every event arrives at least once, though server and receiver die in the middle."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from receivers import Receiver
from support import Server, client, grant, open_migrated
from tenantry.core.db import Database

EVENTS = 1000
CLIENTS = 8
SECONDS = 60.0
SETTINGS = {
    "TENANTRY_WEBHOOK_HTTP": "true",
    "TENANTRY_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
    "TENANTRY_WEBHOOK_RETRY_SECONDS": ",".join(["0.3"] * 40),
    "TENANTRY_WEBHOOK_TIMEOUT_SECONDS": "2",
}


def test_every_event_arrives_though_server_and_receiver_die(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    database = open_migrated(database_url)
    access = grant(database)
    receiver = Receiver(tmp_path, failing=0.2, seconds=0.05)
    server = Server(database_url, tmp_path)
    with client(server.base_url, access.key) as api:
        body = {"endpoint_url": receiver.url, "events": ["organization.created"]}
        assert api.post("/webhook_endpoints", json=body).status_code == 201
        with ThreadPoolExecutor(CLIENTS) as threads:
            made = set(threads.map(lambda number: create(api, number), range(EVENTS)))
    receiver.wait_for(EVENTS // 10)
    server.kill()
    assert owed(database) > 0
    server = Server(database_url, tmp_path)
    receiver.wait_for(EVENTS // 4)
    receiver.kill()
    assert owed(database) > 0
    time.sleep(0.5)
    receiver.start()
    try:
        assert wait_until_nothing_is_owed(database) == {"delivered": EVENTS}
        taken = {event["data"]["id"] for event in receiver.taken()}
        assert taken == made
    finally:
        receiver.kill()
        assert server.stop() == 0
        database.close()


def create(api: httpx.Client, number: int) -> str:
    answer = api.post("/organizations", json={"name": f"Org {number}"})
    assert answer.status_code == 201
    identity: str = answer.json()["id"]
    return identity


def owed(database: Database) -> int:
    """Return how many events are not delivered yet."""
    row = database.read(lambda tx: tx.one("SELECT COUNT(*) FROM webhook_deliveries WHERE status = 'delivered'"))
    assert row is not None
    return EVENTS - int(row[0])


def wait_until_nothing_is_owed(database: Database) -> dict[str, int]:
    """Return how many deliveries came to which end."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        rows = database.read(lambda tx: tx.all("SELECT status, COUNT(*) FROM webhook_deliveries GROUP BY status"))
        counts = {row[0]: row[1] for row in rows}
        if counts and "pending" not in counts and sum(counts.values()) >= EVENTS:
            break
        time.sleep(0.2)
    return counts
