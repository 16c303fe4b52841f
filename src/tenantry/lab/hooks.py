"""Faults in the form of the vendor's emulator, which calls them error hooks.

Known from its public documentation: `method` and `path` as in our own rules; `status`;
`body`; `count`, how often the hook fires before it is gone. The first one that matches counts.
"""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tenantry.core import validation
from tenantry.core.errors import ApiError, FieldError
from tenantry.lab import fault_rules
from tenantry.lab.fault_rules import FaultRule
from tenantry.lab.faults import PlacedFault


class Hook(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error hook. `count` is how often it fires before it is gone: always, where it is not given."""

    method: Annotated[str, Meta(min_length=1, max_length=20)]
    path: Annotated[str, Meta(min_length=1, max_length=500)]
    status: Annotated[int, Meta(ge=200, le=599)]
    body: dict[str, Any] | None = None
    count: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None


class PlacedHook(Hook, frozen=True, kw_only=True, omit_defaults=True):
    """An error hook in its place. `count` is how often it will fire still."""

    id: str


class HookIncomplete(ApiError):
    """An error hook lacks one of its three fields: 400, in the words of the vendor's emulator."""

    status = 400
    code = "bad_request"
    message = "method, path, and status are required"


class HookNotFound(ApiError):
    """There is no error hook with this id: 404, in the words of the vendor's emulator."""

    status = 404
    code = "not_found"
    message = "Hook not found"


def rule_of(hook: Hook) -> FaultRule:
    """Return what `hook` means. A count of nought is one, as it is there."""
    return FaultRule(
        fault="status",
        method=hook.method,
        path=hook.path,
        status=hook.status,
        body=UNSET if hook.body is None else hook.body,
        times=None if hook.count is None else max(hook.count, 1),
    )


def problems(hook: Hook) -> Iterator[FieldError]:
    """Yield what is wrong with `hook` beyond the types of its fields."""
    return fault_rules.problems(rule_of(hook))


def decode(value: object) -> FaultRule:
    """Return what a hook, as sent, means. Raises HookIncomplete, ValidationFailed."""
    if isinstance(value, dict) and not all(value.get(name) for name in ("method", "path", "status")):
        raise HookIncomplete
    return rule_of(validation.convert(value, Hook, strict=True))


def shown(fault: PlacedFault) -> PlacedHook:
    """Return a rule that came as a hook as one."""
    assert fault.status is not None, "a hook has a status"
    return PlacedHook(
        id=fault.id,
        method=fault.method,
        path=fault.path,
        status=fault.status,
        body=None if isinstance(fault.body, UnsetType) else fault.body,
        count=None if fault.times is None else fault.times - fault.fired,
    )
