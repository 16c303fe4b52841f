"""Of 10,000 deliveries each arrives at least once, though server and receiver die in the middle."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from hooks import subscribe
from receivers import Receiver
from support import Server, client, grant, open_migrated
from tenantry.core.db import Database

ENDPOINTS = 10
EVENTS = 1000
DELIVERIES = ENDPOINTS * EVENTS
CLIENTS = 8
SECONDS = 90.0
SETTINGS = {
    "TENANTRY_WEBHOOK_HTTP": "true",
    "TENANTRY_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
    "TENANTRY_WEBHOOK_RETRY_SECONDS": ",".join(["0.3"] * 40),
    "TENANTRY_WEBHOOK_TIMEOUT_SECONDS": "2",
}


@pytest.mark.timeout(240)  # some 30 seconds on two cores that do nothing else
def test_every_event_arrives_though_server_and_receiver_die(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each endpoint, of a receiver that answers every fifth with a failure; in the end nothing is owed."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    database = open_migrated(database_url)
    access = grant(database)
    receiver = Receiver(tmp_path, failing=0.2, seconds=0.05)
    server = Server(database_url, tmp_path)
    with client(server.base_url, access.key) as api:
        for number in range(ENDPOINTS):
            subscribe(api, f"{receiver.url}/{number}")
        with ThreadPoolExecutor(CLIENTS) as threads:
            made = set(threads.map(lambda number: create(api, number), range(EVENTS)))
    receiver.wait_for(DELIVERIES // 10)
    server.kill()
    assert owed(database) > 0
    server = Server(database_url, tmp_path)
    receiver.wait_for(DELIVERIES // 2, SECONDS)
    receiver.kill()
    assert owed(database) > 0
    time.sleep(0.5)
    receiver.start()
    try:
        assert wait_until_nothing_is_owed(database) == {"delivered": DELIVERIES}
        assert taken(receiver) == {(f"/{number}", each) for number in range(ENDPOINTS) for each in made}
    finally:
        receiver.kill()
        assert server.stop() == 0
        database.close()


def create(api: httpx.Client, number: int) -> str:
    answer = api.post("/organizations", json={"name": f"Org {number}"})
    assert answer.status_code == 201
    identity: str = answer.json()["id"]
    return identity


def taken(receiver: Receiver) -> set[tuple[str, str]]:
    """Return the path and the subject of each webhook that was answered with 2xx."""
    return {
        (each["path"], json.loads(each["body"])["data"]["id"])
        for each in receiver.received()
        if each["status"] < 300
    }


def owed(database: Database) -> int:
    """Return how many deliveries are still to be made."""
    row = database.read(lambda tx: tx.one("SELECT COUNT(*) FROM webhook_deliveries WHERE status = 'delivered'"))
    assert row is not None
    return DELIVERIES - int(row[0])


def wait_until_nothing_is_owed(database: Database) -> dict[str, int]:
    """Return how many deliveries came to which end."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        rows = database.read(lambda tx: tx.all("SELECT status, COUNT(*) FROM webhook_deliveries GROUP BY status"))
        counts = {row[0]: row[1] for row in rows}
        if counts and "pending" not in counts and sum(counts.values()) >= DELIVERIES:
            break
        time.sleep(0.2)
    return counts
