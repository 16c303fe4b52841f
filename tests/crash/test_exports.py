"""An export that is being made when the server is killed becomes ready after the restart, whole."""

import csv
import io
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from audit_events import declare, fill, new_organization
from support import Server, client, grant, open_migrated
from tenantry.core.db import Database

EVENTS = 60_000
SECONDS = 150.0


@pytest.mark.timeout(300)  # some twenty seconds on two cores that do nothing else; a lease is a minute
def test_an_export_becomes_ready_whole_though_the_server_is_killed(database_url: str, tmp_path: Path) -> None:
    database = open_migrated(database_url)
    access = grant(database)
    declare(database, access.environment_id)
    organization_id = new_organization(database, access.environment_id)
    fill(database, access.environment_id, organization_id, EVENTS)
    server = Server(database_url, tmp_path)
    with client(server.base_url, access.key) as api:
        body = {
            "organization_id": organization_id,
            "range_start": "2000-01-01T00:00:00Z",
            "range_end": "2100-01-01T00:00:00Z",
        }
        export_id = api.post("/audit_logs/exports", json=body).json()["id"]
        wait_for_steps(database, 1)
        server.kill()
    assert state(database) == "pending"
    server = Server(database_url, tmp_path)
    with client(server.base_url, access.key) as api:
        made = wait_until_ready(api, export_id)
    text = httpx.get(made["url"], timeout=60).text
    ids = [row["id"] for row in csv.DictReader(io.StringIO(text, newline=""))]
    assert len(ids) == len(set(ids)) == EVENTS
    assert server.stop() == 0
    database.close()


def wait_for_steps(database: Database, steps: int) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        row = database.read(lambda tx: tx.one("SELECT steps FROM audit_log_exports"))
        if row is not None and row[0] >= steps:
            return
        time.sleep(0.002)
    raise AssertionError("nothing of the export was made")


def state(database: Database) -> str:
    row = database.read(lambda tx: tx.one("SELECT state FROM audit_log_exports"))
    assert row is not None
    found: str = row[0]
    return found


def wait_until_ready(api: httpx.Client, export_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + SECONDS
    made: dict[str, Any] = {}
    while time.monotonic() < deadline:
        made = api.get(f"/audit_logs/exports/{export_id}").json()
        if made["state"] == "ready":
            return made
        time.sleep(0.2)
    raise AssertionError(made)
