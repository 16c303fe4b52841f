"""From the bytes of a request to the structs that its endpoint declares."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from tenantry.core import forms, validation
from tenantry.core.endpoints import Endpoint, Request
from tenantry.core.errors import MalformedBody, UnsupportedMediaType, ValidationFailed
from tenantry.core.parsing import decode_custom

_FORM = "application/x-www-form-urlencoded"
_ANYTHING = inspect.AnyType()

S = TypeVar("S", bound=msgspec.Struct)


def decode_query(endpoint: Endpoint, request: Request) -> Any:
    """Return the query as the struct that `endpoint` declares, or None where it declares none.

    A header that `endpoint` declares counts before the parameter that it stands for.

    Raises ValidationFailed. Parameters that are not declared are ignored.
    """
    if endpoint.query is None:
        return None
    query = request.query
    headers = _given_headers(endpoint, request) if endpoint.headers else {}
    if not query and not headers:
        return _without_parameters(endpoint.query)
    singles, lists, dicts = _names(endpoint.query)
    given = forms.pairs(query)
    values: dict[str, object] = {name: value for name, value in given if name in singles}
    # Most requests have none of those that can be spelled in several ways.
    others = [pair for pair in given if pair[0] not in singles]
    if others:
        values |= {name: forms.listed(others, name) for name in lists}
        values |= {name: forms.keyed(others, name) for name in dicts}
    values |= headers
    if "%00" in query:
        _refuse_nul(values)
    return validation.convert(values, endpoint.query, strict=False)


def _given_headers(endpoint: Endpoint, request: Request) -> dict[str, str]:
    """Return the fields of the query that come as headers. An empty header is not given."""
    found = {field: request.header(name) for name, field in endpoint.headers.items()}
    return {field: value for field, value in found.items() if value}


def decode_body(endpoint: Endpoint, request: Request) -> Any:
    """Return the body as the struct that `endpoint` declares, or None where it declares none.

    No body at all stands for an object without keys. Raises MalformedBody,
    UnsupportedMediaType, ValidationFailed.
    """
    if endpoint.body is None:
        return None
    if not request.body:
        return validation.convert({}, endpoint.body, strict=True)
    if is_form(request.content_type):
        return _decode_form(endpoint, request.body)
    try:
        return _decode_json(endpoint, request.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedBody(_what_is_wrong(request.body, error)) from error
    except RecursionError as error:
        raise MalformedBody("The request body is nested too deeply.") from error


def _what_is_wrong(body: bytes, error: Exception) -> str:
    if b"\\ud" in body.lower() and "truncated" in str(error):
        return "The request body is not valid JSON: a string holds half of a surrogate pair."
    return f"The request body is not valid JSON: {error}."


def _decode_json(endpoint: Endpoint, body: bytes) -> Any:
    assert endpoint.body is not None
    if b"\\u0000" in body or any(alias in body for alias in _quoted(tuple(endpoint.aliases))):
        return decode_item(msgspec.json.decode(body), endpoint.body, endpoint.aliases, is_form=False)
    try:
        return _json_decoder(endpoint.body)(body)
    except msgspec.ValidationError:
        # Raises with every wrong field, not the first.
        return decode_item(msgspec.json.decode(body), endpoint.body, endpoint.aliases, is_form=False)


def _decode_form(endpoint: Endpoint, body: bytes) -> Any:
    assert endpoint.body is not None
    if not body.isascii():
        raise MalformedBody("The request body is not a percent-encoded form.")
    value = forms.tree(forms.pairs(body.decode("ascii")))
    return decode_item(value, endpoint.body, endpoint.aliases, is_form=True)


def decode_item(value: Any, kind: type[S], aliases: Mapping[str, str], *, is_form: bool) -> S:
    """Return a body, or an item of one, as a `kind`, whose fields `aliases` are other names of.

    An item of a list of anything is read just as a body of its own would be. Raises ValidationFailed.
    """
    _refuse_nul(_own(forms.with_lists(value) if is_form else value, kind))
    if isinstance(value, dict):
        value = {aliases.get(key, key): item for key, item in value.items()}
    if is_form:
        value = _shaped(value, _type_info(kind))
    return validation.convert(value, kind, strict=not is_form)


def _shaped(value: Any, info: inspect.Type) -> Any:
    """Return a part of a form as what it stands for: only the type tells a text, a list and an object apart."""
    for kind in validation.kinds_of(info):
        match kind:
            case inspect.StructType() if isinstance(value, dict):
                types = {field.encode_name: field.type for field in kind.fields}
                return {str(key): _shaped(item, types.get(key, _ANYTHING)) for key, item in value.items()}
            case inspect.DictType() if isinstance(value, dict) and all(isinstance(key, str) for key in value):
                return {key: _shaped(item, kind.value_type) for key, item in value.items()}
            case inspect.ListType():
                return _shaped_list(value, kind.item_type)
    return forms.with_lists(value)


def _shaped_list(value: Any, info: inspect.Type) -> Any:
    items = [value] if isinstance(value, str) else forms.items_of(value)
    if items is None:
        return forms.with_lists(value)
    # What any item may be is known to whoever reads it, by `decode_item`.
    return items if isinstance(info, inspect.AnyType) else [_shaped(item, info) for item in items]


def _own(value: object, kind: type[msgspec.Struct]) -> object:
    """Return a body without its lists of anything: what is wrong with an item is told by whoever reads it."""
    if not isinstance(value, dict):
        return value
    return {name: item for name, item in value.items() if name not in _lists_of_anything(kind)}


def _refuse_nul(value: object) -> None:
    errors = list(validation.nul_problems(value))
    if errors:
        raise ValidationFailed(errors)


@lru_cache(maxsize=64)
def is_form(content_type: str | None) -> bool:
    """Return whether a body of this type is a form; if not it is JSON.

    A body without a type is read as JSON. Raises UnsupportedMediaType for any other
    type, and for text that is not UTF-8.
    """
    if content_type is None:
        return False
    media, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [part.partition("=")[2].strip('"') for part in parameters if part.startswith("charset=")]
    if not set(charsets) <= {"utf-8", "utf8"}:
        raise UnsupportedMediaType
    if media == _FORM:
        return True
    if media == "application/json" or media.endswith("+json"):
        return False
    raise UnsupportedMediaType


@lru_cache(maxsize=256)
def _json_decoder(kind: type[msgspec.Struct]) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(kind, dec_hook=decode_custom).decode


@lru_cache(maxsize=256)
def _without_parameters(kind: type[msgspec.Struct]) -> msgspec.Struct:
    return validation.convert({}, kind, strict=False)


@lru_cache(maxsize=256)
def _type_info(kind: type[msgspec.Struct]) -> inspect.Type:
    return inspect.type_info(kind)


@lru_cache(maxsize=256)
def _fields(kind: type[msgspec.Struct]) -> tuple[tuple[str, type[inspect.Type] | None], ...]:
    """Return each declared field's name and whether it is a ListType, a DictType or neither."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return tuple((field.encode_name, _shape(field.type)) for field in info.fields)


@lru_cache(maxsize=256)
def _lists_of_anything(kind: type[msgspec.Struct]) -> frozenset[str]:
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return frozenset(
        field.encode_name
        for field in info.fields
        for each in validation.kinds_of(field.type)
        if isinstance(each, inspect.ListType) and isinstance(each.item_type, inspect.AnyType)
    )


def _shape(info: inspect.Type) -> type[inspect.Type] | None:
    shapes = [type(kind) for kind in validation.kinds_of(info)]
    return next((shape for shape in (inspect.ListType, inspect.DictType) if shape in shapes), None)


@lru_cache(maxsize=256)
def _names(kind: type[msgspec.Struct]) -> tuple[frozenset[str], tuple[str, ...], tuple[str, ...]]:
    """Return the names of the fields that have one value, of lists, and of dictionaries."""
    fields = _fields(kind)
    return (
        frozenset(name for name, shape in fields if shape is None),
        tuple(name for name, shape in fields if shape is inspect.ListType),
        tuple(name for name, shape in fields if shape is inspect.DictType),
    )


@lru_cache(maxsize=256)
def _quoted(aliases: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(f'"{alias}"'.encode() for alias in aliases)
