"""Text that has rules of its own, checked and brought into form when a request is decoded."""

from typing import Any, Self


class ParsedText(str):
    """A text that `parse` has accepted. Struct fields of such a type hold its form, not what was sent."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return `text` in its form. Raises ValueError with what the field must be: «must be …»."""
        raise NotImplementedError


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
