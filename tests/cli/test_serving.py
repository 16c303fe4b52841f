"""`tenantry dev` and `tenantry serve`."""

import contextlib
import json
import re
import shlex
import socket
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from support import Access, Server, client, free_port, grant, open_migrated
from tenantry.environments import service as environments

Tenantry = Callable[..., subprocess.CompletedProcess[str]]

DEFAULT_KEY = "sk_test_default"
_SECONDS = 20


def list_status(server: Server, key: str) -> int:
    with client(server.base_url, key) as api:
        return api.get("/organizations").status_code


def log_lines(server: Server) -> list[dict[str, object]]:
    """Return the requests in a server's log, once they are there."""
    lines = [line for line in server.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in map(json.loads, lines) if line["event"] == "request"]


def test_serve_refuses_an_unmigrated_database_and_says_how_to_mend_it(
    tenantry: Tenantry, empty_database_url: str
) -> None:
    refused = tenantry("serve", "--database", empty_database_url, "--port", str(free_port()))
    assert refused.returncode == 1
    assert f"tenantry migrate --database {shlex.quote(empty_database_url)}" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_serve_refuses_a_database_in_memory(tenantry: Tenantry) -> None:
    refused = tenantry("serve", "--database", "sqlite://")
    assert refused.returncode == 1
    assert "sqlite:///path" in refused.stderr


def test_serve_has_no_default_key(database_url: str, tmp_path: Path) -> None:
    server = Server(database_url, tmp_path)
    assert list_status(server, DEFAULT_KEY) == 401
    assert server.stop() == 0


