"""A server of `tenantry dev` that the tests of the lab share: each has a universe of its own there."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from support import Server, client

MAIN_KEY = "sk_test_default"


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real server process of `tenantry dev`, in memory."""
    started = Server("sqlite://", tmp_path_factory.mktemp("dev"), command="dev")
    yield started
    assert started.stop() == 0


@pytest.fixture
def main(dev: Server) -> Iterator[httpx.Client]:
    """An HTTP client with the main key, which other tests have too."""
    with client(dev.base_url, MAIN_KEY) as opened:
        yield opened


Fork = Callable[..., httpx.Client]


@pytest.fixture
def fork(dev: Server, main: httpx.Client) -> Iterator[Fork]:
    """Forks a universe as the arguments say; returns an HTTP client of it. They are dropped after the test."""
    with ExitStack() as stack:

        def make(**body: Any) -> httpx.Client:
            made = main.post("/tenantry/lab/universes", json=body)
            assert made.status_code == 201, made.text
            stack.callback(main.delete, f"/tenantry/lab/universes/{made.json()['id']}")
            return stack.enter_context(client(dev.base_url, made.json()["api_key"]))

        yield make


@pytest.fixture
def universe(fork: Fork) -> httpx.Client:
    """An HTTP client of a universe of the test's own."""
    return fork()


@pytest.fixture
def dev_alone(dev: Server) -> Iterator[httpx.Client]:
    """An HTTP client without any key."""
    with httpx.Client(base_url=dev.base_url, timeout=20) as opened:
        yield opened
