"""The policy on metadata, as pure functions (wire.md section 1.5)."""

from collections.abc import Mapping
from typing import NoReturn

from tenantry.core.errors import ApiError

MOST_KEYS = 50
LONGEST_KEY = 40
LONGEST_VALUE = 600


class InvalidMetadata(ApiError):
    """The metadata breaks a rule: 400, which names it."""

    status = 400
    code = "invalid_metadata"
    message = "The metadata is invalid."


def merge(current: Mapping[str, str], change: Mapping[str, object] | None) -> dict[str, str]:
    """Return `current` as `change` leaves it.

    Keys given overwrite, null deletes one, the others stay; `{}` deletes all, and None
    changes nothing. Raises InvalidMetadata when a key, a value or the number of keys that
    come out of it is over its limit.
    """
    if change is None:
        return dict(current)
    if not change:
        return {}
    for key, value in change.items():
        if not _is_allowed(key, value):
            _refuse(key, value)
    merged = {key: value for key, value in {**current, **change}.items() if isinstance(value, str)}
    if len(merged) > MOST_KEYS:
        raise InvalidMetadata(f"metadata must have at most {MOST_KEYS} keys; this makes {len(merged)}.")
    return merged


def check_key(key: str) -> None:
    """Raise InvalidMetadata for what cannot be a key."""
    if not key:
        raise InvalidMetadata("metadata keys must not be empty.")
    if len(key) > LONGEST_KEY:
        raise InvalidMetadata(f"metadata key '{key}' must be at most {LONGEST_KEY} characters.")


def _is_allowed(key: str, value: object) -> bool:
    if value is not None and not (isinstance(value, str) and len(value) <= LONGEST_VALUE):
        return False
    return 0 < len(key) <= LONGEST_KEY


def _refuse(key: str, value: object) -> NoReturn:
    """Raise InvalidMetadata, which says what is wrong."""
    check_key(key)
    if not isinstance(value, str):
        raise InvalidMetadata(f"metadata value of '{key}' must be a string, or null to delete the key.")
    raise InvalidMetadata(f"metadata value of '{key}' must be at most {LONGEST_VALUE} characters.")
