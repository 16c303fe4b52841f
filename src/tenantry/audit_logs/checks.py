"""Whether an event is as its action's schema says, and whether a schema is one."""

import importlib
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import islice
from typing import Any, Protocol

import msgspec
from msgspec import UNSET

from tenantry.audit_logs.wire import METADATA_SCHEMA, AuditLogEvent, AuditLogSchema

_MOST_BREACHES = 20
_DEEPEST = 20
_COMPILED = 1024
_REFERENCES = frozenset({"$ref", "$dynamicRef"})

Json = dict[str, Any]


class Breach(msgspec.Struct, frozen=True, rename="camel"):
    """One thing wrong with an event: where in it, by which rule of which place in the schema."""

    instance_path: str
    schema_path: str
    keyword: str
    params: Json
    message: str


class InvalidSchema(ValueError):
    """Not a JSON Schema that is taken here; the text says why."""


class Validator(Protocol):
    """A schema made ready."""

    def is_valid(self, instance: object) -> bool:
        """Return whether a value is as the schema has it."""

    def iter_errors(self, instance: object) -> Iterator[Any]:
        """Yield what is wrong with it."""


class Rules(msgspec.Struct, frozen=True):
    """A schema made ready: validators of metadata, by the target's type too. None takes everything."""

    actor: Validator | None
    targets: dict[str, Validator | None]
    metadata: Validator | None


def check_schema(schema: Json) -> None:
    """Raise InvalidSchema unless `schema` is a JSON Schema, draft 2020-12, without references.

    References would make a short schema as much work as one likes; the metadata that is
    described is flat and needs none.
    """
    _check_shape(schema, 0)
    _compiled(schema)


def _check_shape(value: object, depth: int) -> None:
    if depth > _DEEPEST:
        raise InvalidSchema(f"must not be nested more than {_DEEPEST} levels deep")
    if isinstance(value, dict):
        for key in sorted(_REFERENCES & value.keys()):
            raise InvalidSchema(f"must not use {key}")
        for item in value.values():
            _check_shape(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_shape(item, depth + 1)


def _compiled(schema: Json) -> Validator:
    library = _library()
    try:
        made: Validator = library.Draft202012Validator(
            schema,
            mask="value",  # what is sent back names the place, not what an event holds
            pattern_options=library.RegexOptions(),  # whose time is linear
            retriever=_refuse,
        )
    except ValueError as error:
        reason = error.message if isinstance(error, library.ValidationError) else str(error)
        raise InvalidSchema(f"must be a JSON Schema (draft 2020-12): {reason}") from error
    return made


def _refuse(address: str) -> Any:
    raise ValueError(f"{address} is not looked up")


@cache
def _library() -> Any:
    """Return what compiles schemas, loaded when there is first one: it would cost every process 6 MiB."""
    return importlib.import_module("jsonschema_rs")


@cache
def _any_metadata() -> Validator:
    return _compiled(METADATA_SCHEMA)


@lru_cache(maxsize=_COMPILED)
def rules_of(wire: bytes) -> Rules:
    """Return the rules of an AuditLogSchema given as its JSON, which is as `check_schema` has it."""
    schema = msgspec.json.decode(wire, type=AuditLogSchema)
    return Rules(
        actor=None if schema.actor is UNSET else _compiled(schema.actor.metadata),
        targets={
            target.type: _compiled(target.metadata) if target.metadata else None for target in schema.targets
        },
        metadata=_compiled(schema.metadata) if schema.metadata else None,
    )


class _Ready:
    """Rules by the id of their schema, which never changes: the newest schemas need not be read for each event."""

    def __init__(self) -> None:
        self._rules: dict[str, Rules] = {}

    def get(self, schema_id: str) -> Rules | None:
        return self._rules.get(schema_id)

    def put(self, schema_id: str, wire: bytes) -> Rules:
        if len(self._rules) >= _COMPILED:
            self._rules.clear()
        rules = self._rules[schema_id] = rules_of(wire)
        return rules


ready = _Ready()


def breaches(rules: Rules, event: AuditLogEvent) -> list[Breach]:
    """Return what is wrong with an event, twenty things at most."""
    return list(islice(_breaches(rules, event), _MOST_BREACHES))


def _breaches(rules: Rules, event: AuditLogEvent) -> Iterator[Breach]:
    yield from _metadata_breaches(rules.actor, event.actor.metadata, "/actor/metadata")
    for index, target in enumerate(event.targets):
        if target.type not in rules.targets:
            yield Breach(
                f"/targets/{index}/type",
                "#/properties/targets/items/properties/type/enum",
                "enum",
                {"allowedValues": sorted(rules.targets)},
                "must be equal to one of the allowed values",
            )
        else:
            path = f"/targets/{index}/metadata"
            yield from _metadata_breaches(rules.targets[target.type], target.metadata, path)
    yield from _metadata_breaches(rules.metadata, event.metadata, "/metadata")


def _metadata_breaches(validator: Validator | None, given: Json | None, path: str) -> Iterator[Breach]:
    """Yield what is wrong with metadata; one that is not given is looked at as an empty one."""
    metadata = given or {}
    for each in (_any_metadata(), validator):
        if each is not None and not each.is_valid(metadata):
            yield from (_breach(error, path) for error in each.iter_errors(metadata))


def _breach(error: Any, path: str) -> Breach:
    return Breach(
        path + _pointer(error.instance_path),
        "#" + _pointer(error.schema_path),
        error.kind.name,
        error.kind.as_dict() if error.kind.name in {"required", "additionalProperties", "type"} else {},
        error.message,
    )


def _pointer(path: list[str | int]) -> str:
    """Return a JSON Pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
