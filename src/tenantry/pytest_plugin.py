"""Fixtures for the tests of an app (docs/testing.md). pytest finds them by itself where Tenantry is installed.

Nothing is imported here that pytest has not: who asks for no fixture pays for none.
"""

import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tenantry.testing import LabServer, Universe


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the setting."""
    parser.addini(
        "tenantry_seed", "File with what universes begin with; tenantry.yaml of the root when not given."
    )


@pytest.fixture(scope="session")
def tenantry_server(pytestconfig: pytest.Config) -> Iterator["LabServer"]:
    """A server of `tenantry dev` for the whole run, with pytest-xdist one for each worker."""
    testing = importlib.import_module("tenantry.testing")
    seed = pytestconfig.getini("tenantry_seed")
    root = pytestconfig.rootpath
    server = testing.LabServer(*(["--seed", str(root / seed)] if seed else []), folder=root)
    yield server
    server.stop()


@pytest.fixture
def tenantry_universe(tenantry_server: "LabServer") -> Iterator["Universe"]:
    """A universe of the test's own: a fork of the seeded environment, dropped afterwards."""
    universe = tenantry_server.fork()
    yield universe
    universe.drop()


@pytest.fixture
def workos_client(tenantry_universe: "Universe") -> Any:
    """The official SDK's client of the test's own universe; it needs `pip install workos`."""
    try:
        workos = importlib.import_module("workos")
    except ModuleNotFoundError:
        pytest.fail("workos_client needs the official SDK: pip install workos", pytrace=False)
    return workos.WorkOSClient(api_key=tenantry_universe.api_key, base_url=tenantry_universe.base_url)
