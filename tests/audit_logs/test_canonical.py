"""Canonical JSON is what RFC 8785 has, as another implementation of it says."""

import json
from typing import Any

import msgspec
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from tenantry.audit_logs.canonical import canonical, exact, number
from tenantry.audit_logs.wire import AuditLogActor

_MOST_EXACT = 2**53 - 1

texts = st.text(st.characters(exclude_categories=["Cs"]))
names = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", max_size=40)
floats = st.floats(allow_nan=False, allow_infinity=False)
values = texts | st.booleans() | floats | st.integers(-_MOST_EXACT, _MOST_EXACT)


@given(floats)
def test_a_number_is_written_as_the_rfc_has_it(value: float) -> None:
    assert number(value).encode() == rfc8785.dumps(value)
    assert float(number(value)) == value


@given(st.dictionaries(names, values), texts, texts)
def test_an_object_is_written_as_the_rfc_has_it(metadata: dict[str, Any], name: str, identity: str) -> None:
    actor = AuditLogActor(id=identity or "a", type="user", name=name, metadata=exact(metadata))
    expected: Any = {"id": identity or "a", "type": "user", "name": name, "metadata": metadata}
    assert canonical(actor) == rfc8785.dumps(expected)


@given(st.dictionaries(names, values))
def test_what_was_read_from_canonical_json_is_written_the_same(metadata: dict[str, Any]) -> None:
    written = canonical(exact(metadata))
    again = exact(msgspec.json.decode(written))
    assert canonical(again) == written


@given(st.integers())
def test_an_integer_keeps_all_its_digits(value: int) -> None:
    written = canonical(exact({"n": value}))
    assert written == b'{"n":%d}' % value
    assert json.loads(written)["n"] == value
