"""What Tenantry itself does to an organization, written to its audit log by a setting."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, LiteralString

import msgspec
import pytest

from support import Server, caller_in, client, grant, open_migrated, wait_until_served
from tenantry.audit_logs import following
from tenantry.audit_logs.following import Chosen, chosen_by
from tenantry.core.caller import Caller
from tenantry.core.db import Database
from tenantry.domains.wire import DomainData, DomainName
from tenantry.organizations import service as organizations
from tenantry.organizations.wire import CreateOrganization, Organization, UpdateOrganization

Json = dict[str, Any]
EVERY = chosen_by("*")
_SECONDS = 20.0


def follow(database: Database, chosen: Chosen = EVERY) -> None:
    """Write all there is to write."""
    wait_until_served(database)
    while waiting := database.read(lambda tx: following.waiting(tx, chosen)):
        for environment_id in waiting:
            database.write(lambda tx, each=environment_id: following.follow(tx, each, chosen))  # type: ignore[misc]


def written(database: Database) -> list[Json]:
    rows = database.read(lambda tx: tx.all("SELECT wire FROM audit_log_events ORDER BY position"))
    return [msgspec.json.decode(row[0]) for row in rows]


def actions(database: Database) -> list[str]:
    return [event["action"] for event in written(database)]


def create(database: Database, caller: Caller, **body: Any) -> str:
    wanted = CreateOrganization(**{"name": "Acme"} | body)
    made = database.write(lambda tx: organizations.create(tx, caller, wanted))
    return msgspec.json.decode(made, type=Organization).id


def update(database: Database, caller: Caller, organization_id: str, **body: Any) -> None:
    wanted = UpdateOrganization(**body)
    database.write(lambda tx: organizations.update(tx, caller, organization_id, wanted))


@pytest.fixture
def caller(database: Database) -> Caller:
    """Who calls in an environment that is followed."""
    follow(database)
    return caller_in(grant(database).environment_id)


def test_who_did_what_to_an_organization_is_written(database: Database, caller: Caller) -> None:
    organization_id = create(database, caller)
    update(database, caller, organization_id, name="New", external_id="17")
    follow(database)
    created, updated = written(database)
    assert created["action"] == "tenantry.organization.created"
    assert updated == {
        "object": "audit_log_event",
        "id": updated["id"],
        "organization_id": organization_id,
        "action": "tenantry.organization.updated",
        "version": 1,
        "occurred_at": updated["occurred_at"],
        "created_at": updated["created_at"],
        "actor": {"id": "api_key_1", "type": "api_key", "name": "tests"},
        "targets": [{"id": organization_id, "type": "organization", "name": "New"}],
        "context": {"location": "api_key"},
        "metadata": {"event_id": updated["metadata"]["event_id"], "changed": "name, external_id"},
    }
    assert updated["metadata"]["event_id"].startswith("event_")


def test_domains_and_a_deletion_are_written_too(database: Database, caller: Caller) -> None:
    domain = DomainName("acme.com")
    organization_id = create(database, caller, domain_data=[DomainData(domain, "pending")])
    update(database, caller, organization_id, domain_data=[DomainData(domain, "verified")])
    database.write(lambda tx: organizations.delete(tx, caller, organization_id))
    follow(database)
    assert sorted(actions(database)) == [
        "tenantry.organization.created",
        "tenantry.organization.deleted",
        "tenantry.organization.updated",
        "tenantry.organization_domain.created",
        "tenantry.organization_domain.deleted",
        "tenantry.organization_domain.verified",
    ]
    (verified,) = [each for each in written(database) if each["action"].endswith("verified")]
    assert [(each["type"], each.get("name")) for each in verified["targets"]] == [
        ("organization_domain", "acme.com"),
        ("organization", None),
    ]


def test_each_event_is_written_once(database: Database, caller: Caller) -> None:
    for number in range(230):  # more than are written in one transaction
        create(database, caller, name=str(number))
    follow(database)
    follow(database)
    assert len(written(database)) == 230


def test_the_command_line_is_told_from_a_key(database: Database, caller: Caller) -> None:
    named = msgspec.structs.replace(caller, key_id="command_line", key_name="command line")
    create(database, named)
    follow(database)
    assert written(database)[0]["actor"] == {
        "id": "command_line",
        "type": "command_line",
        "name": "command line",
    }


def test_it_begins_with_what_happens_after_it_is_set(database: Database) -> None:
    caller = caller_in(grant(database).environment_id)
    create(database, caller)
    follow(database)
    create(database, caller)
    follow(database)
    assert actions(database) == ["tenantry.organization.created"]


def test_an_environment_made_later_is_followed_from_its_first_event(database: Database) -> None:
    follow(database)
    create(database, caller_in(grant(database).environment_id))
    follow(database)
    assert actions(database) == ["tenantry.organization.created"]


def test_only_the_environments_that_are_named_are_followed(database: Database, caller: Caller) -> None:
    names = database.read(
        lambda tx: tx.all("SELECT name FROM environments WHERE id = :id", id=caller.environment_id)
    )
    create(database, caller)
    follow(database, chosen_by("other"))
    assert actions(database) == []
    create(database, caller)
    follow(database, chosen_by(f"other, {names[0][0]}"))
    assert actions(database) == ["tenantry.organization.created"]


def test_what_happens_while_it_is_off_is_not_written_later(database: Database, caller: Caller) -> None:
    follow(database, chosen_by(""))
    create(database, caller)
    follow(database, chosen_by(""))
    follow(database)
    assert actions(database) == []


def wait_for(look: Callable[[], Any]) -> Any:
    """Return what `look` finds once that is something."""
    deadline = time.monotonic() + _SECONDS
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def test_a_server_writes_it_by_a_setting(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENANTRY_AUDIT_OWN_CHANGES", "*")
    database = open_migrated(database_url)
    server = Server(database_url, tmp_path)
    begun: LiteralString = "SELECT 1 FROM audit_log_places"
    wait_for(lambda: database.read(lambda tx: tx.one(begun)))
    with client(server.base_url, grant(database).key) as api:
        query = {"organization_id": api.post("/organizations", json={"name": "Acme"}).json()["id"]}
        found = wait_for(lambda: api.get("/tenantry/audit_logs/events", params=query).json()["data"])
        forged = api.post(
            "/audit_logs/actions/tenantry.organization.updated/schemas", json={"targets": [{"type": "user"}]}
        )
    assert [each["action"] for each in found] == ["tenantry.organization.created"]
    assert (forged.status_code, forged.json()["errors"][0]["field"]) == (422, "action")
    assert server.stop() == 0
    database.close()
