"""The API reference as one HTML page, made from the OpenAPI document; it loads nothing from elsewhere."""

from typing import Any

import jinja2

Json = dict[str, Any]

_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("tenantry.core"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)


def page(document: Json) -> bytes:
    """Return the page of an OpenAPI document."""
    groups = [
        {"title": tag["name"], "operations": list(_operations(document, tag["name"]))} for tag in document["tags"]
    ]
    template = _templates.get_template("reference.html")
    return template.render(document=document, groups=groups, schemas=_schemas(document)).encode()


def _operations(document: Json, tag: str) -> Any:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if tag in operation["tags"]:
                yield {**operation, "method": method.upper(), "path": path, "body": _body(operation)}


def _body(operation: Json) -> str | None:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return _name(content["schema"]) if content else None


def _schemas(document: Json) -> list[Json]:
    return [
        {"name": name, "doc": schema.get("description", ""), "fields": list(_fields(schema))}
        for name, schema in document["components"]["schemas"].items()
    ]


def _fields(schema: Json) -> Any:
    required = set(schema.get("required", ()))
    for name, kind in schema.get("properties", {}).items():
        yield {
            "name": name,
            "required": name in required,
            "type": describe(kind),
            "limits": limits(kind),
            "default": kind.get("default"),
            "schema": _referred(kind),
        }


def describe(schema: Json) -> str:
    """Return a schema's type in a few words: `string or null`, `list of DomainData`."""
    if "$ref" in schema:
        return _name(schema)
    if "anyOf" in schema:
        return " or ".join(describe(kind) for kind in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(f'"{value}"' for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {describe(schema.get('items', {}))}"
    return str(schema.get("type", "any value"))


_LIMITS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "maxItems": "at most {} items",
    "maxProperties": "at most {} keys",
}


def limits(schema: Json) -> list[str]:
    """Return what a schema says about the size of its values."""
    kinds = [schema, *schema.get("anyOf", ())]
    return [text.format(kind[key]) for kind in kinds for key, text in _LIMITS.items() if key in kind]


def _referred(schema: Json) -> str | None:
    kinds = [schema, *schema.get("anyOf", ()), schema.get("items", {})]
    return next((_name(kind) for kind in kinds if "$ref" in kind), None)


def _name(schema: Json) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


_templates.filters.update(describe=describe, limits=limits)
