"""`tenantry import`, `export` and `diff`."""

import contextlib
import http.server
import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import Access, Server, client
from transfer_places import Fault, faulty

Done = subprocess.CompletedProcess[str]
Tenantry = Callable[..., Done]

ONE = ("--environment", "One")


@pytest.fixture
def at(tenantry: Tenantry, database_url: str) -> Tenantry:
    """Runs `tenantry` on a database that has two environments."""
    for name in ("One", "Two"):
        made = tenantry("environments", "create", name, "--database", database_url)
        assert made.returncode == 0, made.stderr

    def run(*arguments: str, **variables: str) -> Done:
        return tenantry(*arguments, **variables, TENANTRY_DATABASE=database_url)

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
    tried = at("import", file, *ONE, "--dry-run")
    assert tried.returncode == 0, tried.stderr
    assert "Nothing was changed." in tried.stdout
    done = at("import", file, *ONE)
    assert counted(done) == counted(tried)
    assert counted(done) | {"created": 1, "refused": 1, "in all": 2, "domains left out": 1} == counted(done)
    report = [json.loads(line) for line in (tmp_path / "tenantry-import-report.ndjson").read_text().splitlines()]
    assert [(each["place"], each["outcome"], each["field"]) for each in report] == [
        ("1", "created", "domains.0"),
        ("2", "refused", "id"),
    ]
    assert counted(at("import", file, *ONE))["unchanged"] == 1
    assert not (tmp_path / "tenantry-import.checkpoint").exists()


def test_an_export_comes_back_and_diff_finds_nothing_then_what_changed(
    at: Tenantry, database_url: str, tmp_path: Path
) -> None:
    file = lines(tmp_path, *({"external_id": each, "name": f"Acme {each}"} for each in "abc"))
    at("import", file, *ONE)
    assert "3 organizations written to all.ndjson." in at("export", "all.ndjson", *ONE).stderr
    assert counted(at("import", "all.ndjson", "--environment", "Two"))["created"] == 3
    same = at("diff", f"{database_url}#One", f"{database_url}#Two")
    assert (same.returncode, same.stdout) == (0, "")
    assert "3 the same, 0 differ, 0 only in A, 0 only in B." in same.stderr
    at("export", "all.csv", "--environment", "Two")
    table = (tmp_path / "all.csv").read_text().replace("Acme b", "Beta")
    (tmp_path / "all.csv").write_text(table)
    assert counted(at("import", "all.csv", "--environment", "Two"))["updated"] == 1
    changed = at("diff", "all.ndjson", f"{database_url}#Two")
    assert changed.returncode == 1
    assert '    name: "Acme b" | "Beta"' in changed.stdout
    assert at("export", "-", *ONE).stdout == (tmp_path / "all.ndjson").read_text()


def test_an_interrupted_import_goes_on_where_it_stopped(
    at: Tenantry, server: Server, access: Access, tmp_path: Path
) -> None:
    with client(server.base_url, access.key) as api:
        for number in range(120):
            api.post("/organizations", json={"name": f"Acme {number}"})
    asked: list[str] = []
    with faulty(server.base_url, fails_once(asked, 2)) as base_url:
        failed = at("import", base_url, *ONE, WORKOS_API_KEY=access.key)
        assert failed.returncode == 1
        assert "does not give its organizations" in failed.stderr
        done = at("import", base_url, *ONE, WORKOS_API_KEY=access.key)
    assert "Going on after 100 that are done." in done.stdout
    assert counted(done) | {"created": 120, "in all": 120} == counted(done)
    assert len(asked) == 3


WRONG = (
    (("import", "none.ndjson", *ONE), "Cannot read none.ndjson"),
    (("import", "none.ndjson", "--environment", "Three"), "There is no environment 'Three'"),
    (("import", "workos", *ONE), "--key or WORKOS_API_KEY"),
    (("import", "sqlite:///x.db", *ONE), "Say which environment"),
    (("import", "x.csv", *ONE, "--map", "name"), "is not FIELD=COLUMN"),
    (("import", "x.csv", *ONE, "--map", "nmae=N"), "there is no field 'nmae'"),
    (("import", "x.csv", *ONE, "--map", "name=A", "--map", "name=B"), "is named twice"),
    (("import", "x.ndjson", *ONE, "--map", "name=N"), "is for CSV"),
    (("diff", "x.ndjson", "workos", "--map", "name=N"), "is for CSV"),
    (("import", "x.ndjson", *ONE, "--domain-state", "verified"), "is for CSV"),
    (("import", ".", *ONE), "Cannot read .: it is a folder."),
    (("import", "HTTP://[::1", *ONE, "--key", "k"), "is not the address of a server"),
    (("import", "-", *ONE, "--report", "none/r"), "Make it first"),
    (("import", "-", *ONE, "--checkpoint", "none/c"), "Make it first"),
    (("import", "-", *ONE, "--report", "r", "--checkpoint", "./r"), "--report"),
    (("import", "-", *ONE, "--report", "c.part", "--checkpoint", "c"), "--report"),
    (("export", "none/all.ndjson", *ONE), "Make it first"),
    (("export", ".", *ONE), "it is a folder"),
)


