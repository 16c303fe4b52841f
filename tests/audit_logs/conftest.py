"""What tests of audit logs share: an organization, an action with a schema, and an event that is right."""

from typing import Any

import httpx
import pytest

from tenantry.core.clock import system_clock, timestamp

Json = dict[str, Any]

SCHEMA: Json = {
    "actor": {"metadata": {"type": "object", "properties": {"role": {"type": "string"}}}},
    "targets": [
        {"type": "user"},
        {
            "type": "invoice",
            "metadata": {"type": "object", "properties": {"cost": {"type": "number"}}, "required": ["cost"]},
        },
    ],
    "metadata": {
        "type": "object",
        "properties": {"plan": {"enum": ["free", "paid"]}},
        "additionalProperties": False,
    },
}


@pytest.fixture
def organization_id(api: httpx.Client) -> str:
    identity: str = api.post("/organizations", json={"name": "Acme"}).json()["id"]
    return identity


@pytest.fixture
def action(api: httpx.Client) -> str:
    """An action that has a schema."""
    assert api.post("/audit_logs/actions/invoice.paid/schemas", json=SCHEMA).status_code == 201
    return "invoice.paid"


@pytest.fixture
def event(action: str) -> Json:
    """An event of that action that is right, and of now."""
    return {
        "action": action,
        "occurred_at": timestamp(system_clock()()),
        "actor": {"id": "user_1", "type": "user", "name": "Ann", "metadata": {"role": "admin"}},
        "targets": [
            {"id": "user_2", "type": "user"},
            {"id": "invoice_1", "type": "invoice", "metadata": {"cost": 12.5}},
        ],
        "context": {"location": "192.0.2.1", "user_agent": "curl/8"},
        "metadata": {"plan": "paid"},
    }
