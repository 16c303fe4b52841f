"""Fixtures: each test that touches a database runs on SQLite and on PostgreSQL."""

import os
from collections.abc import Iterator

import httpx
import hypothesis
import pytest

import dns_server
import support
from dns_server import NameServers
from support import (
    IN_CI,
    Access,
    Server,
    client,
    fresh_database_url,
    grant,
    open_migrated,
    postgres_url,
    wait_until_served,
)
from tenantry.core.db import Database, World

ENGINES = ("sqlite", "postgres")

# No test is judged by the clock: a busy machine is not a bug.
hypothesis.settings.register_profile("tenantry", deadline=None)
hypothesis.settings.load_profile("tenantry")


@pytest.fixture(scope="session")
def postgres() -> str | None:
    return postgres_url()


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest, postgres: str | None) -> str:
    name: str = request.param
    if name == "postgres":
        _need_postgres(postgres)
    return name


def _need_postgres(postgres: str | None) -> None:
    if postgres is None and IN_CI:
        pytest.fail("CI must have PostgreSQL: none at TENANTRY_TEST_POSTGRES, 127.0.0.1:5432 or its socket")
    if postgres is None:
        pytest.skip("NO POSTGRESQL: set TENANTRY_TEST_POSTGRES or start a local server")


@pytest.fixture(scope="session")
def name_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NameServers]:
    """Real name servers and a resolver in front of them, which tests share; each makes zones of its own there."""
    if missing := dns_server.missing():
        if IN_CI:
            pytest.fail(f"CI must have BIND: {', '.join(missing)} not found")
        pytest.skip("NO NAME SERVER: install bind9")
    started = NameServers(tmp_path_factory.mktemp("dns"))
    yield started
    started.stop()


@pytest.fixture
def database_url(engine: str, postgres: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a migrated database of the test's own."""
    with fresh_database_url(engine, tmp_path_factory.mktemp("database"), postgres) as url:
        yield url


@pytest.fixture
def empty_database_url(
    engine: str, postgres: str | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of a database of the test's own that is not migrated yet."""
    with support.empty_database_url(engine, tmp_path_factory.mktemp("database"), postgres) as url:
        yield url


@pytest.fixture
def now() -> list[int]:
    """The time of the test's own database, in milliseconds: the one item, which a test may set."""
    return [1_800_000_000_000]


@pytest.fixture
def database(database_url: str, now: list[int]) -> Iterator[Database]:
    """A migrated database of the test's own, whose clock stands still."""
    opened = open_migrated(database_url, World(lambda: now[0], os.urandom))
    yield opened
    opened.close()


@pytest.fixture
def postgres_only_url(postgres: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a migrated database of the test's own, for what is of PostgreSQL alone."""
    _need_postgres(postgres)
    with fresh_database_url("postgres", tmp_path_factory.mktemp("database"), postgres) as url:
        yield url


@pytest.fixture
def postgres_only(postgres_only_url: str) -> Iterator[Database]:
    """That database."""
    opened = open_migrated(postgres_only_url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def shared_url(engine: str, postgres: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the database that the shared server serves."""
    with fresh_database_url(engine, tmp_path_factory.mktemp("shared"), postgres) as url:
        yield url


@pytest.fixture(scope="session")
def shared_database(shared_url: str) -> Iterator[Database]:
    """The shared server's database, seen from the test."""
    opened = open_migrated(shared_url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def server(
    shared_url: str, shared_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A real server process that tests share; each has an environment of its own in it."""
    started = Server(shared_url, tmp_path_factory.mktemp("server"))
    yield started
    assert started.stop() == 0


@pytest.fixture
def access(shared_database: Database) -> Access:
    """A fresh environment of the shared server, with a key."""
    return grant(shared_database)


@pytest.fixture
def api(server: Server, access: Access, shared_database: Database) -> Iterator[httpx.Client]:
    """An HTTP client in an environment of the test's own, which asks for events once all of them are served."""

    def settle(request: httpx.Request) -> None:
        if request.url.path.startswith(("/events", "/tenantry")):
            wait_until_served(shared_database)

    with client(server.base_url, access.key) as opened:
        opened.event_hooks["request"].append(settle)
        yield opened


@pytest.fixture
def unique_api(server: Server, shared_database: Database) -> Iterator[httpx.Client]:
    """An HTTP client in an environment where a domain belongs to one organization only."""
    with client(server.base_url, grant(shared_database, domain_policy="unique").key) as opened:
        yield opened


def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes run the tests: more than processors, since a good part of them wait.

    Each has some ten connections to PostgreSQL, which by default allows a hundred.
    """
    return min(2 * (os.cpu_count() or 1), 8)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        reasons = sorted({str(report.longrepr[2]) for report in skipped})
        terminalreporter.section("NOT TESTED", sep="!", red=True, bold=True)
        for reason in reasons:
            terminalreporter.write_line(reason)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skipped test is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if IN_CI and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
