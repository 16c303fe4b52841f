"""Names and values as they stand in a query string or a form body."""

import re
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus

from tenantry.core.errors import FieldError, ValidationFailed

_MOST_PAIRS = 1000
_DEEPEST = 5
_LONGEST_PLACE = 4
_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)\Z")


def pairs(encoded: str) -> list[tuple[str, str]]:
    """Return the decoded pairs of a query string or form body.

    Raises ValidationFailed when they are not UTF-8 or more than a thousand.
    """
    fields = [field.partition("=") for field in encoded.split("&") if field]
    if len(fields) > _MOST_PAIRS:
        raise ValidationFailed([FieldError("", f"parameters must not be more than {_MOST_PAIRS}")])
    if "%" not in encoded and "+" not in encoded:
        return [(name, value) for name, _, value in fields]
    try:
        return [(_decoded(name), _decoded(value)) for name, _, value in fields]
    except UnicodeDecodeError as error:
        raise ValidationFailed([FieldError("", "parameters must be percent-encoded UTF-8")]) from error


def _decoded(text: str) -> str:
    return unquote_plus(text, errors="strict")


def listed(given: list[tuple[str, str]], name: str) -> list[str]:
    """Return the items of the list parameter `name`, in any of the clients' spellings.

    `a,b`; `name=a&name=b`; `name[]=a&name[]=b`; `name[0]=a&name[1]=b`; and mixes of
    them (wire.md section 2.3). Items are trimmed, empty ones dropped.
    """
    spelling = _spelling(name)
    values = [value for key, value in given if spelling.match(key)]
    items = [item.strip() for value in values for item in value.split(",")]
    return [item for item in items if item]


def keyed(given: list[tuple[str, str]], name: str) -> dict[str, list[str]]:
    """Return what each key of the parameter `name` is given: `name[key]=a`, several times for several.

    `name[key][]=a` and `name[key][0]=a` are the same. Unlike those of a list, a value is taken as it
    is, commas and spaces included, and an empty one gives the key without any, whatever others it is given.
    """
    spelling = _key_spelling(name)
    found: dict[str, dict[str, None]] = {}
    for parameter, value in given:
        if match := spelling.match(parameter):
            found.setdefault(match[1], {})[value] = None
    return {key: [] if "" in values else list(values) for key, values in found.items()}


@lru_cache(maxsize=256)
def _spelling(name: str) -> re.Pattern[str]:
    return re.compile(rf"{re.escape(name)}(\[\d*\])?\Z")


@lru_cache(maxsize=256)
def _key_spelling(name: str) -> re.Pattern[str]:
    return re.compile(rf"{re.escape(name)}\[(.+?)\](?:\[\d*\])?\Z", re.DOTALL)


def nested(given: list[tuple[str, str]]) -> dict[str, Any]:
    """Return a form body as the object it stands for, as far as can be told without the types of its fields.

    `metadata[tier]=gold` is a key of an object, `domains[]=a` and `domains[0]=a` items of
    a list, `domain_data[0][domain]=a` a key of an item; the last of two equal keys counts.
    A key that is not of this form stands for itself.
    """
    return {key: with_lists(value) for key, value in tree(given).items()}


def tree(given: list[tuple[str, str]]) -> dict[str, Any]:
    """Do as `nested`, but leave every list an object with the places of its items for keys.

    A place is a text, as it was given; or a number, where `[]` left it open.
    """
    root: dict[str, Any] = {}
    for key, value in given:
        match = _KEY.match(key)
        steps = re.findall(r"\[([^\[\]]*)\]", match[2]) if match else []
        if match and len(steps) < _DEEPEST:
            _put(root, [match[1], *steps], value)
        else:
            root[key] = value
    return root


def _put(below: dict[Any, Any], path: list[str], value: str) -> None:
    *steps, last = path
    for step in steps:
        next_below = below.get(step)
        if not isinstance(next_below, dict):
            next_below = below[step] = {}
        below = next_below
    below[last or len(below)] = value


def items_of(value: Any) -> list[Any] | None:
    """Return the items of the list that a part of a `tree` stands for, or None if it stands for none."""
    if not isinstance(value, dict) or not value or not all(map(_is_place, value)):
        return None
    return [value[key] for key in sorted(value, key=int)]


def _is_place(key: str | int) -> bool:
    return isinstance(key, int) or (key.isdecimal() and len(key) <= _LONGEST_PLACE)


def with_lists(value: Any) -> Any:
    """Return a part of a `tree` with every object whose keys are all places as the list that it stands for."""
    items = items_of(value)
    if items is not None:
        return [with_lists(item) for item in items]
    if isinstance(value, dict):
        return {str(key): with_lists(item) for key, item in value.items()}
    return value
