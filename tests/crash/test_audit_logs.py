"""Audit logs and kill -9: no acknowledged event is lost, and the chains are right, whoever seals."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random

import httpx
import msgspec
import pytest

from audit_events import declare, new_organization, random_event
from support import Access, Server, client, grant, open_migrated, seal_all
from tenantry.core.clock import system_clock

CLIENTS = 8
ORGANIZATIONS = 3
MOST_EVENTS = 2000
ENOUGH = 200
SECONDS = 60


class Writers:
    """Clients that write events until the server is gone; `acknowledged` are the names of those answered 200."""

    def __init__(self, base_urls: list[str], access: Access, organizations: list[str]) -> None:
        self._base_urls, self._access, self._organizations = base_urls, access, organizations
        self.acknowledged: list[str] = []
        self.enough = threading.Event()
        self.stopped = threading.Event()

    def run(self, number: int) -> None:
        random = Random(number)
        with client(self._base_urls[number % len(self._base_urls)], self._access.key) as api:
            for count in range(MOST_EVENTS):
                name = f"{number}-{count}"
                event = random_event(random, system_clock()())
                event = msgspec.structs.replace(event, metadata={"name": name})
                body = {"organization_id": random.choice(self._organizations), "event": event}
                content = msgspec.json.encode(body, enc_hook=str)
                try:
                    answer = api.post(
                        "/audit_logs/events", content=content, headers={"content-type": "application/json"}
                    )
                except httpx.TransportError:
                    return
                assert answer.status_code == 200, answer.text
                self.acknowledged.append(name)
                if len(self.acknowledged) >= ENOUGH:
                    self.enough.set()
                if self.stopped.is_set():
                    return


@contextmanager
def writing(writers: Writers) -> Iterator[None]:
    with ThreadPoolExecutor(CLIENTS) as threads:
        running = [threads.submit(writers.run, number) for number in range(CLIENTS)]
        yield
        for each in running:
            each.result()


@pytest.fixture
def place(database_url: str) -> tuple[Access, list[str]]:
    """An environment with a key and some organizations."""
    database = open_migrated(database_url)
    access = grant(database)
    declare(database, access.environment_id)
    organizations = [new_organization(database, access.environment_id) for _ in range(ORGANIZATIONS)]
    database.close()
    return access, organizations


def sealed_names(database_url: str) -> list[str]:
    """Seal what is not sealed yet, and return the names of all events."""
    database = open_migrated(database_url)
    seal_all(database)
    rows = database.read(
        lambda tx: tx.all(
            "SELECT e.wire FROM audit_log_events e JOIN audit_log_seals s ON s.position = e.position"
        )
    )
    database.close()
    return [msgspec.json.decode(row[0])["metadata"]["name"] for row in rows]


def verify(database_url: str) -> None:
    line = [sys.executable, "-m", "tenantry", "audit", "verify", "--database", database_url]
    done = subprocess.run(line, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("are as they were sealed; none is missing from 1 to") == ORGANIZATIONS


def test_no_acknowledged_event_is_lost_and_the_chains_are_right_after_kill_9(
    database_url: str, place: tuple[Access, list[str]], tmp_path: Path
) -> None:
    acknowledged: list[str] = []
    for _ in range(2):
        server = Server(database_url, tmp_path)
        writers = Writers([server.base_url], *place)
        with writing(writers):
            assert writers.enough.wait(SECONDS)
            server.kill()
        acknowledged += writers.acknowledged
    names = sealed_names(database_url)
    assert len(acknowledged) >= 2 * ENOUGH
    missing = set(acknowledged) - set(names)
    assert not missing
    verify(database_url)


def test_processes_that_seal_at_once_never_fork_a_chain(
    database_url: str, place: tuple[Access, list[str]], tmp_path: Path
) -> None:
    count = 1 if database_url.startswith("sqlite:") else 3
    servers = [Server(database_url, tmp_path) for _ in range(count)]
    writers = Writers([server.base_url for server in servers], *place)
    with writing(writers):
        assert writers.enough.wait(SECONDS)
        writers.stopped.set()
    servers.pop().kill()
    assert all(server.stop() == 0 for server in servers)
    names = sealed_names(database_url)
    assert sorted(names) == sorted(set(names))
    assert set(writers.acknowledged) <= set(names)
    verify(database_url)
