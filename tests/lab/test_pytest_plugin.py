"""The fixtures for the tests of an app: a server for a run, a universe for a test, the SDK's client in it."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

from support import ROOT
from tenantry.testing import LabServer, Refused

_SECONDS = 120

SUITE = """
    import pytest

    SERVERS = __import__("pathlib").Path(__file__).parent / "servers"

    @pytest.mark.parametrize("number", range(8))
    def test_a_universe_is_the_tests_own(number, workos_client, tenantry_universe, tenantry_server):
        with SERVERS.open("a") as file:
            file.write(f"{tenantry_server.base_url} {tenantry_universe.id}\\n")
        names = [each.name for each in workos_client.organizations.list_organizations().data]
        assert names == ["Seeded"]
        workos_client.organizations.create_organization(name=f"Number {number}")
        assert tenantry_universe.request("GET", "/organizations")["data"][0]["name"] == f"Number {number}"

    def test_thirty_days_of_a_domain(tenantry_server):
        universe = tenantry_server.fork(frozen=True)
        body = {"name": "Acme", "domain_data": [{"domain": "acme.com", "state": "pending"}]}
        domain = universe.request("POST", "/organizations", body)["domains"][0]
        universe.set_dns("acme.com", txt=[domain["verification_prefix"] + "=" + domain["verification_token"]])
        universe.advance("1d")
        assert universe.request("GET", f"/organization_domains/{domain['id']}")["state"] == "verified"

    def test_webhooks_come_into_the_inbox(tenantry_universe):
        body = {"endpoint_url": tenantry_universe.inbox_url, "events": ["organization.created"]}
        tenantry_universe.request("POST", "/webhook_endpoints", body)
        tenantry_universe.request("POST", "/organizations", {"name": "Acme"})
        (message,) = tenantry_universe.inbox(wait=20)
        assert message["signature"]["verdict"] == "valid"

    def test_a_fault_is_met(tenantry_universe):
        tenantry_universe.add_fault(fault="status", status=503, method="GET", path="/organizations", times=1)
        with pytest.raises(AssertionError, match="503"):
            tenantry_universe.request("GET", "/organizations")
        tenantry_universe.request("GET", "/organizations")
        tenantry_universe.reset()
        tenantry_universe.drop()
        tenantry_universe.drop()

    def test_what_the_app_asked_is_told(tenantry_universe):
        tenantry_universe.request("POST", "/organizations", {"name": "Acme"})
        tenantry_universe.assert_requested(operation="organizations.create", body={"name": "Acme"}, times=1)
        with pytest.raises(AssertionError, match='body.name: expected "Globex", was "Acme"'):
            tenantry_universe.assert_requested(operation="organizations.create", body={"name": "Globex"})
        with pytest.raises(AssertionError, match="operation must be the name of an operation"):
            tenantry_universe.assert_requested(operation="organization.create", times=0)
        (created,) = tenantry_universe.requests(body={"name": "Acme"})
        assert created["answer"]["status"] == 201
"""


def run(folder: Path, *arguments: str, suite: str = SUITE) -> subprocess.CompletedProcess[str]:
    """Run pytest on a suite as an app would have it."""
    (folder / "test_app.py").write_text(dedent(suite))
    environment = os.environ | {
        "TENANTRY_PORT": "1",
        "TENANTRY_SEED": "nowhere.yaml",
        "HTTP_PROXY": "http://127.0.0.1:1",
    }
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env=environment | {"NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )


def servers_of(folder: Path) -> set[str]:
    return {line.split()[0] for line in (folder / "servers").read_text().splitlines()}


def is_running(base_url: str) -> bool:
    """Return whether anybody listens at the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(base_url.rpartition(":")[2]))) == 0


@pytest.mark.parametrize(("arguments", "most"), [((), 1), (("-n", "2"), 2)], ids=["one process", "two workers"])
def test_each_test_has_a_universe_and_the_server_is_stopped(
    tmp_path: Path, arguments: tuple[str, ...], most: int
) -> None:
    (tmp_path / "tenantry.yaml").write_text("organizations: [{name: Seeded}]")
    done = run(tmp_path, *arguments)
    assert done.returncode == 0, done.stdout
    assert "12 passed" in done.stdout
    servers = servers_of(tmp_path)
    assert 1 <= len(servers) <= most
    assert not [each for each in servers if is_running(each)]
    universes = [line.split()[1] for line in (tmp_path / "servers").read_text().splitlines()]
    assert len(set(universes)) == 8


def test_the_seed_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"organizations": [{"name": "Other"}]}')
    (tmp_path / "pytest.ini").write_text("[pytest]\ntenantry_seed = other.json\n")
    suite = """
        def test_seed(workos_client):
            assert [each.name for each in workos_client.organizations.list_organizations().data] == ["Other"]
        """
    done = run(tmp_path, suite=suite)
    assert done.returncode == 0, done.stdout


def test_a_seed_that_is_wrong_is_told(tmp_path: Path) -> None:
    (tmp_path / "tenantry.yaml").write_text("organizations: [{name: 3}]")
    done = run(tmp_path, suite="def test_it(tenantry_server): pass")
    assert done.returncode == 1
    assert "line 1: organizations[0].name must be a string" in done.stdout


def test_who_asks_for_no_fixture_pays_nothing() -> None:
    line = [sys.executable, "-X", "importtime", "-c", "import pytest; import tenantry.pytest_plugin"]
    done = subprocess.run(line, capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = [each.rpartition("|")[2].strip() for each in done.stderr.splitlines()]
    assert [each for each in loaded if each.startswith("tenantry")] == ["tenantry", "tenantry.pytest_plugin"]
    assert not {"msgspec", "aiohttp", "subprocess", "urllib.request"} & set(loaded[loaded.index("pytest") + 1 :])


def test_what_a_request_is_refused_for_is_told() -> None:
    server = LabServer()
    with pytest.raises(Refused, match="entity_not_found") as refused:
        server.main.request("GET", "/organizations/org_01EHWNCE74X7JSDV0X3SZ3KJNY")
    assert refused.value.status == 404
    server.stop()


def test_a_server_ends_with_a_run_that_is_killed(tmp_path: Path) -> None:
    suite = """
        import os, pathlib, signal

        def test_it(tenantry_server):
            pathlib.Path("servers").write_text(tenantry_server.base_url)
            os.kill(os.getpid(), signal.SIGKILL)
        """
    assert run(tmp_path, suite=suite).returncode == -signal.SIGKILL
    (base_url,) = servers_of(tmp_path)
    deadline = time.monotonic() + 20
    while is_running(base_url):
        assert time.monotonic() < deadline, "the server is still there"
        time.sleep(0.1)


def test_a_server_that_does_not_start_tells_why() -> None:
    with pytest.raises(RuntimeError, match="--universes is '-1'"):
        LabServer("--universes", "-1")
