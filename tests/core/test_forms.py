"""The spellings of parameters and forms."""

import re
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tenantry.core.errors import ValidationFailed
from tenantry.core.forms import keyed, listed, nested, pairs

ITEM = st.text("abcxyz0.-é ", min_size=1, max_size=8).map(str.strip).filter(bool)
ITEMS = st.lists(ITEM, max_size=6)


def spellings(items: list[str]) -> list[str]:
    """Return a query string for each way in which a client writes this list (wire.md section 2.3)."""
    encoded = [quote(item) for item in items]
    return [
        "domains=" + ",".join(encoded),
        "domains=" + "%2C".join(encoded),
        "&".join(f"domains={item}" for item in encoded),
        "&".join(f"domains[]={item}" for item in encoded),
        "&".join(f"domains%5B%5D={item}" for item in encoded),
        "&".join(f"domains[{index}]={item}" for index, item in enumerate(encoded)),
        "&".join(f"domains%5B{index}%5D={item}" for index, item in enumerate(encoded)),
        "domains[]=" + ",".join(encoded),
    ]


@given(ITEMS)
def test_every_spelling_of_a_list_means_the_same(items: list[str]) -> None:
    for query in spellings(items):
        assert listed(pairs(query), "domains") == items


@given(ITEMS, ITEMS)
def test_other_parameters_do_not_leak_into_a_list(items: list[str], others: list[str]) -> None:
    for query, noise in zip(spellings(items), spellings(others), strict=True):
        mixed = f"{noise.replace('domains', 'domains2')}&{query}&xdomains=a&domains[x]=b&domains[0]x=c"
        assert listed(pairs(mixed), "domains") == items


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_by_name(text: str) -> None:
    try:
        given_pairs = pairs(text)
    except ValidationFailed:
        return
    nested(given_pairs)


@given(st.binary(max_size=100))
def test_any_percent_encoded_bytes_are_read_or_refused_by_name(octets: bytes) -> None:
    try:
        pairs("a=" + "".join(f"%{octet:02x}" for octet in octets))
    except ValidationFailed:
        with pytest.raises(UnicodeDecodeError):
            octets.decode()


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("a=1&b=", {"a": "1", "b": ""}),
        ("a=1&a=2", {"a": "2"}),
        ("m[x]=1&m[y z]=2", {"m": {"x": "1", "y z": "2"}}),
        ("l[]=1&l[]=2", {"l": ["1", "2"]}),
        ("l[1]=b&l[0]=a", {"l": ["a", "b"]}),
        ("d[0][domain]=a&d[0][state]=b&d[1][domain]=c", {"d": [{"domain": "a", "state": "b"}, {"domain": "c"}]}),
        ("a[=1", {"a[": "1"}),
        ("a[b]c=1", {"a[b]c": "1"}),
        ("a=1&a[b]=2", {"a": {"b": "2"}}),
        ("a[b]=1&a=2", {"a": "2"}),
        ("a[b][c][d][e][f]=1", {"a[b][c][d][e][f]": "1"}),
        ("l[99999]=x", {"l": {"99999": "x"}}),
    ],
)
def test_a_form_stands_for_an_object(form: str, value: dict[str, Any]) -> None:
    assert nested(pairs(form)) == value


@given(st.text(min_size=1, max_size=10), st.lists(st.text(min_size=1, max_size=10), min_size=1, unique=True))
def test_a_key_of_a_parameter_has_the_values_given_whatever_they_hold(key: str, values: list[str]) -> None:
    """Unless the key itself looks like a place in a list."""
    assume(not re.search(r"\]\[\d*\Z", key))
    for place in ("", "[]", "[0]"):
        given_pairs = [(f"metadata[{key}]{place}", value) for value in values]
        assert keyed(given_pairs, "metadata") == {key: values}


def test_an_empty_value_gives_a_key_alone() -> None:
    assert keyed(pairs("metadata[tier]=&metadata2[a]=b&metadata=c&metadata[]=d"), "metadata") == {"tier": []}


def test_an_empty_value_counts_beside_others_too() -> None:
    for query in ("m[tier]=&m[tier]=gold", "m[tier]=gold&m[tier]="):
        assert keyed(pairs(query), "m") == {"tier": []}
