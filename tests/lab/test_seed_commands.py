"""`tenantry dev` begins with a seed, given or found; a wrong one stops it; `seed export` writes one."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from support import Server, client
from tenantry.lab.seeds import read

KEY = "sk_test_default"
SEED = """\
users: []
organizations:
  - {name: Acme, external_id: acme, domains: [{domain: acme.com, state: verified}]}
  - {name: Globex}
webhookEndpoints:
  - {endpoint_url: http://127.0.0.1:9/hook, events: [], secret: whsec_known}
apiKeys: {sk_test_other: {}}
"""


def tenantry(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tenantry", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def seeded(folder: Path, database: str, text: str = SEED) -> Iterator[Server]:
    """Serve what a seed says, then stop as a power cut would."""
    (folder / "tenantry.yaml").write_text(text)
    server = Server(database, folder, "--seed", str(folder / "tenantry.yaml"), command="dev")
    try:
        yield server
    finally:
        server.kill()


def all_of(server: Server) -> list[object]:
    """Return everything that the server shows."""
    with client(server.base_url, KEY) as api:
        pages = [
            api.get("/organizations", params={"limit": 100}),
            api.get("/tenantry/events", params={"limit": 100}),
            api.get("/webhook_endpoints"),
        ]
        return [page.raise_for_status().json() for page in pages]


def test_dev_serves_what_a_seed_says_and_a_restart_changes_nothing(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'kept.db'}"
    with seeded(tmp_path, database) as server:
        before = all_of(server)
    assert "whsec_known" in json.dumps(before)
    with seeded(tmp_path, database) as server:
        assert all_of(server) == before
    log = server.log.read_text()
    assert f"Warning: {tmp_path / 'tenantry.yaml'}, line 1: users is not known here and left out." in log


def test_forks_have_the_seed_and_keys_of_it_open_them(tmp_path: Path) -> None:
    with seeded(tmp_path, "sqlite://") as server, client(server.base_url, KEY) as main:
        fork = main.post("/tenantry/lab/universes", json={}).json()
        identity = main.get("/organizations/external_id/acme").json()["id"]
        main.delete(f"/organizations/{identity}")
        for key in (KEY, "sk_test_other"):
            with client(server.base_url, f"{key}.{fork['id']}") as universe:
                assert universe.get("/organizations/external_id/acme").json()["id"] == identity
                assert universe.get("/webhook_endpoints").json()["data"][0]["secret"] == "whsec_known"


def test_a_wrong_seed_stops_the_start_with_file_line_and_reason(tmp_path: Path) -> None:
    (tmp_path / "tenantry.yaml").write_text(
        "organizations:\n  - name: Acme\n    domains:\n      - domain: co.uk\n"
    )
    done = tenantry("dev", "--database", "sqlite://", "--port", "4999", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: tenantry.yaml, line 4: organizations[0].domains[0] co.uk must not be")


def test_a_seed_that_is_named_must_be_there(tmp_path: Path) -> None:
    done = tenantry("dev", "--database", "sqlite://", "--seed", "nowhere.yaml", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "Error: Cannot read the seed nowhere.yaml: No such file or directory.\n"


def test_a_seed_is_found_under_the_emulators_name_and_ours_counts_before_it(tmp_path: Path) -> None:
    assert (
        tenantry("seed", "check", folder=tmp_path).stderr
        == "Error: There is no seed in this folder. Name a file.\n"
    )
    (tmp_path / "workos-emulate.config.json").write_text("{}")
    assert tenantry("seed", "check", folder=tmp_path).stdout == "workos-emulate.config.json can be used.\n"
    (tmp_path / "workos-emulate.config.yaml").write_text("users: []")
    checked = tenantry("seed", "check", folder=tmp_path)
    assert checked.stdout == "workos-emulate.config.yaml can be used.\n"
    assert checked.stderr == "Warning: workos-emulate.config.yaml, line 1: users is not known here and left out.\n"
    (tmp_path / "tenantry.yaml").write_text("")
    assert tenantry("seed", "check", folder=tmp_path).stdout == "tenantry.yaml can be used.\n"
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\xfa")
    assert "is not UTF-8" in tenantry("seed", "check", "bytes.yaml", folder=tmp_path).stderr


def test_what_is_exported_is_a_seed_of_the_same(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'one.db'}"
    with seeded(tmp_path, database) as server:
        first = all_of(server)[0]
        exported = tenantry("seed", "export", "--database", database, folder=tmp_path)
    assert exported.returncode == 0, exported.stderr
    with seeded(tmp_path, "sqlite://", exported.stdout) as again:
        assert all_of(again)[0] == first
    assert "Warning" not in again.log.read_text()


def test_what_a_universe_holds_is_shown_as_a_seed(universe: httpx.Client) -> None:
    body = {"name": "Made", "domain_data": [{"domain": "made.com", "state": "verified"}], "external_id": "012"}
    made = universe.post("/organizations", json=body).json()
    universe.post("/_emulate/hooks", json={"method": "GET", "path": "/organizations", "status": 503, "count": 2})
    shown = universe.get("/tenantry/lab/seed")
    assert shown.headers["content-type"] == "application/yaml; charset=utf-8"
    seed, left_out = read("tenantry.yaml", shown.text)
    assert left_out == []
    (organization,) = seed.environments[0].organizations
    assert (organization.id, organization.external_id) == (made["id"], "012")
    (hook,) = seed.error_hooks
    assert (hook.status, hook.count) == (503, 2)


def test_an_export_of_what_is_not_there_says_so(tmp_path: Path) -> None:
    assert tenantry("migrate", "--database", "sqlite:///new.db", folder=tmp_path).returncode == 0
    done = tenantry("seed", "export", "--database", "sqlite:///new.db", folder=tmp_path)
    assert done.returncode == 1
    assert "There is no environment 'Development'" in done.stderr