def test_a_port_in_use_is_told_with_what_to_do(tenantry: Tenantry, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = tenantry("dev", "--database", "sqlite://", "--port", port)
    assert refused.returncode == 1
    assert f"127.0.0.1:{port}" in refused.stderr
    assert "--port" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_sqlite_is_served_by_one_process(tenantry: Tenantry) -> None:
    refused = tenantry("serve", "--database", "sqlite:///x.db", "--workers", "2", "--port", str(free_port()))
    assert refused.returncode == 1
    assert "--workers 1" in refused.stderr
    assert "postgresql://" in refused.stderr


@pytest.mark.parametrize("database", ["sqlite://", "postgresql://nobody@127.0.0.1:1/none"])
def test_dev_is_one_process(tenantry: Tenantry, database: str) -> None:
    refused = tenantry("dev", "--database", database, "--workers", "2", "--port", str(free_port()))
    assert refused.returncode == 1
    assert "--workers 1" in refused.stderr


@pytest.mark.parametrize("engine", ["postgres"], indirect=True, scope="session")
def test_a_revoked_key_is_refused_at_once_by_every_worker(database_url: str, tmp_path: Path) -> None:
    database = open_migrated(database_url)
    access = grant(database)
    server = Server(database_url, tmp_path, "--workers", "2")
    assert {list_status(server, access.key) for _ in range(30)} == {200}
    [key] = database.read(environments.list_keys)
    database.write(lambda tx: environments.revoke_key(tx, key.id))
    database.close()
    assert {list_status(server, access.key) for _ in range(30)} == {401}
    assert server.stop() == 0


def test_dev_prints_a_base_url_a_key_and_curl_lines_that_work(tmp_path: Path) -> None:
    server = Server("sqlite://", tmp_path, command="dev")
    printed = server.log.read_text()
    assert f"base URL  {server.base_url}" in printed
    assert f"API key   {DEFAULT_KEY}" in printed
    answered = [
        json.loads(
            subprocess.run(
                [*shlex.split(line), "--silent", "--fail"], capture_output=True, timeout=_SECONDS, check=True
            ).stdout
        )
        for line in printed.splitlines()
        if line.strip().startswith("curl ")
    ]
    assert [each["object"] for each in answered] == ["list", "universe"]
    assert server.stop() == 0


def test_dev_that_listens_everywhere_tells_where_this_machine_reaches_it(tmp_path: Path) -> None:
    server = Server("sqlite://", tmp_path, "--host", "0.0.0.0", command="dev")
    assert f"base URL  {server.base_url}" in server.log.read_text()
    with client(server.base_url, DEFAULT_KEY) as api:
        assert api.post("/tenantry/lab/universes").json()["base_url"] == server.base_url
    assert server.stop() == 0


def test_dev_takes_another_key(tmp_path: Path) -> None:
    server = Server("sqlite://", tmp_path, "--api-key", "sk_mine", command="dev")
    assert list_status(server, "sk_mine") == 200
    assert list_status(server, DEFAULT_KEY) == 401
    assert server.stop() == 0


def test_dev_keeps_its_data_between_starts(empty_database_url: str, tmp_path: Path) -> None:
    server = Server(empty_database_url, tmp_path, command="dev")
    with client(server.base_url, DEFAULT_KEY) as api:
        created = api.post("/organizations", json={"name": "Acme"}).json()
    assert server.stop() == 0
    server = Server(empty_database_url, tmp_path, command="dev")
    with client(server.base_url, DEFAULT_KEY) as api:
        assert api.get(f"/organizations/{created['id']}").json() == created
    assert server.stop() == 0


def test_dev_in_memory_keeps_nothing(tmp_path: Path) -> None:
    server = Server("sqlite://", tmp_path, command="dev")
    with client(server.base_url, DEFAULT_KEY) as api:
        assert api.post("/organizations", json={"name": "Acme"}).status_code == 201
    own = folder_of(server)
    assert (own / "dev.db").exists()
    assert server.stop() == 0
    assert not own.exists()


def folder_of(server: Server) -> Path:
    """Return the folder in memory of a server of `tenantry dev`, whose lock it holds."""
    [lock] = {file.readlink() for file in Path(f"/proc/{server.process.pid}/fd").iterdir() if is_lock(file)}
    return lock.parent


def is_lock(file: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return file.readlink().name == "lock"
    return False


def test_what_a_killed_dev_leaves_in_memory_the_next_one_deletes_and_nobody_elses(tmp_path: Path) -> None:
    running = Server("sqlite://", tmp_path, command="dev")
    killed = Server("sqlite://", tmp_path, command="dev")
    left = folder_of(killed)
    killed.kill()
    other = Server("sqlite://", tmp_path, command="dev")
    assert not left.exists()
    assert folder_of(running).exists()
    assert list_status(running, DEFAULT_KEY) == 200
    assert running.stop() == 0
    assert other.stop() == 0


def test_a_stop_ends_with_exit_code_zero_and_no_error_in_the_log(database_url: str, tmp_path: Path) -> None:
    server = Server(database_url, tmp_path)
    assert list_status(server, DEFAULT_KEY) == 401
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()
    assert "error" not in {line["level"] for line in log_lines(server)}


def test_each_request_has_one_log_line_with_the_id_of_its_answer(
    server: Server, access: Access, api: httpx.Client
) -> None:
    answer = api.post("/organizations", json={"name": f"Acme {uuid.uuid4()}"})
    deadline = time.monotonic() + _SECONDS
    found: list[dict[str, object]] = []
    while not found and time.monotonic() < deadline:
        found = [line for line in log_lines(server) if line["request_id"] == answer.headers["x-request-id"]]
    [line] = found
    assert line["operation"] == "organizations.create"
    assert line["method"] == "POST"
    assert line["status"] == 201
    assert line["key"] == "tests"
    duration = line["duration_ms"]
    assert isinstance(duration, float)
    assert 0 < duration < 60_000
    assert access.key not in server.log.read_text()


def test_a_refused_key_is_not_logged(server: Server) -> None:
    secret = f"sk_{uuid.uuid4()}"
    assert list_status(server, secret) == 401
    assert secret not in server.log.read_text()


def test_the_log_is_readable_when_asked(tmp_path: Path) -> None:
    server = Server("sqlite://", tmp_path, "--log-format", "console", command="dev")
    assert list_status(server, DEFAULT_KEY) == 200
    assert server.stop() == 0
    assert log_lines(server) == []
    assert re.search(
        r"200 GET +organizations\.list +[\d.]+ ms  development  [0-9a-f-]{36}", server.log.read_text()
    )
