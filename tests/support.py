"""What tests are built from: databases, server processes, environments with a key."""

import atexit
import contextlib
import itertools
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

import httpx
import msgspec
import psycopg

from tenantry.audit_logs import sealing
from tenantry.core.caller import Caller, DomainPolicy
from tenantry.core.db import Database, Transaction, World, migrate, open_database
from tenantry.environments import service as environments
from tenantry.server import system_world

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT.parent / "shared" / "reference"
IN_CI = os.environ.get("CI") == "true"
NO_DNS = {"TENANTRY_DNS_SERVERS": "127.0.0.1:1"}
"""Where nobody answers: unless a test says otherwise, no server of the tests asks the world about domains."""

_FIRST_PORT, _PORTS, _SPANS = 12_000, 2_000, 10  # below those that the system gives to whoever asks for any
_START_SECONDS = 20.0
_SETTLE_SECONDS = 20.0
_UNSETTLED = """
    SELECT 1 FROM events
    WHERE transaction_id >= pg_snapshot_xmin(pg_current_snapshot())::text::bigint LIMIT 1
"""
_POSTGRES_PLACES = (
    "postgresql://postgres@127.0.0.1:5432/postgres",
    "postgresql:///postgres?host=/var/run/postgresql",
)


def postgres_url() -> str | None:
    """Return where tests find PostgreSQL: `TENANTRY_TEST_POSTGRES`, else a local server, else None."""
    given = os.environ.get("TENANTRY_TEST_POSTGRES")
    for url in (given,) if given else _POSTGRES_PLACES:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(url, connect_timeout=2).close()
            return url
    return None


@contextlib.contextmanager
def empty_database_url(engine: str, folder: Path, postgres: str | None) -> Iterator[str]:
    """Yield the address of an empty database of its own, and drop it afterwards. On PostgreSQL it is a schema."""
    if engine == "sqlite":
        yield f"sqlite:///{folder / f'{secrets.token_hex(4)}.db'}"
        return
    assert postgres is not None
    schema = f"tenantry_test_{secrets.token_hex(6)}"
    _run(postgres, f"CREATE SCHEMA {schema}")
    separator = "&" if "?" in postgres else "?"
    try:
        yield f"{postgres}{separator}options={quote(f'-csearch_path={schema}')}"
    finally:
        _run(postgres, f"DROP SCHEMA {schema} CASCADE")


@contextlib.contextmanager
def fresh_database_url(engine: str, folder: Path, postgres: str | None) -> Iterator[str]:
    """Yield the address of a migrated database of its own, and drop it afterwards.

    It is a copy: to make one by migrations takes ten times as long.
    """
    if engine == "sqlite":
        path = folder / f"{secrets.token_hex(4)}.db"
        path.write_bytes(_migrated_file())
        yield f"sqlite:///{path}"
        return
    assert postgres is not None
    with _postgres_database(postgres, f" TEMPLATE {_migrated_database(postgres)}") as name:
        yield _in_database(postgres, name)


@cache
def _migrated_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "migrated.db"
        open_migrated(f"sqlite:///{path}").close()
        return path.read_bytes()


@cache
def _migrated_database(postgres: str) -> str:
    """Return the name of a migrated database that copies are made of, which is there until the process ends."""
    made = contextlib.ExitStack()
    atexit.register(made.close)
    name = made.enter_context(_postgres_database(postgres))
    open_migrated(_in_database(postgres, name)).close()
    return name


@contextlib.contextmanager
def _postgres_database(postgres: str, like: str = "") -> Iterator[str]:
    name = f"tenantry_test_{secrets.token_hex(6)}"
    _run(postgres, f"CREATE DATABASE {name}{like}")
    try:
        yield name
    finally:
        _run(postgres, f"DROP DATABASE {name} WITH (FORCE)")


def _in_database(postgres: str, name: str) -> str:
    """Return the address of another database of the same server."""
    place, question, options = postgres.partition("?")
    return place[: place.rindex("/") + 1] + name + question + options


def _run(postgres: str, statement: str) -> None:
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(statement.encode())


def open_migrated(url: str, world: World | None = None) -> Database:
    """Return the database at `url` with all migrations."""
    database = open_database(url, world or system_world())
    migrate.apply(database)
    return database


@dataclass(frozen=True)
class Access:
    """A fresh environment and a key that opens it."""

    environment_id: str
    key: str


