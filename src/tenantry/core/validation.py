"""From raw values to structs, and from what is wrong to one sentence a field (wire.md section 1.7).

msgspec stops at the first wrong field. That is right for the fast path; only when it
fails are the fields looked at one by one, so that the caller hears of all at once.
"""

import re
from collections.abc import Iterator
from typing import TypeVar

import msgspec
from msgspec import inspect

from tenantry.core.errors import FieldError, ValidationFailed
from tenantry.core.parsing import decode_custom

S = TypeVar("S", bound=msgspec.Struct)


def convert(value: object, kind: type[S], *, strict: bool) -> S:
    """Return `value` as a `kind`. Not `strict` means that text may stand for a number or a boolean.

    Raises ValidationFailed, with every wrong field.
    """
    try:
        return msgspec.convert(value, kind, strict=strict, dec_hook=decode_custom)
    except msgspec.ValidationError as error:
        raise ValidationFailed(list(problems(value, kind, strict=strict))) from error


def problems(value: object, kind: type[msgspec.Struct], *, strict: bool) -> Iterator[FieldError]:
    """Yield what keeps `value` from being a `kind`, a sentence a field."""
    yield from _struct_problems(value, inspect.type_info(kind), "", strict=strict)


def nul_problems(value: object, path: str = "") -> Iterator[FieldError]:
    """Yield each string of `value` that holds a NUL character, which PostgreSQL cannot store."""
    if isinstance(value, str) and "\0" in value:
        yield FieldError(path, f"{path} must not contain NUL characters")
    elif isinstance(value, dict):
        for key, item in value.items():
            below = f"{path}.{key}".lstrip(".")
            yield from nul_problems(key, below.replace("\0", "\\0"))
            yield from nul_problems(item, below)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from nul_problems(item, f"{path}.{index}")


def kinds_of(info: inspect.Type) -> list[inspect.Type]:
    """Return the types that a field may have, without what its documentation adds to them."""
    if isinstance(info, inspect.Metadata):
        return kinds_of(info.type)
    if isinstance(info, inspect.UnionType):
        return [kind for each in info.types for kind in kinds_of(each)]
    return [info]


def _struct_problems(value: object, info: inspect.Type, path: str, *, strict: bool) -> Iterator[FieldError]:
    assert isinstance(info, inspect.StructType)
    if not isinstance(value, dict):
        yield _problem(path, "must be an object")
        return
    for field in info.fields:
        name = f"{path}.{field.encode_name}" if path else field.encode_name
        if field.encode_name not in value:
            if field.required:
                yield _problem(name, "should not be empty")
        else:
            yield from _value_problems(value[field.encode_name], field.type, name, strict=strict)
    if info.forbid_unknown_fields:
        yield from _unknown_problems(value, {field.encode_name for field in info.fields}, path)


def _unknown_problems(value: dict[str, object], known: set[str], path: str) -> Iterator[FieldError]:
    for key in value:
        if key not in known:
            name = f"{path}.{key}" if path else key
            yield FieldError(name, f"property {name} should not exist")


def _value_problems(value: object, info: inspect.Type, path: str, *, strict: bool) -> Iterator[FieldError]:
    kinds = kinds_of(info)
    if value is None and any(isinstance(kind, inspect.NoneType) for kind in kinds):
        return
    base = next(kind for kind in kinds if not isinstance(kind, inspect.NoneType))
    if isinstance(base, inspect.StructType):
        yield from _struct_problems(value, base, path, strict=strict)
    elif isinstance(base, inspect.ListType):
        yield from _list_problems(value, base, path, strict=strict)
    elif isinstance(base, inspect.DictType):
        yield from _dict_problems(value, base, path, strict=strict)
    else:
        sentence = _scalar_sentence(value, base, strict=strict)
        if sentence:
            yield _problem(path, sentence)


def _list_problems(value: object, info: inspect.ListType, path: str, *, strict: bool) -> Iterator[FieldError]:
    if not isinstance(value, list):
        yield _problem(path, "must be an array")
        return
    if info.min_length is not None and len(value) < info.min_length:
        yield _problem(path, "should not be empty")
    if info.max_length is not None and len(value) > info.max_length:
        yield _problem(path, f"must contain no more than {info.max_length} elements")
    for index, item in enumerate(value):
        if isinstance(info.item_type, inspect.StructType):
            yield from _struct_problems(item, info.item_type, f"{path}.{index}", strict=strict)
        elif sentence := _scalar_sentence(item, info.item_type, strict=strict):
            yield FieldError(f"{path}.{index}", f"each value in {path} {sentence}")


def _dict_problems(value: object, info: inspect.DictType, path: str, *, strict: bool) -> Iterator[FieldError]:
    if not isinstance(value, dict):
        yield _problem(path, "must be an object")
        return
    if info.max_length is not None and len(value) > info.max_length:
        yield _problem(path, f"must contain no more than {info.max_length} keys")
    for key, item in value.items():
        yield from _value_problems(item, info.value_type, f"{path}.{key}", strict=strict)


def _scalar_sentence(value: object, info: inspect.Type, *, strict: bool) -> str | None:
    """Return what a value of `info` must be, when `value` is not one."""
    match info:
        case inspect.StrType():
            sentence = _text_sentence(value, info)
        case inspect.IntType() | inspect.FloatType():
            sentence = _number_sentence(value, info, strict=strict)
        case inspect.BoolType():
            sentence = None if _is(value, bool, strict=strict) else "must be a boolean value"
        case inspect.LiteralType() | inspect.EnumType():
            choices = _choices(info)
            chosen = value in choices
            sentence = None if chosen else f"must be one of the following values: {', '.join(choices)}"
        case inspect.CustomType():
            sentence = _custom_sentence(value, info)
        case _:
            sentence = None
    return sentence


def _custom_sentence(value: object, info: inspect.CustomType) -> str | None:
    try:
        decode_custom(info.cls, value)
    except ValueError as error:
        return str(error)
    return None


def _choices(info: inspect.LiteralType | inspect.EnumType) -> list[str]:
    values = [member.value for member in info.cls] if isinstance(info, inspect.EnumType) else info.values
    return [str(value) for value in values]


def _text_sentence(value: object, info: inspect.StrType) -> str | None:
    if not isinstance(value, str):
        return "should not be empty" if value is None and info.min_length else "must be a string"
    if info.min_length is not None and len(value) < info.min_length:
        return f"must be longer than or equal to {info.min_length} characters" if value else "should not be empty"
    if info.max_length is not None and len(value) > info.max_length:
        return f"must be shorter than or equal to {info.max_length} characters"
    if info.pattern is not None and not re.search(info.pattern, value):
        return f"must match {info.pattern}" if value.isascii() else "must contain only ASCII characters"
    return None


def _number_sentence(value: object, info: inspect.IntType | inspect.FloatType, *, strict: bool) -> str | None:
    kind, noun = (int, "an integer number") if isinstance(info, inspect.IntType) else (float, "a number")
    if not _is(value, kind, strict=strict):
        return f"must be {noun}"
    number = msgspec.convert(value, kind, strict=strict)
    if info.ge is not None and number < info.ge:
        return f"must not be less than {info.ge}"
    if info.le is not None and number > info.le:
        return f"must not be greater than {info.le}"
    return None


def _is(value: object, kind: type, *, strict: bool) -> bool:
    try:
        msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError:
        return False
    return True


def _problem(path: str, sentence: str) -> FieldError:
    return FieldError(path, f"{path or 'body'} {sentence}")
