"""What tests of clients share: keys that are refused something, and a server with little patience."""

from collections.abc import Iterator

import pytest

from support import Access, Server, grant
from tenantry.core.db import Database


@pytest.fixture
def read_only(shared_database: Database) -> Access:
    """A fresh environment with a key that may change nothing."""
    return grant(shared_database, read_only=True)


@pytest.fixture
def unique(shared_database: Database) -> Access:
    """A fresh environment in which a domain can be given to one organization only."""
    return grant(shared_database, domain_policy="unique")


@pytest.fixture(scope="session")
def throttled_server(
    shared_url: str, shared_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server on the shared database that answers each key once a minute."""
    started = Server(shared_url, tmp_path_factory.mktemp("throttled"), "--rate-limit", "1")
    yield started
    assert started.stop() == 0