def grant(database: Database, *, read_only: bool = False, domain_policy: DomainPolicy = "exclusive") -> Access:
    """Make an environment of its own, with a key."""

    def work(tx: Transaction) -> Access:
        name = f"test-{secrets.token_hex(6)}"
        environment = environments.create_environment(tx, name, slug="acme", domain_policy=domain_policy)
        _, secret = environments.create_key(tx, environment, "tests", read_only=read_only)
        return Access(environment.id, secret)

    return database.write(work)


def caller_in(environment_id: str, domain_policy: DomainPolicy = "exclusive") -> Caller:
    """Return who calls in an environment, as the tests' own key would."""
    return Caller(environment_id, "acme", domain_policy, "api_key_1", "tests", read_only=False)


def events_of(database: Database, environment_id: str) -> list[dict[str, object]]:
    """Return all events of an environment, in order, as they would go over the wire."""
    rows = database.read(
        lambda tx: tx.all(
            "SELECT wire FROM events WHERE environment_id = :environment_id ORDER BY position",
            environment_id=environment_id,
        )
    )
    return [msgspec.json.decode(row[0]) for row in rows]


def wait_until_served(database: Database) -> None:
    """Wait until every event that is committed is served.

    On PostgreSQL that is when no transaction begun before the last event's is under way,
    in any database of the server: tests that run at the same time hold each other back.
    """
    if database.engine == "sqlite":
        return
    deadline = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < deadline:
        if database.read(lambda tx: tx.one(_UNSETTLED)) is None:
            return
        time.sleep(0.01)
    raise AssertionError("a transaction has held the events back for too long")


_UNSEALED = """
    SELECT 1 FROM audit_log_events e
    WHERE NOT EXISTS (SELECT 1 FROM audit_log_seals s WHERE s.position = e.position) LIMIT 1
"""


def seal_all(database: Database) -> None:
    """Seal every audit log event, once no transaction that was begun before its own is under way."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < deadline:
        while database.write(sealing.seal):
            pass
        if database.read(lambda tx: tx.one(_UNSEALED)) is None:
            return
        time.sleep(0.01)
    raise AssertionError("a transaction has held the seals back for too long")


@cache
def _own_ports() -> Iterator[int]:
    """Return ports for ever, of a span of this process's own.

    The system gives none of them to a connection that goes out or to a socket that asks for
    any, so that nobody takes one between its choice and its use.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = _FIRST_PORT + worker % _SPANS * _PORTS
    begin = os.getpid() % _PORTS  # of two runs on one machine each begins elsewhere
    return itertools.cycle(first + (begin + step) % _PORTS for step in range(_PORTS))


def free_port() -> int:
    """Return a port on which nothing listens, and which this process has not lately been given."""
    for port in _own_ports():
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("ports do not end")


def wait_for_port(port: int) -> None:
    """Wait until something listens on a port of this machine."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError(f"nothing listens on {port}")


class Server:
    """A real server process on a database; its log is in `log`."""

    def __init__(
        self, database_url: str, folder: Path, *arguments: str, command: str = "serve", port: int | None = None
    ) -> None:
        self.port = port or free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"server-{self.port}.log"
        self._output = self.log.open("wb")
        line = [sys.executable, "-m", "tenantry", command, "--database", database_url, "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*line, *arguments], stdout=self._output, stderr=subprocess.STDOUT, env=NO_DNS | os.environ
        )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.base_url}/ready").status_code == 200:
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        self.kill()
        raise AssertionError(f"the server did not start:\n{self.log.read_text()}")

    def settled_memory(self) -> int:
        """Return the memory that the process holds, in bytes, once it has stayed within 1 MiB for a second."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        since, held = time.monotonic(), self._resident()
        while time.monotonic() - since < 1 and time.monotonic() < deadline:
            time.sleep(0.05)
            if abs(self._resident() - held) > 1 << 20:
                since, held = time.monotonic(), self._resident()
        return held

    def _resident(self) -> int:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))

    def kill(self) -> None:
        """End the process as a power cut would."""
        self.process.kill()
        self.process.wait()
        self._output.close()

    def stop(self) -> int:
        """Ask the process to stop; return its exit code, or raise TimeoutExpired after 20 seconds."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(20)
        finally:
            self.kill()
        return code


def client(base_url: str, key: str) -> httpx.Client:
    """Return an HTTP client that sends `key`."""
    return httpx.Client(base_url=base_url, headers={"authorization": f"Bearer {key}"}, timeout=20)
