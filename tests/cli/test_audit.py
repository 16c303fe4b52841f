"""`tenantry audit`."""

import subprocess
from pathlib import Path
from random import Random

import pytest

from audit_events import declare, new_organization, random_event, write
from cli.conftest import Tenantry
from support import grant, open_migrated, seal_all
from tenantry.core.clock import system_clock

KEYS = "-----BEGIN PUBLIC KEY-----"


@pytest.fixture
def organization_id(database_url: str) -> str:
    """An organization of the database with five events that are sealed."""
    database = open_migrated(database_url)
    environment_id = grant(database).environment_id
    declare(database, environment_id)
    made = new_organization(database, environment_id)
    random, now = Random(5), system_clock()()
    write(database, environment_id, made, [random_event(random, now - each) for each in range(5)])
    seal_all(database)
    database.close()
    return made


def test_a_database_without_audit_logs_is_told_so(database_url: str, tenantry: Tenantry) -> None:
    done = tenantry("audit", "verify", "--database", database_url)
    assert (done.returncode, done.stdout) == (0, "There are no audit logs.\n")


def test_a_right_database_is_told_by_organization(
    database_url: str, organization_id: str, tenantry: Tenantry
) -> None:
    done = tenantry("audit", "verify", "--database", database_url)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        f"{organization_id}: 5 events are as they were sealed; none is missing from 1 to 5; not signed yet.\n"
    )


def test_the_first_event_that_was_changed_is_told(
    database_url: str, organization_id: str, tenantry: Tenantry
) -> None:
    database = open_migrated(database_url)
    database.write(
        lambda tx: tx.run(
            "DELETE FROM audit_log_events WHERE position = (SELECT MIN(position) FROM audit_log_events) + 2"
        )
    )
    database.close()
    done = tenantry("audit", "verify", "--database", database_url, "--organization", organization_id)
    assert done.returncode == 1
    assert done.stdout == (
        f"{organization_id}: BROKEN. Event 3 is missing: it was deleted, and not by its retention.\n"
    )


def test_an_unknown_organization_has_no_audit_log(database_url: str, tenantry: Tenantry) -> None:
    done = tenantry("audit", "verify", "--database", database_url, "--organization", "org_1")
    assert done.returncode == 1
    assert "Organization org_1 has no audit log here." in done.stderr


def test_the_key_is_made_once_and_printed(database_url: str, tenantry: Tenantry) -> None:
    first = tenantry("audit", "keys", "--database", database_url)
    assert first.returncode == 0, first.stderr
    assert first.stdout.count(KEYS) == 1
    assert tenantry("audit", "keys", "--database", database_url).stdout == first.stdout


def test_a_key_of_ones_own_takes_the_place_of_the_made_one(
    database_url: str, tenantry: Tenantry, tmp_path: Path
) -> None:
    tenantry("audit", "keys", "--database", database_url)
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", tmp_path / "own.pem"], check=True)
    public = subprocess.run(
        ["openssl", "pkey", "-in", tmp_path / "own.pem", "-pubout"], check=True, capture_output=True, text=True
    ).stdout
    done = tenantry("audit", "keys", "--database", database_url, TENANTRY_AUDIT_SIGNING_KEY_FILE="own.pem")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(KEYS) == 2
    assert public in done.stdout


@pytest.mark.parametrize(
    ("text", "says"),
    [(None, "No such file"), ("nonsense", "must be a PEM with a private key"), ("rsa", "must be an Ed25519 key")],
)
def test_a_key_that_is_none_is_told(
    database_url: str, tenantry: Tenantry, tmp_path: Path, text: str | None, says: str
) -> None:
    if text == "rsa":
        subprocess.run(["openssl", "genpkey", "-algorithm", "X25519", "-out", tmp_path / "key.pem"], check=True)
    elif text:
        (tmp_path / "key.pem").write_text(text)
    done = tenantry("audit", "keys", "--database", database_url, TENANTRY_AUDIT_SIGNING_KEY_FILE="key.pem")
    assert done.returncode == 1
    assert "TENANTRY_AUDIT_SIGNING_KEY_FILE is 'key.pem'" in done.stderr
    assert says in done.stderr


def test_a_file_needs_a_key(tenantry: Tenantry, tmp_path: Path) -> None:
    (tmp_path / "export.ndjson").write_text("")
    done = tenantry("audit", "verify", "export.ndjson")
    assert done.returncode == 2
    assert "FILE needs --key" in done.stderr
    (tmp_path / "key.pem").write_text("nonsense")
    done = tenantry("audit", "verify", "export.ndjson", "--key", "key.pem")
    assert done.returncode == 1
    assert "key.pem must be a PEM with a public key." in done.stderr
