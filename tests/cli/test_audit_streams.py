"""`tenantry audit streams`: what a person does about where events are sent, with or without a server running."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit_events import new_organization
from cli.conftest import Tenantry
from support import open_migrated
from tenantry.environments import service as environments

Json = dict[str, Any]
SPLUNK = {"type": "Splunk", "splunk": {"url": "https://203.0.113.7:8088", "token": "a-token-of-theirs"}}
Streams = Callable[..., str]


@pytest.fixture
def organization_id(database_url: str) -> str:
    database = open_migrated(database_url)
    row = database.write(lambda tx: environments.create_environment(tx, "Production"))
    made = new_organization(database, row.id)
    database.close()
    return made


@pytest.fixture
def streams(tenantry: Tenantry, database_url: str, organization_id: str) -> Streams:
    """Runs `tenantry audit streams` and returns what it prints: on standard error, when it `fails`."""

    def run(*arguments: str, fails: bool = False) -> str:
        place = ("--environment", "Production", "--database", database_url)
        # Where the addresses of documentation may be sent to.
        sends = arguments[0] in {"add", "update"}
        allowed = ("--webhook-allowed-networks", "203.0.113.0/24") if sends else ()
        done = tenantry("audit", "streams", *arguments, *place, *allowed)
        assert (done.returncode == 1) is fails, done.stderr
        return done.stderr if fails else done.stdout

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[[object], str]:
    """Writes a value to a file and returns its path."""

    def to_file(value: object) -> str:
        file = tmp_path / "stream.json"
        file.write_text(json.dumps(value))
        return str(file)

    return to_file


@pytest.fixture
def stream(streams: Streams, write: Callable[[object], str], organization_id: str) -> Json:
    """A stream to Splunk that was added by the command."""
    made: Json = json.loads(streams("add", organization_id, write(SPLUNK)))
    return made


def test_a_stream_is_added_by_what_a_file_says_and_shown_without_its_credentials(
    streams: Streams, stream: Json, organization_id: str
) -> None:
    shown = streams("show", stream["id"])
    assert json.loads(shown) == stream
    assert (stream["organization_id"], stream["type"], stream["state"]) == (organization_id, "Splunk", "active")
    assert "a-token-of-theirs" not in shown
    listed = streams("list", organization_id)
    assert stream["id"] in listed
    assert "https://203.0.113.7:8088" in listed


def test_a_stream_is_switched_off_and_on_and_sent_elsewhere(
    streams: Streams, stream: Json, write: Callable[[object], str]
) -> None:
    off = json.loads(streams("update", stream["id"], "--state", "inactive", "--batch-seconds", "9"))
    assert (off["state"], off["batch_seconds"]) == ("inactive", 9)
    to = {"splunk": {"url": "https://203.0.113.8:8088", "token": "another-token"}}
    on = json.loads(streams("update", stream["id"], write(to), "--state", "active"))
    assert (on["state"], on["splunk"]["url"]) == ("active", "https://203.0.113.8:8088")


def test_a_stream_is_tested_and_removed(streams: Streams, stream: Json, organization_id: str) -> None:
    streams("test", stream["id"])
    assert json.loads(streams("show", stream["id"]))["test"]["state"] == "pending"
    assert streams("remove", stream["id"]) == f"{stream['id']} is deleted.\n"
    assert stream["id"] not in streams("list", organization_id)
    assert "not found" in streams("show", stream["id"], fails=True)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"type": "Splunk"}, "splunk must be given with the type Splunk"),
        ({"type": "Carrier pigeon"}, "type must be one of the following values"),
        (
            {"type": "Splunk", "splunk": {"url": "http://203.0.113.7", "token": "t"}},
            "splunk.url cannot be sent to",
        ),
        (["no", "object"], "is not a JSON object"),
    ],
)
def test_what_is_wrong_is_told_by_field(
    streams: Streams, write: Callable[[object], str], organization_id: str, body: object, says: str
) -> None:
    assert says in streams("add", organization_id, write(body), fails=True)
