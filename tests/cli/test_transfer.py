"""`tenantry import`, `export` and `diff`."""

import http.server
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import Access, Server, client
from transfer_places import faulty

Done = subprocess.CompletedProcess[str]
Tenantry = Callable[..., Done]


@pytest.fixture
def at(tenantry: Tenantry, migrated_url: str) -> Tenantry:
    """Runs `tenantry` on a database that has two environments."""
    for name in ("One", "Two"):
        made = tenantry("environments", "create", name, "--database", migrated_url)
        assert made.returncode == 0, made.stderr

    def run(*arguments: str, **variables: str) -> Done:
        return tenantry(*arguments, **variables, TENANTRY_DATABASE=migrated_url)

    return run


def lines(folder: Path, *objects: dict[str, Any]) -> str:
    (folder / "some.ndjson").write_text("".join(json.dumps(each) + "\n" for each in objects))
    return "some.ndjson"


def counted(done: Done) -> dict[str, int]:
    rows = [line.split(maxsplit=1) for line in done.stdout.splitlines() if line[:1] == " "]
    return {label: int(count.replace(",", "")) for count, label in rows}


def test_an_import_counts_what_came_of_it_and_reports_what_could_not_come(at: Tenantry, tmp_path: Path) -> None:
    file = lines(
        tmp_path,
        {"external_id": "a", "name": "Acme", "domains": [{"domain": "gmail.com"}]},
        {"name": "Nobody"},
    )
    tried = at("import", file, "--environment", "One", "--dry-run")
    assert tried.returncode == 0, tried.stderr
    assert "Nothing was changed." in tried.stdout
    done = at("import", file, "--environment", "One")
    assert counted(done) == counted(tried)
    assert counted(done) | {"created": 1, "refused": 1, "in all": 2, "domains left out": 1} == counted(done)
    report = [json.loads(line) for line in (tmp_path / "tenantry-import-report.ndjson").read_text().splitlines()]
    assert [(each["place"], each["outcome"], each["field"]) for each in report] == [
        ("1", "created", "domains.0"),
        ("2", "refused", "id"),
    ]
    assert counted(at("import", file, "--environment", "One"))["unchanged"] == 1
    assert not (tmp_path / "tenantry-import.checkpoint").exists()


def test_an_export_comes_back_and_diff_finds_nothing_then_what_changed(
    at: Tenantry, migrated_url: str, tmp_path: Path
) -> None:
    file = lines(tmp_path, *({"external_id": each, "name": f"Acme {each}"} for each in "abc"))
    at("import", file, "--environment", "One")
    assert "3 organizations written to all.ndjson." in at("export", "all.ndjson", "--environment", "One").stderr
    assert counted(at("import", "all.ndjson", "--environment", "Two"))["created"] == 3
    same = at("diff", f"{migrated_url}#One", f"{migrated_url}#Two")
    assert (same.returncode, same.stdout) == (0, "")
    assert "3 the same, 0 differ, 0 only in A, 0 only in B." in same.stderr
    at("export", "all.csv", "--environment", "Two")
    table = (tmp_path / "all.csv").read_text().replace("Acme b", "Beta")
    (tmp_path / "all.csv").write_text(table)
    assert counted(at("import", "all.csv", "--environment", "Two"))["updated"] == 1
    changed = at("diff", "all.ndjson", f"{migrated_url}#Two")
    assert changed.returncode == 1
    assert '    name: "Acme b" | "Beta"' in changed.stdout
    assert at("export", "-", "--environment", "One").stdout == (tmp_path / "all.ndjson").read_text()


def test_an_interrupted_import_goes_on_where_it_stopped(
    at: Tenantry, server: Server, access: Access, tmp_path: Path
) -> None:
    with client(server.base_url, access.key) as api:
        for number in range(120):
            api.post("/organizations", json={"name": f"Acme {number}"})
    asked: list[str] = []

    def fault(request: http.server.BaseHTTPRequestHandler) -> bool:
        asked.append(request.path)
        if len(asked) == 2:
            request.send_response(401)
            request.send_header("content-length", "0")
            request.end_headers()
        return len(asked) == 2

    with faulty(server.base_url, fault) as base_url:
        failed = at("import", base_url, "--environment", "One", WORKOS_API_KEY=access.key)
        assert failed.returncode == 1
        assert "does not give its organizations" in failed.stderr
        done = at("import", base_url, "--environment", "One", WORKOS_API_KEY=access.key)
    assert "Going on after 100 that are done." in done.stdout
    assert counted(done) | {"created": 120, "in all": 120} == counted(done)
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("import", "none.ndjson", "--environment", "One"), "Cannot read none.ndjson"),
        (("import", "none.ndjson", "--environment", "Three"), "There is no environment 'Three'"),
        (("import", "workos", "--environment", "One"), "--key or WORKOS_API_KEY"),
        (("import", "sqlite:///x.db", "--environment", "One"), "Say which environment"),
        (("import", "x.csv", "--environment", "One", "--map", "name"), "is not FIELD=COLUMN"),
    ],
)
def test_what_cannot_be_done_says_what_to_do(at: Tenantry, arguments: tuple[str, ...], told: str) -> None:
    done = at(*arguments)
    assert done.returncode != 0
    assert told in done.stderr


def test_a_diff_that_cannot_read_a_side_ends_with_two(at: Tenantry) -> None:
    assert at("diff", "none.ndjson", "none.ndjson").returncode == 2
