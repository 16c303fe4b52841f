"""Server processes on fresh databases: `tenantry serve`, set up by the commands that a user types, and peers."""

import contextlib
import http.client
import os
import secrets
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

import click
import psycopg

POSTGRES = os.environ.get("TENANTRY_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
TENANTRY = str(Path(sys.executable).with_name("tenantry"))
_ROOT = Path(__file__).parents[1]
_NO_DNS = {"TENANTRY_DNS_SERVERS": "127.0.0.1:1"}
"""Where nobody answers: unless a benchmark says otherwise, no server asks the world about generated domains."""

_PEER = "bench.peers.fastapi_sqlalchemy.app:app"
_BARE = "bench.bare"
ENVIRONMENT = "bench"
_START_SECONDS = 20.0
_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.002
_SHOWN_ERRORS = 3


class NoPostgres(Exception):
    """No PostgreSQL server answers."""


class ServerFailed(Exception):
    """The server did not start, or a command failed; the message holds what it said."""


@contextlib.contextmanager
def fresh_database(engine: str, folder: Path) -> Iterator[str]:
    """Yield the address of an empty database, and drop it afterwards. Raises NoPostgres."""
    if engine == "sqlite":
        yield f"sqlite:///{folder / 'bench.db'}"
        return
    name = f"tenantry_bench_{secrets.token_hex(4)}"
    _postgres(f"CREATE DATABASE {name}")
    try:
        yield _address(name)
    finally:
        _postgres(f"DROP DATABASE {name} WITH (FORCE)")


def _postgres(statement: str, url: str = POSTGRES) -> int:
    """Run a statement; return how many rows it has. Raises NoPostgres."""
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=2) as connection:
            return connection.execute(statement.encode()).rowcount
    except psycopg.OperationalError as error:
        raise NoPostgres(f"No PostgreSQL at {POSTGRES}: {error}") from error


def version(engine: str) -> str:
    """Return name and version of the SQLite that the server uses, or of the PostgreSQL server."""
    if engine == "sqlite":
        return f"SQLite {sqlite3.sqlite_version}"
    with psycopg.connect(POSTGRES) as connection:
        number = connection.info.server_version
        return f"PostgreSQL {number // 10_000}.{number % 10_000}"


def kept_database(name: str, fill: Callable[[str], None]) -> str:
    """Return the address of a database on PostgreSQL that stays; `fill` fills it if it is not there.

    One that was begun and not finished is begun anew. Raises NoPostgres.
    """
    begun = f"{name}_begun"
    if not _postgres(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
        _postgres(f"DROP DATABASE IF EXISTS {begun} WITH (FORCE)")
        _postgres(f"CREATE DATABASE {begun}")
        fill(_address(begun))
        _postgres(f"ALTER DATABASE {begun} RENAME TO {name}")
    return _address(name)


def _address(name: str) -> str:
    return urlsplit(POSTGRES)._replace(path=f"/{name}").geturl()


def settle(database: str) -> None:
    """Bring PostgreSQL's statistics up to date at once, as autovacuum does a minute after a load."""
    if database.startswith("postgresql:"):
        _postgres("VACUUM ANALYZE", database)


def read_all(database: str) -> None:
    """Have the system read all of a database on PostgreSQL, whose own buffers stay as they are."""
    _postgres("CREATE EXTENSION IF NOT EXISTS pg_prewarm", database)
    _postgres(
        "SELECT sum(pg_prewarm(oid, 'read')) FROM pg_class"
        " WHERE relkind IN ('r', 'i', 't') AND relnamespace::regnamespace::text IN ('public', 'pg_toast')",
        database,
    )


def prepare(database: str, settings: Mapping[str, str] = MappingProxyType({})) -> str:
    """Migrate a new database, make an environment and a key; return the key. Raises ServerFailed."""
    migrate(database, settings)
    _tenantry(settings, "environments", "create", ENVIRONMENT, "--database", database)
    return new_key(database, ENVIRONMENT, settings)


def migrate(database: str, settings: Mapping[str, str] = MappingProxyType({})) -> None:
    """Migrate a database. Raises ServerFailed."""
    _tenantry(settings, "migrate", "--database", database)


def new_key(database: str, environment: str, settings: Mapping[str, str] = MappingProxyType({})) -> str:
    """Make a key of an environment; return it. Raises ServerFailed."""
    line = ("keys", "create", "--environment", environment, "--name", "bench", "--database", database)
    return _tenantry(settings, *line)


def _tenantry(settings: Mapping[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [TENANTRY, *arguments], capture_output=True, text=True, check=False, env=os.environ | settings
    )
    if done.returncode != 0:
        raise ServerFailed(f"tenantry {arguments[0]}: {done.stderr}")
    return done.stdout.strip()


class Server:
    """A running server, begun by the command that `line` gives for a port.

    Its log goes to a file in `folder`, as in production; `settings` are environment variables.
    """

    def __init__(self, line: Callable[[int], list[str]], folder: Path, settings: Mapping[str, str]) -> None:
        self._port = free_port()
        self._log = folder / "server.log"
        self.base_url = f"http://127.0.0.1:{self._port}"
        started = time.perf_counter()
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                line(self._port),
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | settings,
            )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise
        self.start_seconds = time.perf_counter() - started

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._answers():
                return
            time.sleep(_POLL_SECONDS)
        raise ServerFailed(f"the server did not start:\n{self._log.read_text()}")

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=1)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    @property
    def pid(self) -> int:
        """The process that was started."""
        return self._process.pid

    @property
    def workers(self) -> list[int]:
        """The processes that answer: those that began no other."""
        return [pid for pid in _tree(self._process.pid) if len(_tree(pid)) == 1]

    def memory(self) -> int:
        """Return the resident bytes of its processes, what they share counted for each."""
        return sum(_resident(pid) for pid in _tree(self._process.pid))

    def largest(self) -> int:
        """Return the resident bytes of its largest process."""
        return max(_resident(pid) for pid in _tree(self._process.pid))

    def processor_seconds(self) -> float:
        """Return the seconds of a processor that its processes have taken."""
        return sum(_processor_seconds(pid) for pid in _tree(self._process.pid))

    def complaints(self) -> str:
        """Return the first errors in its log, which is gone with the folder."""
        with self._log.open(encoding="utf-8") as lines:
            return "".join(islice((line for line in lines if '"level":"error"' in line), _SHOWN_ERRORS))

    def stop(self) -> None:
        """Ask it to stop; end it when it does not."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def serving(
    database: str, folder: Path, settings: Mapping[str, str] = MappingProxyType({}), *, workers: int = 1
) -> Iterator[Server]:
    """Yield Tenantry's server, and stop it afterwards, whatever happened."""

    def line(port: int) -> list[str]:
        return [TENANTRY, "serve", "--database", database, "--port", str(port), "--workers", str(workers)]

    with _running(Server(line, folder, {**_NO_DNS, **settings})) as server:
        yield server


