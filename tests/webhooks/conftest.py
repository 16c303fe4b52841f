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
ServeHooks = Callable[..., httpx.Client]


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
def serve_hooks(
    database_url: str, hook_access: Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ServeHooks]:
    """Starts a server of the test's own, which delivers to this machine and retries soon; stops it with the test.

    Takes settings that are to be otherwise, as environment variables. Returns an HTTP client of it.
    """
    with ExitStack() as stack:

        def start(**settings: str) -> httpx.Client:
            for name, value in (SETTINGS | settings).items():
                monkeypatch.setenv(name, value)
            server = Server(database_url, tmp_path)
            stack.callback(stops_well, server)
            return stack.enter_context(client(server.base_url, hook_access.key))

        yield start


def stops_well(server: Server) -> None:
    assert server.stop() == 0


@pytest.fixture
def hooks(serve_hooks: ServeHooks) -> httpx.Client:
    """An HTTP client of a server of the test's own, which delivers to this machine and retries soon."""
    return serve_hooks()


@pytest.fixture
def receive(tmp_path: Path) -> Iterator[Receive]:
    """Starts a receiver in a process of its own; ends it with the test."""
    with ExitStack() as stack:

        def start(**options: Any) -> Receiver:
            started = Receiver(tmp_path, **options)
            stack.callback(started.kill)
            return started

        yield partial(start)
