"""What a database can tell of a filter: SQL that leaves out most of the events that do not match.

A look at an event's bytes costs it a microsecond, a tenth of handing the event over to be decoded and
compared; and a thread that is handed row after row waits for the interpreter at each.
"""

import re

import msgspec

from tenantry.audit_logs.filters import Filter

_MOST_VALUES = 8
"""A list of more is left to the comparison: each value is a look at all the bytes."""

# What JSON writes otherwise than it is.
_ESCAPED = re.compile(r'["\\\x00-\x1f]')

_HOLDS = {
    "sqlite": "instr(event.wire, :{0}) > 0",
    "postgres": "position(CAST(:{0} AS BYTEA) IN event.wire) > 0",
}
# Only of what is ASCII does a database know the other case. On PostgreSQL what is not, or has an escape,
# is longer when escaped: this needs no encoding of the database's own.
_HOLDS_FOLDED = {
    "sqlite": "(instr(lower(event.wire), :{0}) > 0 OR length(CAST(event.wire AS TEXT)) <> length(event.wire))",
    "postgres": (
        "(strpos(lower(encode(event.wire, 'escape') COLLATE \"C\"), :{0}) > 0"
        " OR length(encode(event.wire, 'escape')) <> length(event.wire))"
    ),
}


_INDEXED = ("action", "actor_id")


class Narrowing(msgspec.Struct, frozen=True):
    """Conditions on a row `event`, their parameters, and what of the filter is left to compare with.

    `indexed` are those of the conditions of which an index says, without a look at the event, whether they hold.
    """

    conditions: list[str]
    indexed: list[str]
    parameters: dict[str, object]
    rest: Filter


def narrowing(engine: str, chosen: Filter) -> Narrowing:
    """Return what leaves out events that are not `chosen`: it never leaves out one that is."""
    named, parameters = dict[str, str](), dict[str, object]()
    columns = {"action": chosen.actions, "actor_id": chosen.actor_ids, "actor_type": chosen.actor_types}
    for name, values in columns.items():
        if values:
            named[name] = f"event.{name} {'=' if len(values) == 1 else 'IN'} :event_{name}"
            parameters[f"event_{name}"] = values[0] if len(values) == 1 else values
    conditions, indexed = list(named.values()), [named[name] for name in _INDEXED if name in named]
    rest = msgspec.structs.replace(chosen, actions=[], actor_ids=[], actor_types=[])
    for name, values in _written(rest).items():
        names = [f"{name}_{number}" for number in range(len(values))]
        conditions.append(f"({' OR '.join(_HOLDS[engine].format(each) for each in names)})")
        parameters |= {each: b'"%b"' % value.encode() for each, value in zip(names, values, strict=True)}
    if rest.text.isascii() and _is_written_as_it_is(rest.text):
        conditions.append(_HOLDS_FOLDED[engine].format("text"))
        parameters["text"] = rest.text
    return Narrowing(conditions, indexed, parameters, rest)


def _written(chosen: Filter) -> dict[str, list[str]]:
    """Return, by name, the lists of values one of which must stand in an event's JSON, in quotes."""
    lists = {"actor_name": chosen.actor_names, "target_id": chosen.target_ids, "target_type": chosen.target_types}
    return {
        name: values
        for name, values in lists.items()
        if 0 < len(values) <= _MOST_VALUES and all(map(_is_written_as_it_is, values))
    }


def _is_written_as_it_is(text: str) -> bool:
    return bool(text) and not _ESCAPED.search(text)
