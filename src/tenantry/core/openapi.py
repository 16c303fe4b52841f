"""From endpoints and structs to the OpenAPI 3.1 document."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import inspect

from tenantry.core import idempotency
from tenantry.core.endpoints import Endpoint, Resource
from tenantry.core.errors import (
    ApiError,
    BodyTooLarge,
    Contended,
    DatabaseUnavailable,
    Forbidden,
    InternalError,
    MalformedBody,
    RateLimitExceeded,
    Unauthorized,
    UnsupportedMediaType,
)
from tenantry.core.parsing import describe_custom

_EVERYWHERE = (Unauthorized, RateLimitExceeded, InternalError, DatabaseUnavailable, Contended)
_WITH_BODY = (MalformedBody, BodyTooLarge, UnsupportedMediaType)
_REFERENCES = "#/components/schemas/{name}"

Json = dict[str, Any]


def document(resources: Iterable[Resource], version: str) -> Json:
    """Return the document of `resources` as JSON values."""
    resources = tuple(resources)
    endpoints = [endpoint for resource in resources for endpoint in resource.endpoints]
    schemas = _schemas(endpoints)
    paths: Json = {}
    for resource in resources:
        for endpoint in resource.endpoints:
            path = endpoint.path.replace(":path}", "}")
            paths.setdefault(path, {})[endpoint.method.lower()] = _operation(resource, endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tenantry", "version": version},
        "security": [{"api_key": []}],
        "tags": [{"name": resource.title} for resource in resources],
        "paths": paths,
        "components": {
            "securitySchemes": {"api_key": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas,
        },
    }


def encode(value: Json) -> bytes:
    """Return the document as JSON text."""
    return msgspec.json.encode(value)


def _schemas(endpoints: list[Endpoint]) -> Json:
    kinds = [kind for endpoint in endpoints for kind in (endpoint.body, endpoint.answer) if kind is not None]
    _, components = msgspec.json.schema_components(
        dict.fromkeys(kinds), ref_template=_REFERENCES, schema_hook=describe_custom
    )
    return components | {
        "Error": {
            "type": "object",
            "properties": {
                "message": {"type": "string"},
                "code": {"type": "string"},
                "entity_id": {"type": "string"},
                "errors": {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}},
            },
            "required": ["message"],
        },
        "FieldError": {
            "type": "object",
            "properties": {"field": {"type": "string"}, "code": {"type": "string"}},
            "required": ["field", "code"],
        },
    }


def _operation(resource: Resource, endpoint: Endpoint) -> Json:
    operation: Json = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "tags": [resource.title],
        "parameters": [*_path_parameters(endpoint), *_query_parameters(endpoint), *_header_parameters(endpoint)],
        "responses": _responses(endpoint),
    }
    if endpoint.keyless:
        operation["security"] = []
    if endpoint.method == "POST" and endpoint.writes:
        operation["parameters"].append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "schema": {"type": "string", "maxLength": 255, "pattern": "^[ -~]*$"},
            }
        )
    if endpoint.body is not None:
        schema = {"$ref": f"#/components/schemas/{endpoint.body.__name__}"}
        example = {} if endpoint.example is None else {"example": dict(endpoint.example)}
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema, **example}},
        }
    return operation


def _path_parameters(endpoint: Endpoint) -> list[Json]:
    names = [part[1:-1].partition(":")[0] for part in endpoint.path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _query_parameters(endpoint: Endpoint) -> list[Json]:
    if endpoint.query is None:
        return []
    (_,), components = msgspec.json.schema_components(
        [endpoint.query], ref_template=_REFERENCES, schema_hook=describe_custom
    )
    schema = components[endpoint.query.__name__]
    info = inspect.type_info(endpoint.query)
    assert isinstance(info, inspect.StructType)
    return [
        _query_parameter(
            field.encode_name,
            _inlined(schema["properties"][field.encode_name], components),
            required=field.required,
        )
        for field in info.fields
    ]


def _header_parameters(endpoint: Endpoint) -> list[Json]:
    return [
        {
            "name": name.title(),
            "in": "header",
            "description": f"Counts before `{field}`.",
            "schema": {"type": "string"},
        }
        for name, field in endpoint.headers.items()
    ]


def _inlined(schema: Json, components: Json) -> Json:
    """Return a parameter's schema with the choices that it refers to in place of the reference."""
    if "$ref" not in schema:
        return schema
    name = schema["$ref"].rpartition("/")[2]
    rest = {key: value for key, value in schema.items() if key != "$ref"}
    return {"type": "string", "enum": components[name]["enum"], **rest}


def _query_parameter(name: str, schema: Json, *, required: bool) -> Json:
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if kinds:  # a parameter that is not given has no null to send
        schema = kinds[0]
    parameter = {"name": name, "in": "query", "required": required, "schema": schema}
    if schema.get("type") == "object":
        # That a key may be given several times, as `core.forms` takes it, no document can say in this style.
        one = schema["additionalProperties"]["items"]
        return parameter | {
            "schema": schema | {"additionalProperties": one},
            "style": "deepObject",
            "explode": True,
        }
    return parameter | ({"style": "form", "explode": False} if schema.get("type") == "array" else {})


def _responses(endpoint: Endpoint) -> Json:
    success: Json = {"description": "Success"}
    if endpoint.answer is not None:
        schema = {"$ref": f"#/components/schemas/{endpoint.answer.__name__}"}
        success["content"] = {endpoint.media: {"schema": schema}}
    responses: Json = {str(endpoint.status): success}
    for error in sorted(_errors(endpoint), key=lambda error: (error.status, error.__name__)):
        known = responses.setdefault(str(error.status), _failure())
        known["description"] = f"{known['description']} {_first_line(error)}".strip()
    return responses


def _errors(endpoint: Endpoint) -> set[type[ApiError]]:
    errors = {*endpoint.errors, *_EVERYWHERE}
    if endpoint.keyless:
        errors.discard(Unauthorized)
    if endpoint.writes:
        errors.add(Forbidden)
    if endpoint.body is not None:
        errors |= set(_WITH_BODY)
    if endpoint.query is not None or endpoint.body is not None:
        errors.add(endpoint.wrong)
    if endpoint.method == "POST" and endpoint.writes:
        errors |= {idempotency.IdempotencyKeyReused, idempotency.InvalidIdempotencyKey}
    return errors


def _failure() -> Json:
    schema = {"$ref": "#/components/schemas/Error"}
    return {"description": "", "content": {"application/json": {"schema": schema}}}


def _first_line(error: type[ApiError]) -> str:
    code = f" (`{error.code}`)" if error.code else ""
    return f"{(error.__doc__ or '').splitlines()[0].rstrip('.')}{code}."
