"""Which events are asked for, where they stand, and whether one is among them: functions of values alone."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

_PLACE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z_[0-7][0-9a-f]{15}\Z", re.ASCII)
_POSITION_DIGITS = 16


class Place(msgspec.Struct, frozen=True, order=True):
    """Where an event stands in its organization's trail: by its time, those of one time as they came."""

    occurred_at: str
    position: int


def text_of(place: Place) -> str:
    """Return a place as the text that callers are given: of two the later has the greater text."""
    return f"{place.occurred_at}_{place.position:0{_POSITION_DIGITS}x}"


def is_place(text: str) -> bool:
    """Return whether `text` can stand for a place."""
    return _PLACE.match(text) is not None


def place_of(text: str) -> Place:
    """Return the place that a text for which `is_place` is true stands for."""
    occurred_at, _, position = text.partition("_")
    return Place(occurred_at, int(position, 16))


class Filter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Events that match all that is given: of a list any, of the times both included.

    `target_ids` and `target_types` are about one and the same target. `text` is folded, and
    stands somewhere in the event: in a name, an id, a type, the context, a value of metadata.
    """

    range_start: str | None = None
    range_end: str | None = None
    actions: list[str] = []
    actor_ids: list[str] = []
    actor_names: list[str] = []
    actor_types: list[str] = []
    target_ids: list[str] = []
    target_types: list[str] = []
    text: str = ""


ALL = Filter()


class Party(msgspec.Struct, frozen=True):
    """An actor or a target as it is kept."""

    id: str
    type: str
    name: str | None = None
    metadata: dict[str, Any] | None = None


class Origin(msgspec.Struct, frozen=True):
    """The context of an event as it is kept."""

    location: str
    user_agent: str | None = None


class Kept(msgspec.Struct, frozen=True):
    """An event as it is kept; what a filter looks at."""

    action: str
    occurred_at: str
    actor: Party
    targets: list[Party]
    context: Origin
    metadata: dict[str, Any] | None = None


def fold(text: str) -> str:
    """Return `text` without case, in every script."""
    return text.casefold()


def matches(chosen: Filter, event: Kept) -> bool:
    """Return whether `chosen` asks for this event."""
    actor = event.actor
    return (
        (chosen.range_start is None or event.occurred_at >= chosen.range_start)
        and (chosen.range_end is None or event.occurred_at <= chosen.range_end)
        and _is_any(event.action, chosen.actions)
        and _is_any(actor.id, chosen.actor_ids)
        and _is_any(actor.type, chosen.actor_types)
        and (not chosen.actor_names or actor.name in chosen.actor_names)
        and (
            not (chosen.target_ids or chosen.target_types)
            or any(
                _is_any(target.id, chosen.target_ids) and _is_any(target.type, chosen.target_types)
                for target in event.targets
            )
        )
        and (not chosen.text or any(chosen.text in fold(text) for text in texts_of(event)))
    )


def _is_any(value: str, wanted: list[str]) -> bool:
    return not wanted or value in wanted


def texts_of(event: Kept) -> Iterator[str]:
    """Yield every text of an event that a search looks at."""
    yield event.action
    for party in (event.actor, *event.targets):
        yield from (party.id, party.type, party.name or "")
        yield from _values(party.metadata)
    yield from (event.context.location, event.context.user_agent or "")
    yield from _values(event.metadata)


def _values(metadata: dict[str, Any] | None) -> Iterator[str]:
    if metadata:
        yield from (value for value in metadata.values() if isinstance(value, str))
