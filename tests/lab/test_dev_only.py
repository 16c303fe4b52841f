"""The lab exists only under `tenantry dev`."""

from pathlib import Path

import httpx
import pytest

from support import Server, open_migrated
from tenantry.app import endpoints
from tenantry.core.endpoints import Endpoint
from tenantry.lab.api import RESOURCE


@pytest.mark.parametrize("endpoint", RESOURCE.endpoints, ids=lambda endpoint: endpoint.name)
def test_serve_has_none_of_its_routes(endpoint: Endpoint, api: httpx.Client) -> None:
    unknown = api.request(endpoint.method, "/tenantry/nothing-is-here")
    answered = api.request(endpoint.method, endpoint.path.replace("{", "").replace("}", ""))
    assert answered.status_code == unknown.status_code == 404
    assert answered.json() == unknown.json()


def test_no_operation_of_serve_is_the_labs() -> None:
    assert {endpoint.path for endpoint in endpoints()}.isdisjoint(each.path for each in RESOURCE.endpoints)


def test_serve_loads_nothing_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'tenantry.db'}"
    open_migrated(url).close()
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    server = Server(url, tmp_path)
    assert server.stop() == 0
    loaded = [line.rpartition("|")[2].strip() for line in server.log.read_text().splitlines() if "|" in line]
    assert "tenantry.server" in loaded
    assert not [name for name in loaded if name.startswith(("tenantry.lab", "tenantry.dev"))]
