"""The API reference as one HTML page, made from the OpenAPI document; it loads nothing from elsewhere."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jinja2
from markupsafe import Markup, escape

Json = dict[str, Any]

_EXAMPLES = {
    "name": "Acme",
    "domain": "acme.com",
    "organization_id": "$ORGANIZATION_ID",
    "action": "$ACTION",
    "occurred_at": "$OCCURRED_AT",
    "range_start": "2026-01-01T00:00:00.000Z",
    "range_end": "2026-12-31T23:59:59.999Z",
    "expires": "$EXPIRES",
    "signature": "$SIGNATURE",
}
_EXAMPLE_MAP = {"plan": "gold"}
_LIMITS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "maxItems": "at most {} items",
    "maxProperties": "at most {} keys",
}
_STATUS_IN_TEXT = re.compile(r": \d{3}\b[^.(]*?(?=\.| \()")
_CODE = re.compile(r"`([^`]+)`")

_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("tenantry.core"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)


def coded(text: str) -> Markup:
    """Return `text` as HTML in which what stands between backticks is code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 (escaped above)


_templates.filters["coded"] = coded


def page(document: Json) -> bytes:
    """Return the page of an OpenAPI document."""
    schemas = document["components"]["schemas"]
    everywhere = _everywhere(document)
    groups = [
        {"title": tag["name"], "operations": list(_operations(document, tag["name"], everywhere))}
        for tag in document["tags"]
    ]
    bodies = {
        operation["body"]["name"] for group in groups for operation in group["operations"] if operation["body"]
    }
    template = _templates.get_template("reference.html")
    return template.render(
        version=document["info"]["version"],
        groups=groups,
        errors=_failures(everywhere),
        objects=[_object(schemas, name) for name in schemas if _is_shown(schemas[name]) and name not in bodies],
    ).encode()


def _is_shown(schema: Json) -> bool:
    return "properties" in schema


