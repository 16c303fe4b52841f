"""Text that has rules of its own, checked and brought into form when a request is decoded."""

import re
from datetime import datetime
from functools import lru_cache
from typing import Any, Self

_ISO_UTC = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?)?(Z|\+00:00)?\Z", re.ASCII)


class ParsedText(str):
    """A text that `parse` has accepted. Struct fields of such a type hold its form, not what was sent."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return `text` in its form. Raises ValueError with what the field must be: «must be …»."""
        raise NotImplementedError


class Moment(ParsedText):
    """A time, ISO 8601 in UTC, as timestamps are kept."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the time with milliseconds and `Z`. Raises ValueError."""
        return cls(_timestamp(text))


# Most objects that are read one after the other share their times: an organization and its domains.
@lru_cache(maxsize=64)
def _timestamp(text: str) -> str:
    wrong = "must be an ISO 8601 time in UTC, as 2026-01-15T12:00:00Z"
    if not _ISO_UTC.match(text):
        raise ValueError(wrong)
    try:
        moment = datetime.fromisoformat(text.removesuffix("Z").removesuffix("+00:00"))
    except ValueError as error:
        raise ValueError(wrong) from error
    return moment.isoformat(timespec="milliseconds") + "Z"


def decode_custom(kind: type[Any], value: object) -> object:
    """Return `value` as a `kind`: msgspec's way to decode a type of ours. Raises ValueError as `parse` does."""
    if not issubclass(kind, ParsedText):
        raise NotImplementedError(kind)
    if not isinstance(value, str):
        raise ValueError("must be a string")  # noqa: TRY004 (msgspec makes a ValidationError of it)
    return kind.parse(value)


def describe_custom(kind: type[Any]) -> dict[str, object]:
    """Return the JSON schema of a type of ours."""
    if not issubclass(kind, ParsedText):
        raise NotImplementedError(kind)
    return {"type": "string"}
