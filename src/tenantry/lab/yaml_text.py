"""YAML with the line of every value. Loaded only when there is a file to read: its library costs a megabyte.

Scalars are read as YAML 1.2 has them (the core schema), as other readers of these files do: `no` is a text.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

_CORE: tuple[tuple[re.Pattern[str], Callable[[str], object]], ...] = (
    (re.compile(r"~|null|Null|NULL|"), lambda _: None),
    (re.compile(r"true|True|TRUE|false|False|FALSE"), lambda text: text.lower() == "true"),
    (re.compile(r"[-+]?[0-9]+"), int),
    (re.compile(r"0o[0-7]+"), lambda text: int(text, 0)),
    (re.compile(r"0x[0-9a-fA-F]+"), lambda text: int(text, 0)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    (re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"), lambda text: float(text.replace(".", ""))),
)
_HALVES = re.compile(r"\\u[dD]([89a-fA-F][0-9a-fA-F]{2})")
# What is no text begins with one of these.
_TELLING = frozenset("~nNtTfF+-.0123456789")
_STRING = "tag:yaml.org,2002:str"
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

Places = dict[str, int]
"""The line of each value by its path, `organizations.0.name`; lines count from one."""


class NotYaml(ValueError):
    """The text is no YAML that can be read; `line` is where it ends to be, the message says why."""

    def __init__(self, line: int | None, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def read(text: str, places: Places | None = None) -> Any:
    """Return the value of the one document of `text`; None when it is empty. Fills `places`. Raises NotYaml."""
    try:
        return _Reader(yaml.parse(text, Loader=_LOADER), places).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(filter(None, (error.context, error.problem)))
        raise NotYaml(None if mark is None else mark.line + 1, reason) from error
    except yaml.reader.ReaderError as error:
        raise NotYaml(
            text.count("\n", 0, error.position) + 1, f"{error.reason}: it holds a control character"
        ) from error


def places_of_json(text: str) -> Places:
    """Return the line of each value of a JSON text, as far as they can be told.

    JSON is YAML, but for tabs, which stand in it only where a space may, and for the halves of characters.
    """
    places: Places = {}
    with contextlib.suppress(NotYaml):
        read(_HALVES.sub(r"\\u1\1", text.replace("\t", " ")), places)
    return places


class _Reader:
    """Makes values of a document's events, each with its line."""

    def __init__(self, events: Iterator[Any], places: Places | None) -> None:
        self._events = events
        self._places = places
        self._anchors: dict[str, Any] = {}

    def document(self) -> Any:
        value, count = None, 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                count += 1
                if count > 1:
                    raise _wrong(event, "holds a second document")
                value = self._value(next(self._events), "")
        return value

    def _value(self, event: Any, path: str) -> Any:
        self._note(path, event)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise _wrong(event, f"the anchor '{event.anchor}' is not known here")
            return self._anchors[event.anchor]
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(path)
        else:
            value = self._mapping(path)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        return value

    def _note(self, path: str, event: Any) -> None:
        if self._places is not None:
            self._places[path] = event.start_mark.line + 1

    def _sequence(self, path: str) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, _below(path, len(items))))
        return items

    def _mapping(self, path: str) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise _wrong(event, "a key must be a text")
            if event.value in items:
                raise _wrong(event, f"the key '{event.value}' is there twice")
            items[event.value] = self._value(next(self._events), _below(path, event.value))
            self._note(_below(path, event.value), event)
        return items


def _below(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _wrong(event: Any, reason: str) -> NotYaml:
    return NotYaml(event.start_mark.line + 1, reason)


def _scalar(event: Any) -> object:
    if event.tag not in {None, _STRING, "!"}:
        raise _wrong(event, f"the tag {event.tag} is not known")
    return plain(event.value) if event.tag is None and event.implicit[0] else event.value


def plain(text: str) -> object:
    """Return what a text stands for that has no quotes."""
    if text and text[0] not in _TELLING:
        return text
    return next((made(text) for pattern, made in _CORE if pattern.fullmatch(text)), text)


class _Dumper(_DUMPER):  # type: ignore[misc]
    """Writes texts with quotes where they would be read as something else."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _text_node(dumper: Any, text: str) -> Any:
    return dumper.represent_scalar(_STRING, text, style=None if plain(text) is text else '"')


_Dumper.add_representer(str, _text_node)


def write(value: object) -> str:
    """Return `value` as YAML that `read` makes the same value of."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return text