def _each(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def _everywhere(document: Json) -> Json:
    """Return the failures that every operation has in common, so that the page tells them once."""
    first, *others = [operation["responses"] for _, _, operation in _each(document)]
    return {
        status: answer for status, answer in first.items() if all(other.get(status) == answer for other in others)
    }


def _operations(document: Json, tag: str, everywhere: Json) -> Iterator[Json]:
    schemas = document["components"]["schemas"]
    for path, method, operation in _each(document):
        if tag not in operation["tags"]:
            continue
        body = _body(schemas, operation)
        own = {status: answer for status, answer in operation["responses"].items() if status not in everywhere}
        yield {
            "id": operation["operationId"],
            "summary": operation["summary"],
            "method": method,
            "path": path,
            "parameters": [_field(schemas, **_parameter(parameter)) for parameter in operation["parameters"]],
            "body": body,
            "curl": curl(
                method,
                path + _query(operation),
                body and (_given_example(operation) or _example(schemas, schemas[body["name"]])),
                keyless=operation.get("security") == [],
            ),
            "successes": [_success(status, answer) for status, answer in own.items() if status < "300"],
            "failures": _failures({status: answer for status, answer in own.items() if status >= "300"}),
        }


def curl(method: str, path: str, body: object | None, *, keyless: bool = False) -> str:
    """Return the command for an operation, as one would type it."""
    implied = "GET" if body is None else "POST"
    lines = ["curl " + ("" if method == implied else f"-X {method} ") + f'"$BASE_URL{_with_variables(path)}"']
    if not keyless:
        lines.append('-H "Authorization: Bearer $API_KEY"')
    if body is not None:
        lines.append('-H "Content-Type: application/json"')
        # A variable is for the shell to fill in: it stands outside the single quotes.
        data = re.sub(r"\$[A-Z_]+", r"""'"\g<0>"'""", json.dumps(body, ensure_ascii=False))
        lines.append(f"-d '{data}'")
    return " \\\n  ".join(lines)


def _query(operation: Json) -> str:
    """Return the query of an operation's example: what must be given, and what says how it may look."""
    given = [
        f"{parameter['name']}={_spelled(example)}"
        for parameter in operation["parameters"]
        if parameter["in"] == "query" and (example := _parameter_example(parameter)) is not None
    ]
    return "?" + "&".join(given) if given else ""


def _parameter_example(parameter: Json) -> str | list[str] | None:
    if "examples" in parameter["schema"]:
        example: str | list[str] = parameter["schema"]["examples"][0]
        return example
    return _EXAMPLES[parameter["name"]] if parameter["required"] else None


def _spelled(value: str | list[str]) -> str:
    return value if isinstance(value, str) else ",".join(value)


def _with_variables(path: str) -> str:
    """Return `path` with shell variables: `/organizations/{id}` is `/organizations/$ORGANIZATION_ID`."""
    parts = path.split("/")
    for index, part in enumerate(parts):
        if part.startswith("{"):
            name = part[1:-1] if part != "{id}" else parts[index - 1].removesuffix("s") + "_id"
            parts[index] = "$" + name.upper()
    return "/".join(parts)


def _body(schemas: Json, operation: Json) -> Json | None:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return _object(schemas, _name(content["schema"])) if content else None


def _given_example(operation: Json) -> Json | None:
    example: Json | None = operation["requestBody"]["content"]["application/json"].get("example")
    return example


def _example(schemas: Json, schema: Json) -> Json:
    """Return a small body: what is required, or else the first field, and the maps."""
    properties = schema["properties"]
    chosen = schema.get("required") or list(properties)[:1]
    maps = [name for name in properties if _value(schemas, name, properties[name]) == _EXAMPLE_MAP]
    return {name: _value(schemas, name, properties[name]) for name in (*chosen, *maps)}


def _value(schemas: Json, name: str, schema: Json) -> object:
    kind = _resolved(schemas, schema.get("anyOf", [schema])[0])
    if "examples" in kind:
        return kind["examples"][0]
    if "enum" in kind:
        return kind["enum"][0]
    if kind.get("type") == "object":
        return _example(schemas, kind) if "properties" in kind else _EXAMPLE_MAP
    if kind.get("type") == "array":
        return [_value(schemas, name.removesuffix("s"), kind.get("items", {}))]
    return {"boolean": True, "integer": kind.get("minimum", 1)}.get(
        kind.get("type", ""), _EXAMPLES.get(name, name)
    )


def _success(status: str, answer: Json) -> Json:
    content = answer.get("content", {}).get("application/json")
    return {"status": status, "schema": _name(content["schema"]) if content else None}


def _failures(answers: Json) -> list[Json]:
    return [
        {"status": status, "causes": _causes(answer["description"])}
        for status, answer in answers.items()
        if status >= "300"
    ]


def _causes(description: str) -> list[Json]:
    """Return each cause of a failure: its sentence, and the code that tells it apart if there is one."""
    sentences = re.findall(r"[^.]+\.", _STATUS_IN_TEXT.sub("", description))
    return [
        {"text": sentence.split(" (`")[0].strip(" .") + ".", "code": (_CODE.findall(sentence) or [None])[-1]}
        for sentence in sentences
    ]


def _parameter(parameter: Json) -> Json:
    return {
        "name": parameter["name"],
        "schema": parameter["schema"],
        "place": parameter["in"],
        "required": parameter.get("required", False),
    }


def _object(schemas: Json, name: str) -> Json:
    schema = schemas[name]
    required = set(schema.get("required", ()))
    fields = [
        _field(schemas, name=field, schema=kind, required=field in required)
        for field, kind in schema.get("properties", {}).items()
    ]
    return {"name": name, "doc": schema.get("description", ""), "fields": fields}


def _field(schemas: Json, *, name: str, schema: Json, required: bool, place: str = "") -> Json:
    target = _referred(schema)
    return {
        "name": name,
        "note": ", ".join(filter(None, [place, "required" if required else ""])),
        "type": describe(schemas, schema),
        "link": target if target and _is_shown(schemas.get(target, {})) else None,
        "limits": limits(schema),
        "default": _default(schema),
        "doc": next((kind["description"] for kind in _kinds(schema) if "description" in kind), ""),
    }


def _default(schema: Json) -> str:
    """Return the default where it says something: null and empty values do not."""
    default = schema.get("default")
    return str(default) if default else ""


def describe(schemas: Json, schema: Json) -> str:
    """Return a schema's type in a few words: `string or null`, `list of DomainData`."""
    if "$ref" in schema:
        kind = _resolved(schemas, schema)
        return describe(schemas, kind) if "enum" in kind else _name(schema)
    if "anyOf" in schema:
        return " or ".join(describe(schemas, kind) for kind in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(f'"{value}"' for value in schema["enum"])
    if schema.get("type") == "array":
        of = describe(schemas, schema.get("items", {}))
        return f"list of {of}s" if of == "string" else f"list of {of}"
    return str(schema.get("type", "any value"))


def limits(schema: Json) -> list[str]:
    """Return what a schema says about the size of its values."""
    return [
        text.format(kind[key])
        for kind in _kinds(schema)
        for key, text in _LIMITS.items()
        if key in kind and (key, kind[key]) != ("minLength", 1)
    ]


def _kinds(schema: Json) -> list[Json]:
    return [schema, *schema.get("anyOf", ())]


def _resolved(schemas: Json, schema: Json) -> Json:
    found: Json = schemas.get(_name(schema), {}) if "$ref" in schema else schema
    return found


def _referred(schema: Json) -> str | None:
    kinds = [*_kinds(schema), *(kind.get("items", {}) for kind in _kinds(schema))]
    return next((_name(kind) for kind in kinds if "$ref" in kind), None)


def _name(schema: Json) -> str:
    return str(schema["$ref"]).rpartition("/")[2]
