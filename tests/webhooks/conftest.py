"""A server of the test's own that may send webhooks to this machine, and receivers for them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from hooks import SETTINGS
from receivers import Receiver
from support import Access, Server, client, grant, open_migrated
from tenantry.core.db import Database

Receive = Callable[..., Receiver]


@pytest.fixture
def hook_database(database_url: str) -> Iterator[Database]:
    """The database of `hooks`, seen from the test."""
    opened = open_migrated(database_url)
    yield opened
    opened.close()


@pytest.fixture
def hook_access(hook_database: Database) -> Access:
    return grant(hook_database)


@pytest.fixture
def hooks(
    database_url: str, hook_access: Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[httpx.Client]:
    """An HTTP client of a server of the test's own, which delivers to this machine and retries soon."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    server = Server(database_url, tmp_path)
    with client(server.base_url, hook_access.key) as opened:
        yield opened
    assert server.stop() == 0


@pytest.fixture
def receive(tmp_path: Path) -> Iterator[Receive]:
    """Starts a receiver in a process of its own; ends it with the test."""
    with ExitStack() as stack:

        def start(**options: Any) -> Receiver:
            started = Receiver(tmp_path, **options)
            stack.callback(started.kill)
            return started

        yield partial(start)
