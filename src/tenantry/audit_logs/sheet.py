"""Events as rows of a CSV (RFC 4180). Functions of values alone."""

import csv
import io

import msgspec

from tenantry.core.cells import neutral

COLUMNS = (
    *("id", "organization_id", "action", "version", "occurred_at", "actor_type", "actor_id", "actor_name"),
    *("actor_metadata", "targets", "context_location", "context_user_agent", "metadata"),
)
"""The columns of a CSV. The hosted API publishes none (wire.md section 6.3)."""


class _Actor(msgspec.Struct, frozen=True):
    type: str
    id: str
    name: str = ""
    metadata: msgspec.Raw = msgspec.Raw(b"")


class _Context(msgspec.Struct, frozen=True):
    location: str
    user_agent: str = ""


class _Event(msgspec.Struct, frozen=True):
    id: str
    organization_id: str
    action: str
    version: int
    occurred_at: str
    actor: _Actor
    targets: msgspec.Raw
    context: _Context
    metadata: msgspec.Raw = msgspec.Raw(b"")


_decode = msgspec.json.Decoder(_Event).decode


def head() -> bytes:
    """Return the first line, which names the columns."""
    return _rows([list(COLUMNS)])


def lines(wires: list[bytes]) -> bytes:
    """Return the lines of events, each given as its JSON."""
    return _rows([row_of(wire) for wire in wires])


def row_of(wire: bytes) -> list[str]:
    """Return an event's cells, metadata and targets as JSON. None of them is a formula to a spreadsheet."""
    event = _decode(wire)
    actor, context = event.actor, event.context
    return [
        event.id,
        event.organization_id,
        neutral(event.action),
        str(event.version),
        event.occurred_at,
        neutral(actor.type),
        neutral(actor.id),
        neutral(actor.name),
        bytes(actor.metadata).decode(),
        bytes(event.targets).decode(),
        neutral(context.location),
        neutral(context.user_agent),
        bytes(event.metadata).decode(),
    ]


def _rows(rows: list[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
