"""Write what Tenantry knows of the public API from its document: its operations and the names of its events.

Usage: python scripts/public_document.py ../shared/reference/workos-openapi.yaml
"""

import sys
from pathlib import Path
from typing import Any

import yaml

SOURCE = Path(__file__).parents[1] / "src/tenantry"
METHODS = ("get", "post", "put", "patch", "delete")

# Names that a newer document than the one in use adds: those that webhooks can subscribe to, and the others.
NEWER_SUBSCRIBABLE_EVENTS = (
    *("agent.blueprint.created", "agent.blueprint.deleted", "agent.blueprint.updated"),
    *("agent.instance.created", "agent.instance.deleted"),
    *("agent.instance.session.created", "agent.instance.session.revoked"),
    *("pipes.account_connection.add_failed", "pipes.account_connection.connected"),
    *("pipes.account_connection.connection_failed", "pipes.account_connection.disconnected"),
    *("pipes.account_connection.reauthorization_needed",),
)
NEWER_EVENTS = (
    *NEWER_SUBSCRIBABLE_EVENTS,
    *("resource_export.created", "resource_export.completed"),
    *("resource_export.downloaded", "resource_export.failed"),
)


def operations(document: dict[str, Any]) -> list[str]:
    """Return a line for each operation, `GET /organizations/{id}`, in the order of paths."""
    paths = document["paths"]
    return [f"{method.upper()} {path}" for path in sorted(paths) for method in METHODS if method in paths[path]]


def event_names(document: dict[str, Any]) -> list[str]:
    """Return the name of every event, in the order of the alphabet."""
    parts = document["components"]["schemas"]["EventSchema"]["allOf"]
    variants = [variant for part in parts for variant in part.get("oneOf", ())]
    return sorted({variant["properties"]["event"]["const"] for variant in variants} | set(NEWER_EVENTS))


def subscribable_names(document: dict[str, Any]) -> list[str]:
    """Return the name of every event that a webhook can subscribe to, in the order of the alphabet."""
    schema = document["components"]["schemas"]["CreateWebhookEndpointDto"]
    return sorted({*schema["properties"]["events"]["items"]["enum"], *NEWER_SUBSCRIBABLE_EVENTS})


def write(path: Path, lines: list[str]) -> None:
    """Write `lines` to a file of the package."""
    path.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    read = yaml.load(Path(sys.argv[1]).read_text("utf-8"), Loader=yaml.CSafeLoader)
    write(SOURCE / "operations.txt", operations(read))
    write(SOURCE / "events/names.txt", event_names(read))
    write(SOURCE / "webhooks/names.txt", subscribable_names(read))