@contextlib.contextmanager
def serving_bare(folder: Path) -> Iterator[Server]:
    """Yield the smallest application on the server that Tenantry runs on; stop it afterwards."""

    def line(port: int) -> list[str]:
        return [sys.executable, "-m", _BARE, "--port", str(port)]

    with _running(Server(line, folder, {"PYTHONPATH": str(_ROOT)})) as server:
        yield server


@contextlib.contextmanager
def serving_dev(folder: Path, *arguments: str) -> Iterator[Server]:
    """Yield the server of `tenantry dev`, its data in memory, which asks no DNS; stop it afterwards."""

    def line(port: int) -> list[str]:
        return [TENANTRY, "dev", "--database", "sqlite://", "--port", str(port), *arguments]

    with _running(Server(line, folder, _NO_DNS)) as server:
        yield server


@contextlib.contextmanager
def serving_peer(database: str, folder: Path, key: str) -> Iterator[Server]:
    """Yield the peer's server, one worker too, which makes its tables and knows one key; stop it afterwards."""

    def line(port: int) -> list[str]:
        return [sys.executable, "-m", "uvicorn", _PEER, "--port", str(port)]

    settings = {"PEER_DATABASE": database, "PEER_KEY": key, "PYTHONPATH": str(_ROOT)}
    with _running(Server(line, folder, settings)) as server:
        yield server


@contextlib.contextmanager
def _running(server: Server) -> Iterator[Server]:
    """Stop a server at the end. What it complained of is shown on failure."""
    try:
        yield server
    except Exception:
        click.echo(server.complaints(), err=True)
        raise
    finally:
        server.stop()


def free_port() -> int:
    """Return a port of this machine at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _tree(pid: int) -> list[int]:
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError):  # a thread may end meanwhile
            for child in children.read_text().split():
                found += _tree(int(child))
    return found


def postgres_processor_seconds() -> float:
    """Return the seconds of a processor that PostgreSQL's processes on this machine have taken.

    Raises ServerFailed when it has none.
    """
    pids = [int(each.parent.name) for each in Path("/proc").glob("[0-9]*/comm") if _comm(each) == "postgres"]
    if not pids:
        raise ServerFailed("PostgreSQL is not on this machine, so what it costs cannot be seen.")
    return sum(_processor_seconds(pid) for pid in pids)


def _comm(file: Path) -> str:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a process may end meanwhile
        return file.read_text().strip()
    return ""


def _processor_seconds(pid: int) -> float:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        # Its name stands in parentheses, and may hold spaces.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) * 1024


def file_system(folder: Path) -> str:
    """Return the type of the file system that `folder` is on, as ext2/ext3 or tmpfs."""
    line = ["stat", "-f", "-c", "%T", str(folder)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    return done.stdout.strip()
