"""docs/audit_format.md: what it gives an auditor to type works on a real file, and finds what was changed."""

import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from random import Random

import pytest

from audit_events import declare, exported, new_organization, random_event, write
from support import ROOT, caller_in, grant, seal_all
from tenantry.audit_logs import checkpoints, keys, service
from tenantry.audit_logs.wire import SetAuditLogsRetention
from tenantry.core.db import Database, Transaction

DOCUMENT = (ROOT / "docs/audit_format.md").read_text("utf-8")
DAY = 24 * 60 * 60 * 1000
SECONDS = 60


def code(language: str, beginning: str) -> str:
    """Return the document's code of a language that begins so."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    (found,) = (block for block in blocks if block.startswith(beginning))
    return str(found)


@pytest.fixture
def folder(database: Database, now: list[int], tmp_path: Path) -> Path:
    """A folder with `export.ndjson`, of which retention has removed some, and `key.pem`."""
    environment_id = grant(database).environment_id
    declare(database, environment_id)
    organization_id = new_organization(database, environment_id)
    random = Random(3)
    days = (40, 0, 40, 0, 0, 50, 1)
    write(database, environment_id, organization_id, [random_event(random, now[0] - day * DAY) for day in days])
    seal_all(database)
    body = SetAuditLogsRetention(retention_period_in_days=30)
    database.write(lambda tx: service.set_retention(tx, caller_in(environment_id), organization_id, body))
    while database.write(partial(service.prune, signing_key=None)):
        pass
    write(database, environment_id, organization_id, [random_event(random, now[0])])

    def lines(tx: Transaction) -> list[bytes]:
        checkpoints.sign_now(tx, environment_id, organization_id, None)
        return exported(tx, environment_id, organization_id)

    (tmp_path / "export.ndjson").write_bytes(b"".join(database.write(lines)))
    (tmp_path / "key.pem").write_text(database.read(keys.list_keys).data[0].public_key)
    return tmp_path


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_the_script_finds_a_right_file_right_and_a_changed_one_changed(folder: Path) -> None:
    (folder / "check.py").write_text(code("python", "# check.py"))
    check = [sys.executable, "-I", "check.py", "export.ndjson", "key.pem"]
    done = run(folder, *check)
    assert done.returncode == 0, done.stderr
    assert "6 seals are right" in done.stdout
    assert "not sealed yet: audit_log_event_" in done.stdout
    file = folder / "export.ndjson"
    right = file.read_bytes()
    lines = right.splitlines(keepends=True)
    for changed in (
        right.replace(b'"location":', b'"Location":', 1),
        b"".join([*lines[:2], *lines[3:]]),
        b"".join([*lines[:5], lines[5], *lines[7:]]),
        b"".join([*lines[:2], lines[3], lines[2], *lines[4:]]),
        right.replace(b'"first_sequence":2', b'"first_sequence":3'),
    ):
        assert changed != right
        file.write_bytes(changed)
        assert run(folder, *check).returncode == 1


def test_the_commands_for_one_event_and_the_signature_work(folder: Path) -> None:
    (folder / "by_hand.sh").write_text(code("sh", "sed -n 2p"))
    done = run(folder, "bash", "-e", "by_hand.sh")
    assert done.returncode == 0, done.stderr
    computed, given, verdict = done.stdout.splitlines()
    assert computed.split()[0] == given
    assert verdict == "Signature Verified Successfully"


def test_tenantry_itself_says_the_same(folder: Path) -> None:
    verify = [sys.executable, "-m", "tenantry", "audit", "verify", "export.ndjson", "--key", "key.pem"]
    done = run(folder, *verify)
    assert done.returncode == 0, done.stderr
    assert "4 events are as they were sealed; none is missing from 2 to 7; 2 removed by retention" in done.stdout
    file = folder / "export.ndjson"
    file.write_bytes(file.read_bytes().replace(b'"location":', b'"Location":', 1))
    done = run(folder, *verify)
    assert done.returncode == 1
    assert re.match(
        r"Error: Event 2 \(audit_log_event_\w+\) was changed: its hash is \w+, sealed was", done.stderr
    )
