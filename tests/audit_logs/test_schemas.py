"""/audit_logs/actions and their schemas (wire.md section 6.2)."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from support import Server, caller_in, client, grant
from tenantry.audit_logs import service
from tenantry.audit_logs.wire import AuditLogSchemaTarget, CreateAuditLogSchema
from tenantry.core.db import Database

Json = dict[str, Any]
TARGETS = [{"type": "user"}]


def create(api: httpx.Client, action: str = "user.signed_in", **body: Any) -> httpx.Response:
    return api.post(f"/audit_logs/actions/{action}/schemas", json={"targets": TARGETS} | body)


def wrong_fields(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [error["field"] for error in answer.json()["errors"]]


def test_the_first_schema_makes_the_action(api: httpx.Client) -> None:
    metadata = {"type": "object", "properties": {"role": {"type": "string"}}}
    answer = create(api, actor={"metadata": metadata}, metadata=metadata)
    assert answer.status_code == 201
    schema = answer.json()
    assert schema == {
        "object": "audit_log_schema",
        "version": 1,
        "actor": {"metadata": metadata},
        "targets": TARGETS,
        "metadata": metadata,
        "created_at": schema["created_at"],
    }
    (action,) = api.get("/audit_logs/actions").json()["data"]
    assert action == {
        "object": "audit_log_action",
        "name": "user.signed_in",
        "schema": schema,
        "created_at": schema["created_at"],
        "updated_at": schema["created_at"],
    }


def test_what_is_not_given_is_not_shown(api: httpx.Client) -> None:
    body = create(api, actor=None, metadata=None, targets=[{"type": "user", "metadata": None}]).json()
    assert body.keys() == {"object", "version", "targets", "created_at"}
    assert body["targets"] == TARGETS


def test_each_schema_is_the_next_version_and_the_older_stay(api: httpx.Client) -> None:
    made = [create(api, targets=[{"type": each}]).json() for each in "abc"]
    assert [schema["version"] for schema in made] == [1, 2, 3]
    listed = api.get("/audit_logs/actions/user.signed_in/schemas", params={"order": "asc"}).json()["data"]
    assert listed == made
    (action,) = api.get("/audit_logs/actions").json()["data"]
    assert action["schema"] == made[-1]
    assert action["created_at"] == made[0]["created_at"]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_lead_on_to_each_other(api: httpx.Client, order: str) -> None:
    for number in range(5):
        create(api, f"action.{number}")
        create(api, "paged", targets=[{"type": str(number)}])
    assert names_of(api, "/audit_logs/actions", order) == ordered(
        ["action.0", "paged", *(f"action.{number}" for number in range(1, 5))], order
    )
    versions = [schema["version"] for schema in walk(api, "/audit_logs/actions/paged/schemas", order)]
    assert versions == ordered([1, 2, 3, 4, 5], order)


def names_of(api: httpx.Client, path: str, order: str) -> list[str]:
    return [action["name"] for action in walk(api, path, order)]


def ordered(items: list[Any], order: str) -> list[Any]:
    return items if order == "asc" else items[::-1]


def walk(api: httpx.Client, path: str, order: str) -> list[Json]:
    found: list[Json] = []
    after = None
    while True:
        query = {"limit": "2", "order": order} | ({"after": after} if after else {})
        page = api.get(path, params=query).json()
        found += page["data"]
        after = page["list_metadata"]["after"]
        if after is None:
            return found


def test_a_page_leads_back_too(api: httpx.Client) -> None:
    for number in range(3):
        create(api, f"action.{number}")
    first = api.get("/audit_logs/actions", params={"limit": 1, "order": "asc"}).json()
    after = first["list_metadata"]["after"]
    second = api.get("/audit_logs/actions", params={"limit": 1, "order": "asc", "after": after}).json()
    before = second["list_metadata"]["before"]
    again = api.get("/audit_logs/actions", params={"limit": 1, "order": "asc", "before": before}).json()
    assert again["data"] == first["data"]


def test_the_schemas_of_an_unknown_action_are_not_found(api: httpx.Client) -> None:
    answer = api.get("/audit_logs/actions/unknown/schemas")
    assert answer.status_code == 404
    assert answer.json()["message"] == "Audit Log action not found: 'unknown'."


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"targets": []}, "targets"),
        ({"targets": None}, "targets"),
        ({"targets": [{"type": "a"}, {"type": "a"}]}, "targets"),
        ({"targets": [{"type": str(each)} for each in range(101)]}, "targets"),
        ({"targets": [{}]}, "targets.0.type"),
        ({"targets": [{"type": "a", "metadata": {"type": "text"}}]}, "targets.0.metadata"),
        ({"actor": {}}, "actor.metadata"),
        ({"actor": {"metadata": {"properties": 1}}}, "actor.metadata"),
        ({"metadata": {"properties": {"a": {"pattern": "["}}}}, "metadata"),
        ({"metadata": {"$ref": "#"}}, "metadata"),
        ({"metadata": {"properties": {"a": {"$ref": "https://schemas.invalid/a"}}}}, "metadata"),
        ({"metadata": {"description": "x" * 65536}}, "targets"),
    ],
)
def test_a_schema_that_is_none_is_refused_by_field(api: httpx.Client, body: Json, field: str) -> None:
    assert wrong_fields(create(api, **body)) == [field]
    assert api.get("/audit_logs/actions").json()["data"] == []


def test_a_schema_nested_too_deeply_is_refused(api: httpx.Client) -> None:
    deep: Json = {}
    for _ in range(30):
        deep = {"not": deep}
    assert wrong_fields(create(api, metadata=deep)) == ["metadata"]


def test_the_name_of_an_action_has_a_limit(api: httpx.Client) -> None:
    assert create(api, "a" * 500).status_code == 201
    assert wrong_fields(create(api, "a" * 501)) == ["action"]


def test_actions_are_those_of_the_environment(
    api: httpx.Client, server: Server, shared_database: Database
) -> None:
    create(api)
    with client(server.base_url, grant(shared_database).key) as other:
        assert other.get("/audit_logs/actions").json()["data"] == []
        assert other.get("/audit_logs/actions/user.signed_in/schemas").status_code == 404
        assert create(other).json()["version"] == 1


def test_schemas_made_at_once_have_versions_of_their_own(database: Database) -> None:
    """The version is counted in the row of the action, where writers wait for each other."""
    made = made_at_once(database, 8)
    assert sorted(made) == list(range(1, 9))


def made_at_once(database: Database, number: int) -> list[int]:
    caller = caller_in(grant(database).environment_id)
    body = CreateAuditLogSchema(targets=[AuditLogSchemaTarget(type="user")])

    def create_one(_: int) -> int:
        return database.write(lambda tx: service.create_schema(tx, caller, "a", body)).version

    with ThreadPoolExecutor(4) as threads:
        return list(threads.map(create_one, range(number)))