def test_what_cannot_be_done_says_what_to_do(at: Tenantry, tmp_path: Path) -> None:
    for arguments, told in WRONG:
        done = at(*arguments)
        assert done.returncode != 0, arguments
        assert told in " ".join(done.stderr.split()), arguments
        assert "Traceback" not in done.stderr, arguments
        assert list(tmp_path.iterdir()) == [], arguments


def test_links_that_lead_in_a_circle_are_told(at: Tenantry, tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("round")
    (tmp_path / "round").symlink_to("circle")
    for arguments in (("export", "circle"), ("import", "circle"), ("import", "-", "--report", "circle")):
        assert "circle: its symbolic links lead in a circle." in at(*arguments, *ONE).stderr, arguments


def test_what_is_read_is_never_written_over(at: Tenantry, tmp_path: Path) -> None:
    file = lines(tmp_path, {"external_id": "a", "name": "Acme"})
    (tmp_path / "link").symlink_to(file)
    (tmp_path / "x.part").write_text((tmp_path / file).read_text())
    for source, name in ((file, file), (file, "link"), ("x.part", "x")):
        for more in (("--report", name), ("--checkpoint", name), ("--report", name, "--dry-run")):
            done = at("import", source, *ONE, *more)
            assert "would be written over the source. Name another file." in done.stderr, more
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link", file, "x.part"]


def test_what_is_no_checkpoint_is_not_written_over(at: Tenantry, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Ana")
    file = lines(tmp_path, {"external_id": "a", "name": "Acme"})
    done = at("import", file, *ONE, "--checkpoint", "letter.txt")
    assert "letter.txt is no checkpoint" in done.stderr
    assert (tmp_path / "letter.txt").read_text() == "Dear Ana"


def test_pipes_are_read_and_written_as_they_stand(at: Tenantry, tmp_path: Path) -> None:
    file = lines(tmp_path, {"external_id": "a", "name": "Acme"}, {"name": "Nobody"})
    for name in ("source", "report", "all"):
        os.mkfifo(tmp_path / name)
    got: dict[str, str] = {}

    def read(name: str) -> threading.Thread:
        thread = threading.Thread(target=lambda: got.update({name: (tmp_path / name).read_text()}), daemon=True)
        thread.start()
        return thread

    text = (tmp_path / file).read_text()
    threading.Thread(target=(tmp_path / "source").write_text, args=(text,), daemon=True).start()
    reading = read("report")
    done = at("import", "source", *ONE, "--report", "report")
    reading.join(20)
    assert counted(done) | {"created": 1, "refused": 1} == counted(done), done.stderr
    assert json.loads(got["report"])["place"] == "2"
    reading = read("all")
    assert at("export", "all", *ONE).returncode == 0
    reading.join(20)
    assert json.loads(got["all"])["name"] == "Acme"
    assert all((tmp_path / name).is_fifo() for name in ("source", "report", "all"))
    (tmp_path / "out").symlink_to("/proc/self/fd/1")
    assert at("export", "out", *ONE).stdout == got["all"]
    assert (tmp_path / "out").is_symlink()


def fails_once(asked: list[str], number: int) -> Fault:
    """Answer the request of that number with a 401."""

    def fault(request: http.server.BaseHTTPRequestHandler) -> bool:
        asked.append(request.path)
        if len(asked) == number:
            request.send_response(401)
            request.send_header("content-length", "0")
            request.end_headers()
        return len(asked) == number

    return fault


def test_an_import_that_fails_tells_what_came_and_a_dry_run_leaves_its_report(
    at: Tenantry, server: Server, access: Access, tmp_path: Path
) -> None:
    with client(server.base_url, access.key) as api:
        for number in range(120):
            api.post("/organizations", json={"name": f"Acme {number}", "external_id": str(number)})
    at("import", lines(tmp_path, *({"external_id": each, "name": "Ours"} for each in ("5", "110"))), *ONE)
    report = tmp_path / "tenantry-import-report.ndjson"
    with faulty(server.base_url, fails_once([], 2)) as base_url:
        arguments = ("import", base_url, *ONE, "--key", access.key)
        failed = at(*arguments)
        assert failed.returncode == 1
        assert counted(failed) | {"created": 99, "refused": 1, "in all": 100} == counted(failed)
        assert f"{report.name} says what could not come" in failed.stdout
        assert "Run the same command to go on." in failed.stdout
        point = json.loads((tmp_path / "tenantry-import.checkpoint").read_text())
        # The database made anew at the same address has another.
        assert point["target"].rpartition("#")[2].startswith("environment_")
        held = report.read_text()
        assert len(held.splitlines()) == 1
        assert at(*arguments, "--dry-run").returncode == 0
        refused = at(*arguments, "--dry-run", "--report", report.name)
        assert "is of an import that is not done" in refused.stderr
        assert report.read_text() == held
        done = at(*arguments)
        assert counted(done) | {"created": 118, "refused": 2, "in all": 120} == counted(done)
        assert len(report.read_text().splitlines()) == 2
    assert sorted(each.name for each in tmp_path.glob("tenantry-*")) == [
        "tenantry-import-dry-run.ndjson",
        report.name,
    ]


def test_after_ctrl_c_what_was_on_its_way_is_counted_once(
    at: Tenantry, database_url: str, server: Server, access: Access, tmp_path: Path
) -> None:
    with client(server.base_url, access.key) as api:
        for number in range(120):
            api.post("/organizations", json={"name": f"Acme {number}"})
    running: list[subprocess.Popen[str]] = []
    ended = threading.Event()

    def fault(request: http.server.BaseHTTPRequestHandler) -> bool:
        if "after" not in request.path or ended.is_set():
            return False
        running[0].send_signal(signal.SIGINT)
        ended.wait(20)
        request.close_connection = True
        return True

    with faulty(server.base_url, fault) as base_url:
        arguments = ("import", base_url, *ONE, "--key", access.key)
        command = [sys.executable, "-m", "tenantry", *arguments, "--database", database_url]
        running.append(
            subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        stdout, stderr = running[0].communicate(timeout=30)
        ended.set()
        assert running[0].returncode == 1
        assert "Interrupted." in stderr
        assert "Traceback" not in stderr
        assert "100  created" in stdout
        assert "Run the same command to go on." in stdout
        done = at(*arguments)
    assert "Going on after 100 that are done." in done.stdout
    assert counted(done) | {"created": 120, "unchanged": 0, "in all": 120} == counted(done)


def test_on_a_terminal_a_table_with_lines_in_its_cells_is_read_to_a_hundred_percent(
    at: Tenantry, database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "some.csv").write_text('external_id,name\na,"two\nlines"\nb,Acme')
    terminal, own = pty.openpty()
    command = [sys.executable, "-m", "tenantry", "import", "some.csv", *ONE, "--database", database_url]
    running = subprocess.Popen(
        command, cwd=tmp_path, env=os.environ | {"TERM": "xterm"}, stdout=subprocess.DEVNULL, stderr=own
    )
    os.close(own)
    shown = b""
    with contextlib.suppress(OSError):  # a terminal that nobody has open any more
        while more := os.read(terminal, 1 << 16):
            shown += more
    os.close(terminal)
    assert running.wait(30) == 0
    assert b" 2 (100 %)" in shown


def test_a_diff_that_is_read_in_part_ends_without_a_word(at: Tenantry, database_url: str, tmp_path: Path) -> None:
    made = [{"external_id": str(number), "name": f"Acme {number}"} for number in range(3000)]
    at("import", lines(tmp_path, *made), *ONE)
    command = [sys.executable, "-m", "tenantry", "diff", f"{database_url}#One", f"{database_url}#Two"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline().startswith("- org_")
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 2


def test_a_diff_that_cannot_read_a_side_ends_with_two(at: Tenantry) -> None:
    assert at("diff", "none.ndjson", "none.ndjson").returncode == 2
