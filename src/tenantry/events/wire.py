"""Events as they cross the network (wire.md section 5.2)."""

from typing import Any, Literal

import msgspec


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who made the change."""

    id: str
    source: Literal["api", "dashboard", "admin_portal", "system"]
    name: str | None


class Context(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the change came about; `previous_attributes` holds what it replaced, on updates."""

    actor: Actor
    previous_attributes: dict[str, Any] | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="event"):
    """One change. `data` is the whole object after it (before it, for a deletion)."""

    id: str
    event: str
    data: Any
    created_at: str
    context: Context
