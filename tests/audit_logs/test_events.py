"""POST /audit_logs/events (wire.md section 6.1)."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from support import Access, Server, client, grant
from tenantry.core.clock import milliseconds_of, system_clock, timestamp
from tenantry.core.db import Database, Row

Json = dict[str, Any]
UNKNOWN = "org_01EHQMYV6MBK39QC5PZXHY59C3"
DAY = 24 * 60 * 60 * 1000


def create(api: httpx.Client, organization_id: str, event: Json, **headers: str) -> httpx.Response:
    body = {"organization_id": organization_id, "event": event}
    return api.post("/audit_logs/events", json=body, headers=headers)


def kept(database: Database, organization_id: str) -> list[Row]:
    return database.read(
        lambda tx: tx.all(
            "SELECT action, version, actor_type, actor_id, occurred_at, wire FROM audit_log_events"
            " JOIN audit_log_trails ON number = trail WHERE organization_id = :id ORDER BY position",
            id=organization_id,
        )
    )


def places(answer: httpx.Response) -> list[str]:
    """Return where an event is not as its schema has it."""
    assert answer.status_code == 400, answer.text
    body = answer.json()
    assert (body["code"], body["message"]) == ("invalid_audit_log_event", "Invalid Audit Log event.")
    return [error["instancePath"] for error in body["errors"]]


def wrong_fields(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [error["field"] for error in answer.json()["errors"]]


def test_an_event_is_kept_as_it_was_sent(
    api: httpx.Client, shared_database: Database, organization_id: str, event: Json
) -> None:
    answer = create(api, organization_id, event)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    ((action, version, actor_type, actor_id, occurred_at, wire),) = kept(shared_database, organization_id)
    assert (action, version, actor_type, actor_id) == ("invoice.paid", 1, "user", "user_1")
    assert occurred_at == event["occurred_at"]
    whole = json.loads(wire)
    assert whole.pop("id").startswith("audit_log_event_")
    assert abs(milliseconds_of(whole.pop("created_at")) - milliseconds_of(occurred_at)) < 60_000
    assert whole == event | {"version": 1, "object": "audit_log_event", "organization_id": organization_id}


def test_each_target_can_be_looked_up(
    api: httpx.Client, shared_database: Database, organization_id: str, event: Json
) -> None:
    create(api, organization_id, event)
    rows = shared_database.read(
        lambda tx: tx.all(
            "SELECT target_type, target_id, occurred_at FROM audit_log_targets"
            " JOIN audit_log_trails ON number = trail WHERE organization_id = :id ORDER BY target_id",
            id=organization_id,
        )
    )
    at = event["occurred_at"]
    assert rows == [("invoice", "invoice_1", at), ("user", "user_2", at)]


def test_a_number_keeps_all_its_digits(
    api: httpx.Client, shared_database: Database, organization_id: str, event: Json
) -> None:
    event["actor"]["metadata"] = {"long": 10**30 + 1, "small": 1e-7, "whole": 12.0}
    assert create(api, organization_id, event).status_code == 200
    ((*_, wire),) = kept(shared_database, organization_id)
    assert b'"metadata":{"long":1000000000000000000000000000001,"small":1e-7,"whole":12}' in wire


def test_the_same_key_makes_one_event(
    api: httpx.Client, shared_database: Database, organization_id: str, event: Json
) -> None:
    for _ in range(3):
        answer = create(api, organization_id, event, **{"idempotency-key": "once"})
        assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert answer.headers["tenantry-idempotent-replay"] == "true"
    assert len(kept(shared_database, organization_id)) == 1
    other = create(api, organization_id, event | {"metadata": {}}, **{"idempotency-key": "once"})
    assert other.status_code == 400


def test_one_key_sent_many_times_at_once_records_one_event(
    api: httpx.Client, shared_database: Database, organization_id: str, event: Json
) -> None:
    with ThreadPoolExecutor(16) as threads:
        answers = list(
            threads.map(
                lambda number: create(api, organization_id, event, **{"idempotency-key": f"key {number % 2}"}),
                range(48),
            )
        )
    assert {answer.status_code for answer in answers} == {200}
    assert len(kept(shared_database, organization_id)) == 2


def test_the_first_events_of_an_organization_may_come_at_once(
    api: httpx.Client, shared_database: Database, organization_id: str, event: Json
) -> None:
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: create(api, organization_id, event), range(48)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(kept(shared_database, organization_id)) == 48


def test_the_same_event_without_a_key_is_another_one(
    api: httpx.Client, shared_database: Database, organization_id: str, event: Json
) -> None:
    create(api, organization_id, event)
    create(api, organization_id, event)
    assert len(kept(shared_database, organization_id)) == 2


def test_an_event_needs_an_organization_that_is_there(
    api: httpx.Client, server: Server, shared_database: Database, organization_id: str, event: Json
) -> None:
    """One of another environment is none, and so is one that was deleted."""
    with client(server.base_url, grant(shared_database).key) as other:
        foreign = other.post("/organizations", json={"name": "Other"}).json()["id"]
    api.delete(f"/organizations/{organization_id}")
    for identity in (UNKNOWN, foreign, organization_id, ""):
        answer = create(api, identity, event)
        assert answer.status_code == 404
        assert answer.json()["message"] == f"Organization not found: '{identity}'."


def test_an_event_needs_an_action_that_is_there(api: httpx.Client, organization_id: str, event: Json) -> None:
    answer = create(api, organization_id, event | {"action": "never.heard_of"})
    assert answer.status_code == 404
    assert answer.json()["message"] == "Audit Log action not found: 'never.heard_of'."


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"actor": {"id": "a", "type": "user", "metadata": {"role": 1}}}, "/actor/metadata/role"),
        ({"targets": [{"id": "a", "type": "team"}]}, "/targets/0/type"),
        ({"targets": [{"id": "a", "type": "invoice"}]}, "/targets/0/metadata"),
        ({"targets": [{"id": "a", "type": "invoice", "metadata": {"cost": "1"}}]}, "/targets/0/metadata/cost"),
        ({"metadata": {"plan": "golden"}}, "/metadata/plan"),
        ({"metadata": {"other": 1}}, "/metadata"),
        ({"version": 2}, "/version"),
    ],
)
def test_what_is_not_as_the_schema_has_it_is_told_with_its_place(
    api: httpx.Client, shared_database: Database, organization_id: str, event: Json, change: Json, path: str
) -> None:
    answer = create(api, organization_id, event | change)
    assert places(answer) == [path]
    (error,) = answer.json()["errors"]
    assert error.keys() == {"instancePath", "schemaPath", "keyword", "params", "message"}
    assert kept(shared_database, organization_id) == []


def test_all_that_is_wrong_is_told_at_once(api: httpx.Client, organization_id: str, event: Json) -> None:
    event |= {
        "actor": {"id": "a", "type": "user", "metadata": {"role": 1}},
        "targets": [{"id": "a", "type": "team"}, {"id": "b", "type": "invoice"}],
        "metadata": {"plan": "golden"},
    }
    found = places(create(api, organization_id, event))
    assert found == ["/actor/metadata/role", "/targets/0/type", "/targets/1/metadata", "/metadata/plan"]


def test_at_most_twenty_wrong_places_are_told(api: httpx.Client, organization_id: str, event: Json) -> None:
    event["targets"] = [{"id": "a", "type": "team"}] * 100
    assert len(places(create(api, organization_id, event))) == 20


def test_what_an_event_holds_is_not_repeated_in_the_answer(
    api: httpx.Client, organization_id: str, event: Json
) -> None:
    answer = create(api, organization_id, event | {"metadata": {"plan": "a secret"}})
    assert "a secret" not in answer.text


@pytest.mark.parametrize(
    "metadata",
    [
        {f"key_{number}": 1 for number in range(51)},
        {"k" * 41: 1},
        {"a key": 1},
        {"key": "v" * 501},
        {"key": None},
        {"key": {"nested": 1}},
        {"key": ["listed"]},
    ],
)
def test_metadata_has_the_limits_of_the_public_document(
    api: httpx.Client, organization_id: str, event: Json, metadata: Json
) -> None:
    """Whatever the schema of its own says: here it says nothing about users."""
    target = {"id": "a", "type": "user", "metadata": metadata}
    (place, *_) = places(create(api, organization_id, event | {"targets": [target]}))
    assert place.startswith("/targets/0/metadata")


@pytest.mark.parametrize(
    "metadata",
    [{}, None, {f"key_{number}": 1 for number in range(50)}, {"k" * 40: "v" * 500, "-": True, "_": 0.5}],
)
def test_metadata_up_to_the_limits_is_taken(
    api: httpx.Client, organization_id: str, event: Json, metadata: Json | None
) -> None:
    target = {"id": "a", "type": "user", "metadata": metadata}
    assert create(api, organization_id, event | {"targets": [target]}).status_code == 200


def test_an_event_is_checked_by_the_version_that_it_names_else_the_newest(
    api: httpx.Client, shared_database: Database, organization_id: str, event: Json
) -> None:
    api.post(f"/audit_logs/actions/{event['action']}/schemas", json={"targets": [{"type": "team"}]})
    assert places(create(api, organization_id, event)) == ["/targets/0/type", "/targets/1/type"]
    assert create(api, organization_id, event | {"version": 1}).status_code == 200
    team = {"targets": [{"id": "a", "type": "team"}]}
    assert create(api, organization_id, event | team).status_code == 200
    assert [row[1] for row in kept(shared_database, organization_id)] == [1, 2]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"action": None}, "event.action"),
        ({"action": ""}, "event.action"),
        ({"action": "a" * 501}, "event.action"),
        ({"occurred_at": "yesterday"}, "event.occurred_at"),
        ({"occurred_at": 17}, "event.occurred_at"),
        ({"actor": {"type": "user"}}, "event.actor.id"),
        ({"actor": {"id": "a", "type": "user", "metadata": []}}, "event.actor.metadata"),
        ({"targets": {}}, "event.targets"),
        ({"targets": [{"id": "a"}]}, "event.targets.0.type"),
        ({"targets": [{"id": "a", "type": "user"}] * 101}, "event.targets"),
        ({"context": {}}, "event.context.location"),
        ({"context": {"location": "l" * 501}}, "event.context.location"),
        ({"context": {"location": "", "user_agent": "u" * 2001}}, "event.context.user_agent"),
        ({"version": 0}, "event.version"),
        ({"version": "1"}, "event.version"),
    ],
)
def test_a_field_that_is_wrong_is_named(
    api: httpx.Client, organization_id: str, event: Json, change: Json, field: str
) -> None:
    assert wrong_fields(create(api, organization_id, event | change)) == [field]


def test_a_field_that_is_missing_is_named(api: httpx.Client, organization_id: str, event: Json) -> None:
    assert wrong_fields(create(api, organization_id, {})) == [
        f"event.{name}" for name in ("action", "occurred_at", "actor", "targets", "context")
    ]


def test_an_event_has_a_size(api: httpx.Client, organization_id: str, event: Json) -> None:
    metadata = {f"key_{number}": "v" * 500 for number in range(50)}
    target = {"id": "a", "type": "user", "metadata": metadata}
    assert create(api, organization_id, event | {"targets": [target] * 2}).status_code == 200
    assert wrong_fields(create(api, organization_id, event | {"targets": [target] * 3})) == ["event"]


@pytest.mark.parametrize(
    ("offset", "says"), [(DAY, "5 minutes in the future"), (-366 * DAY, "within the 365 days")]
)
def test_an_event_must_be_of_a_time_that_can_be(
    api: httpx.Client, organization_id: str, event: Json, offset: int, says: str
) -> None:
    event["occurred_at"] = timestamp(system_clock()() + offset)
    answer = create(api, organization_id, event)
    assert wrong_fields(answer) == ["event.occurred_at"]
    assert says in answer.json()["errors"][0]["code"]


def test_an_event_of_the_past_is_taken_as_long_as_it_would_be_kept(
    api: httpx.Client, organization_id: str, event: Json
) -> None:
    old = event | {"occurred_at": timestamp(system_clock()() - 400 * DAY)}
    assert create(api, organization_id, old).status_code == 422
    api.put(f"/organizations/{organization_id}/audit_logs_retention", json={"retention_period": "2_YEARS"})
    assert create(api, organization_id, old).status_code == 200


def test_a_read_only_key_writes_no_event(
    server: Server, shared_database: Database, access: Access, organization_id: str, event: Json
) -> None:
    with client(server.base_url, grant(shared_database, read_only=True).key) as reader:
        assert create(reader, organization_id, event).status_code == 403
    assert kept(shared_database, organization_id) == []
