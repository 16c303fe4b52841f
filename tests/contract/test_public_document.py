"""Every answer is valid against the public API document, or its difference stands in the ledger."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import jsonschema
import pytest
import yaml
from differences import UNLISTED_CODES, UNLISTED_STATUSES

from support import IN_CI, REFERENCE, Server, client, grant
from tenantry.app import public_operations
from tenantry.core.clock import system_clock, timestamp
from tenantry.core.db import Database

DOCUMENT = REFERENCE / "workos-openapi.yaml"
UNKNOWN = "org_01EHQMYV6MBK39QC5PZXHY59C3"
FULL = {
    "name": "Acme",
    "allow_profiles_outside_organization": True,
    "domains": ["legacy.com"],
    "domain_data": [{"domain": "a.com", "state": "pending"}, {"domain": "b.com", "state": "verified"}],
    "metadata": {"tier": "gold"},
    "external_id": "17",
}

Json = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Json:
    if not DOCUMENT.exists():
        reason = "NO PUBLIC DOCUMENT: put workos-openapi.yaml into ../shared/reference to check the contract"
        if IN_CI:
            pytest.fail(reason)
        pytest.skip(reason)
    loaded: Json = yaml.load(DOCUMENT.read_text("utf-8"), Loader=yaml.CSafeLoader)
    return loaded


@dataclass(frozen=True)
class Clients:
    """The callers whose answers are checked, each in an environment of its own."""

    full: httpx.Client
    reader: httpx.Client
    unique: httpx.Client
    nobody: httpx.Client


@pytest.fixture
def clients(server: Server, shared_database: Database) -> Iterator[Clients]:
    with (
        client(server.base_url, grant(shared_database).key) as full,
        client(server.base_url, grant(shared_database, read_only=True).key) as reader,
        client(server.base_url, grant(shared_database, domain_policy="unique").key) as unique,
        client(server.base_url, "sk_unknown") as nobody,
    ):
        yield Clients(full, reader, unique, nobody)


Answers = Iterator[tuple[str, str, httpx.Response]]


def list_answers(clients: Clients) -> Answers:
    for number in range(3):
        clients.full.post("/organizations", json=FULL | {"external_id": str(number)})
    for query in ("", "?limit=1", "?order=desc&limit=1", "?domains=a.com", "?search=nothing"):
        yield "GET", "/organizations", clients.full.get(f"/organizations{query}")
    for query in ("?limit=abc", "?order=up", "?after=x", "?limit=0&before=y"):
        yield "GET", "/organizations", clients.full.get(f"/organizations{query}")
    yield "GET", "/organizations", clients.nobody.get("/organizations")


def create_answers(clients: Clients) -> Answers:
    path, full = "/organizations", clients.full
    text, large = {"content-type": "text/plain"}, b'"' + b"a" * (1 << 20) + b'"'
    yield "POST", path, full.post(path, json=FULL)
    yield "POST", path, full.post(path, json={"name": "Acme"})
    yield "POST", path, full.post(path, json={"name": "Acme", "external_id": "17"})
    yield "POST", path, full.post(path, json={"name": "Acme", "metadata": {"k": 1}})
    yield "POST", path, full.post(path, json={"name": 1, "domains": "x"})
    yield "POST", path, full.post(path, content=b"{")
    yield "POST", path, full.post(path, content=b"x", headers=text)
    yield "POST", path, full.post(path, content=large)
    clients.unique.post(path, json={"name": "Holder", "domains": ["a.com"]})
    yield "POST", path, clients.unique.post(path, json={"name": "Other", "domains": ["a.com"]})
    yield "POST", path, clients.reader.post(path, json={"name": "Acme"})
    yield "POST", path, clients.nobody.post(path, json={"name": "Acme"})


def get_answers(clients: Clients) -> Answers:
    path, external = "/organizations/{id}", "/organizations/external_id/{external_id}"
    made = clients.full.post("/organizations", json=FULL | {"external_id": "found"}).json()
    yield "GET", path, clients.full.get(f"/organizations/{made['id']}")
    yield "GET", path, clients.full.get(f"/organizations/{UNKNOWN}")
    yield "GET", path, clients.nobody.get(f"/organizations/{UNKNOWN}")
    yield "GET", external, clients.full.get("/organizations/external_id/found")
    yield "GET", external, clients.full.get("/organizations/external_id/unknown")
    yield "GET", external, clients.nobody.get("/organizations/external_id/unknown")


def update_answers(clients: Clients) -> Answers:
    template, full = "/organizations/{id}", clients.full
    made, other = (full.post("/organizations", json=FULL | {"external_id": each}).json() for each in "ab")
    path = f"/organizations/{made['id']}"
    yield "PUT", template, full.put(path, json=FULL | {"stripe_customer_id": "cus_1"})
    yield "PUT", template, full.put(path, json={})
    yield "PUT", template, full.put(path, json={"external_id": "b"})
    yield "PUT", template, full.put(f"/organizations/{other['id']}", json={"stripe_customer_id": "cus_1"})
    yield "PUT", template, full.put(path, json={"metadata": {"k": "v" * 601}})
    yield "PUT", template, full.put(path, json={"name": 1})
    yield "PUT", template, full.put(path, content=b"{")
    yield "PUT", template, full.put(path, content=b"x", headers={"content-type": "text/plain"})
    yield "PUT", template, full.put(path, content=b'"' + b"a" * (1 << 20) + b'"')
    yield "PUT", template, full.put(f"/organizations/{UNKNOWN}", json={})
    clients.unique.post("/organizations", json={"name": "Holder", "domains": ["a.com"]})
    free = clients.unique.post("/organizations", json={"name": "Other"}).json()
    yield "PUT", template, clients.unique.put(f"/organizations/{free['id']}", json={"domains": ["a.com"]})
    yield "PUT", template, clients.reader.put(path, json={})
    yield "PUT", template, clients.nobody.put(path, json={})


def delete_answers(clients: Clients) -> Answers:
    template = "/organizations/{id}"
    made = clients.full.post("/organizations", json=FULL | {"external_id": "deleted"}).json()
    yield "DELETE", template, clients.reader.delete(f"/organizations/{made['id']}")
    yield "DELETE", template, clients.nobody.delete(f"/organizations/{made['id']}")
    yield "DELETE", template, clients.full.delete(f"/organizations/{made['id']}")
    yield "DELETE", template, clients.full.delete(f"/organizations/{made['id']}")


WEBHOOK = {"endpoint_url": "https://receiver.invalid/hook", "events": ["organization.created"]}
UNKNOWN_WEBHOOK = "we_01EHQMYV6MBK39QC5PZXHY59C3"


def webhook_list_answers(clients: Clients) -> Answers:
    path = "/webhook_endpoints"
    for number in range(3):
        clients.full.post(path, json=WEBHOOK | {"endpoint_url": f"https://{number}.invalid"})
    for query in ("", "?limit=1", "?order=asc&limit=2"):
        yield "GET", path, clients.full.get(path + query)
    yield "GET", path, clients.full.get(f"{path}?limit=abc")
    yield "GET", path, clients.nobody.get(path)


def webhook_create_answers(clients: Clients) -> Answers:
    path, full = "/webhook_endpoints", clients.full
    yield "POST", path, full.post(path, json=WEBHOOK)
    yield "POST", path, full.post(path, json=WEBHOOK)
    yield "POST", path, full.post(path, json=WEBHOOK | {"endpoint_url": "https://127.0.0.1"})
    yield "POST", path, full.post(path, json=WEBHOOK | {"events": ["nothing.happened"]})
    yield "POST", path, full.post(path, json=WEBHOOK | {"events": []})
    yield "POST", path, full.post(path, json={})
    yield "POST", path, full.post(path, content=b"{")
    yield "POST", path, full.post(path, content=b"x", headers={"content-type": "text/plain"})
    yield "POST", path, full.post(path, content=b'"' + b"a" * (1 << 20) + b'"')
    yield "POST", path, clients.reader.post(path, json=WEBHOOK)
    yield "POST", path, clients.nobody.post(path, json=WEBHOOK)


def webhook_update_answers(clients: Clients) -> Answers:
    template, full = "/webhook_endpoints/{id}", clients.full
    made, other = (
        full.post("/webhook_endpoints", json=WEBHOOK | {"endpoint_url": f"https://{each}.invalid"}).json()
        for each in "ab"
    )
    path = f"/webhook_endpoints/{made['id']}"
    yield "PATCH", template, full.patch(path, json={"status": "disabled", "events": ["user.created"]})
    yield "PATCH", template, full.patch(path, json={"endpoint_url": other["endpoint_url"]})
    yield "PATCH", template, full.patch(path, json={"endpoint_url": "https://localhost"})
    yield "PATCH", template, full.patch(path, json={"events": ["nothing.happened"]})
    yield "PATCH", template, full.patch(path, json={"status": 1})
    yield "PATCH", template, full.patch(path, content=b"{")
    yield "PATCH", template, full.patch(path, content=b"x", headers={"content-type": "text/plain"})
    yield "PATCH", template, full.patch(path, content=b'"' + b"a" * (1 << 20) + b'"')
    yield "PATCH", template, full.patch(f"/webhook_endpoints/{UNKNOWN_WEBHOOK}", json={})
    yield "PATCH", template, clients.reader.patch(path, json={})
    yield "PATCH", template, clients.nobody.patch(path, json={})


def webhook_delete_answers(clients: Clients) -> Answers:
    template = "/webhook_endpoints/{id}"
    body = WEBHOOK | {"endpoint_url": "https://deleted.invalid"}
    made = clients.full.post("/webhook_endpoints", json=body).json()
    yield "DELETE", template, clients.reader.delete(f"/webhook_endpoints/{made['id']}")
    yield "DELETE", template, clients.nobody.delete(f"/webhook_endpoints/{made['id']}")
    yield "DELETE", template, clients.full.delete(f"/webhook_endpoints/{made['id']}")
    yield "DELETE", template, clients.full.delete(f"/webhook_endpoints/{made['id']}")


UNKNOWN_DOMAIN = "org_domain_01EHQMYV6MBK39QC5PZXHY59C3"


def domain_create_answers(clients: Clients) -> Answers:
    path, full = "/organization_domains", clients.full
    body = {
        "organization_id": full.post("/organizations", json={"name": "Acme"}).json()["id"],
        "domain": "new.com",
    }
    yield "POST", path, full.post(path, json=body)
    yield "POST", path, full.post(path, json=body)
    yield "POST", path, full.post(path, json=body | {"organization_id": UNKNOWN})
    yield "POST", path, full.post(path, json=body | {"domain": "new"})
    yield "POST", path, full.post(path, content=b"{")
    yield "POST", path, full.post(path, content=b"x", headers={"content-type": "text/plain"})
    yield "POST", path, full.post(path, content=b'"' + b"a" * (1 << 20) + b'"')
    yield "POST", path, clients.reader.post(path, json=body)
    yield "POST", path, clients.nobody.post(path, json=body)


def domain_answers(clients: Clients) -> Answers:
    template, full = "/organization_domains/{id}", clients.full
    made = full.post("/organizations", json=FULL | {"external_id": "domains"}).json()
    _, pending, verified = made["domains"]
    at_verified, at_pending = (f"/organization_domains/{each['id']}" for each in (verified, pending))
    yield "GET", template, full.get(at_verified)
    yield "GET", template, full.get(at_pending)
    yield "GET", template, full.get(f"/organization_domains/{UNKNOWN_DOMAIN}")
    yield "GET", template, clients.nobody.get(at_pending)
    verify = f"{template}/verify"
    yield "POST", verify, full.post(f"{at_pending}/verify")
    yield "POST", verify, full.post(f"{at_verified}/verify")
    yield "POST", verify, full.post(f"/organization_domains/{UNKNOWN_DOMAIN}/verify")
    yield "POST", verify, clients.reader.post(f"{at_pending}/verify")
    yield "POST", verify, clients.nobody.post(f"{at_pending}/verify")
    yield "DELETE", template, clients.reader.delete(at_pending)
    yield "DELETE", template, clients.nobody.delete(at_pending)
    yield "DELETE", template, full.delete(at_pending)
    yield "DELETE", template, full.delete(at_pending)


AUDIT_SCHEMA = {
    "actor": {"metadata": {"type": "object"}},
    "targets": [{"type": "user", "metadata": {"type": "object"}}],
    "metadata": {"type": "object", "required": ["plan"]},
}
TEXT, LARGE = {"content-type": "text/plain"}, b'"' + b"a" * (1 << 20) + b'"'


def audit_schema_answers(clients: Clients) -> Answers:
    template, actions, full = "/audit_logs/actions/{actionName}/schemas", "/audit_logs/actions", clients.full
    path = "/audit_logs/actions/user.signed_in/schemas"
    yield "POST", template, full.post(path, json=AUDIT_SCHEMA)
    yield "POST", template, full.post(path, json={"targets": [{"type": "user"}]})
    yield "POST", template, full.post(path, json={"targets": []})
    yield "POST", template, full.post(path, content=b"{")
    yield "POST", template, full.post(path, content=b"x", headers=TEXT)
    yield "POST", template, full.post(path, content=LARGE)
    yield "POST", template, clients.reader.post(path, json=AUDIT_SCHEMA)
    yield "POST", template, clients.nobody.post(path, json=AUDIT_SCHEMA)
    yield "GET", template, full.get(path)
    yield "GET", template, full.get(f"{path}?limit=1&order=asc")
    yield "GET", template, full.get(f"{path}?limit=abc")
    yield "GET", template, full.get("/audit_logs/actions/unknown/schemas")
    yield "GET", template, clients.nobody.get(path)
    full.post("/audit_logs/actions/user.signed_out/schemas", json=AUDIT_SCHEMA)
    yield "GET", actions, full.get(actions)
    yield "GET", actions, full.get(f"{actions}?limit=1")
    yield "GET", actions, full.get(f"{actions}?limit=abc")
    yield "GET", actions, clients.nobody.get(actions)


def audit_event_answers(clients: Clients) -> Answers:
    path, full = "/audit_logs/events", clients.full
    full.post("/audit_logs/actions/user.signed_in/schemas", json=AUDIT_SCHEMA)
    event = {
        "action": "user.signed_in",
        "occurred_at": timestamp(system_clock()()),
        "actor": {"id": "user_1", "type": "user"},
        "targets": [{"id": "user_1", "type": "user"}],
        "context": {"location": "192.0.2.1"},
        "metadata": {"plan": "paid"},
    }
    organization_id = full.post("/organizations", json={"name": "Acme"}).json()["id"]
    body = {"organization_id": organization_id, "event": event}
    yield "POST", path, full.post(path, json=body)
    yield "POST", path, full.post(path, json=body | {"event": event | {"metadata": {}}})
    yield "POST", path, full.post(path, json=body | {"event": event | {"action": "unknown"}})
    yield "POST", path, full.post(path, json=body | {"event": event | {"occurred_at": "2001-01-01T00:00:00Z"}})
    yield "POST", path, full.post(path, json=body | {"organization_id": UNKNOWN})
    yield "POST", path, full.post(path, json={})
    yield "POST", path, full.post(path, content=b"{")
    yield "POST", path, full.post(path, content=b"x", headers=TEXT)
    yield "POST", path, full.post(path, content=LARGE)
    yield "POST", path, clients.reader.post(path, json=body)
    yield "POST", path, clients.nobody.post(path, json=body)


def audit_retention_answers(clients: Clients) -> Answers:
    retention, configuration = (
        f"/organizations/{{id}}/{each}" for each in ("audit_logs_retention", "audit_log_configuration")
    )
    organization_id = clients.full.post("/organizations", json={"name": "Acme"}).json()["id"]
    path, days = retention.format(id=organization_id), {"retention_period_in_days": 30}
    yield "GET", retention, clients.full.get(path)
    yield "PUT", retention, clients.full.put(path, json=days)
    yield "PUT", retention, clients.full.put(path, json={"retention_period": "1_YEAR"})
    yield "PUT", retention, clients.full.put(path, json={"retention_period_in_days": 31})
    yield "PUT", retention, clients.full.put(retention.format(id=UNKNOWN), json=days)
    yield "PUT", retention, clients.full.put(path, content=b"{")
    yield "PUT", retention, clients.full.put(path, content=b"x", headers=TEXT)
    yield "PUT", retention, clients.full.put(path, content=LARGE)
    yield "PUT", retention, clients.reader.put(path, json=days)
    yield "PUT", retention, clients.nobody.put(path, json=days)
    for template in (retention, configuration):
        yield "GET", template, clients.full.get(template.format(id=organization_id))
        yield "GET", template, clients.full.get(template.format(id=UNKNOWN))
        yield "GET", template, clients.nobody.get(template.format(id=organization_id))


def audit_export_answers(clients: Clients) -> Answers:
    path, template, full = "/audit_logs/exports", "/audit_logs/exports/{auditLogExportId}", clients.full
    organization_id = full.post("/organizations", json={"name": "Acme"}).json()["id"]
    body = {
        "organization_id": organization_id,
        "range_start": "2026-01-01T00:00:00.000Z",
        "range_end": "2026-02-01T00:00:00.000Z",
    }
    made = full.post(path, json=body)
    yield "POST", path, made
    yield "POST", path, full.post(path, json=body | {"actions": ["user.signed_in"], "actors": ["Ann"]})
    yield "POST", path, full.post(path, json=body | {"range_end": "2025-01-01T00:00:00.000Z"})
    yield "POST", path, full.post(path, json={})
    yield "POST", path, full.post(path, json=body | {"organization_id": UNKNOWN})
    yield "POST", path, full.post(path, content=b"{")
    yield "POST", path, full.post(path, content=b"x", headers=TEXT)
    yield "POST", path, full.post(path, content=LARGE)
    yield "POST", path, clients.reader.post(path, json=body)
    yield "POST", path, clients.nobody.post(path, json=body)
    export = made.json()["id"]
    deadline = time.monotonic() + 20
    while (answer := full.get(f"{path}/{export}")).json()["state"] == "pending" and time.monotonic() < deadline:
        yield "GET", template, answer
    yield "GET", template, answer
    yield "GET", template, full.get(f"{path}/audit_log_export_01EHQMYV6MBK39QC5PZXHY59C3")
    yield "GET", template, clients.nobody.get(f"{path}/{export}")


ANSWERS: tuple[Callable[[Clients], Answers], ...] = (
    list_answers,
    create_answers,
    get_answers,
    update_answers,
    delete_answers,
    webhook_list_answers,
    webhook_create_answers,
    webhook_update_answers,
    webhook_delete_answers,
    domain_create_answers,
    domain_answers,
    audit_schema_answers,
    audit_event_answers,
    audit_retention_answers,
    audit_export_answers,
)


@pytest.mark.parametrize("answers", ANSWERS, ids=lambda each: each.__name__)
def test_every_answer_is_one_that_the_document_describes(
    document: Json, clients: Clients, answers: Callable[[Clients], Answers]
) -> None:
    for method, path, answer in answers(clients):
        problem = problem_of(document, method, path, answer)
        assert problem is None, f"{method} {path} {answer.status_code}: {problem}: {answer.text}"


def test_the_ledger_holds_nothing_that_is_not_needed(document: Json, clients: Clients) -> None:
    statuses, codes = set(UNLISTED_STATUSES), set(UNLISTED_CODES)
    for answers in ANSWERS:
        for method, path, answer in answers(clients):
            listed = document["paths"][path][method.lower()]["responses"]
            if str(answer.status_code) not in listed:
                statuses.discard((method, path, answer.status_code))
            if answer.content:
                codes.discard((method, path, answer.json().get("code")))
    assert (statuses, codes) == (set(), set())


def problem_of(document: Json, method: str, path: str, answer: httpx.Response) -> str | None:
    """Return what is wrong with an answer by the document and the ledger, or None."""
    listed = document["paths"][path][method.lower()]["responses"]
    status = str(answer.status_code)
    if status not in listed:
        return None if (method, path, answer.status_code) in UNLISTED_STATUSES else "status not listed"
    content = listed[status].get("content")
    if content is None:
        return None if not answer.content else "a body where the document has none"
    if answer.headers["content-type"].partition(";")[0] != "application/json":
        return "not JSON"
    body = answer.json()
    if (method, path, body.get("code")) in UNLISTED_CODES:
        return None
    schema = {**content["application/json"]["schema"], "components": document["components"]}
    errors = [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(body)]
    return "; ".join(errors) or None


def test_the_list_of_public_operations_is_the_documents(document: Json) -> None:
    methods = ("get", "post", "put", "patch", "delete")
    there = {
        (method.upper(), path) for path, item in document["paths"].items() for method in methods if method in item
    }
    assert set(public_operations()) == there
    assert len(public_operations()) == 212


def test_events_are_valid_against_the_document(
    document: Json, clients: Clients, server: Server, shared_database: Database
) -> None:
    made = clients.full.post("/organizations", json=FULL).json()
    wanted = [{"domain": "a.com", "state": "verified"}, {"domain": "new.com", "state": "pending"}]
    clients.full.put(f"/organizations/{made['id']}", json={"domain_data": wanted, "name": "New"})
    clients.full.delete(f"/organizations/{made['id']}")
    schemas = event_schemas(document)
    seen = set()
    for event in events_since(shared_database, made["id"]):
        schema = {**schemas[event["event"]], "components": document["components"]}
        errors = [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(event)]
        assert errors == [], event
        seen.add(event["event"])
    assert seen == {
        "organization.created",
        "organization.updated",
        "organization.deleted",
        "organization_domain.created",
        "organization_domain.verified",
        "organization_domain.deleted",
    }


def event_schemas(document: Json) -> dict[str, Json]:
    """Return the document's schema of each event, by the event's name."""
    parts = document["components"]["schemas"]["EventSchema"]["allOf"]
    variants = [schema for part in parts for schema in part.get("oneOf", part.get("anyOf", ()))]
    return {schema["properties"]["event"]["const"]: schema for schema in variants}


def events_since(database: Database, organization_id: str) -> list[Json]:
    rows = database.read(
        lambda tx: tx.all(
            "SELECT wire FROM events WHERE organization_id = :id ORDER BY position", id=organization_id
        )
    )
    return [yaml.load(row[0], Loader=yaml.CSafeLoader) for row in rows]
