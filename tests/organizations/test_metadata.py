"""The policy on metadata, against its plain words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.organizations.metadata import LONGEST_KEY, LONGEST_VALUE, MOST_KEYS, InvalidMetadata, merge

KEYS = st.text(min_size=1, max_size=LONGEST_KEY)
VALUES = st.text(max_size=30)
CURRENT = st.dictionaries(KEYS, VALUES, max_size=20)
CHANGE = st.dictionaries(KEYS, VALUES | st.none(), max_size=20)
ANY = st.none() | st.booleans() | st.integers() | st.text(max_size=700) | st.lists(st.integers())


@given(CURRENT, CHANGE.filter(bool))
def test_given_keys_overwrite_nulls_delete_others_stay(
    current: dict[str, str], change: dict[str, str | None]
) -> None:
    merged = merge(current, change)
    for key in current.keys() | change.keys():
        expected = change[key] if key in change else current[key]
        assert merged.get(key) == expected
        assert (key in merged) == (expected is not None)


@given(CURRENT)
def test_an_empty_change_clears_and_none_changes_nothing(current: dict[str, str]) -> None:
    assert merge(current, {}) == {}
    assert merge(current, None) == current


@given(CURRENT, CHANGE.filter(bool))
def test_the_same_change_twice_is_the_change_once(current: dict[str, str], change: dict[str, str | None]) -> None:
    once = merge(current, change)
    assert merge(once, change) == once


@given(st.dictionaries(st.text(max_size=50), VALUES, max_size=60), st.dictionaries(st.text(max_size=50), ANY))
def test_what_comes_out_keeps_every_limit(current: dict[str, str], change: dict[str, object]) -> None:
    current = {key: value for key, value in current.items() if 0 < len(key) <= LONGEST_KEY}
    try:
        merged = merge(dict(list(current.items())[:MOST_KEYS]), change)
    except InvalidMetadata:
        return
    assert len(merged) <= MOST_KEYS
    for key, value in merged.items():
        assert 0 < len(key) <= LONGEST_KEY
        assert isinstance(value, str)
        assert len(value) <= LONGEST_VALUE


@pytest.mark.parametrize("value", [1, True, 1.5, [], {}, ["a"]])
def test_a_value_that_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(InvalidMetadata, match="'k' must be a string, or null"):
        merge({}, {"k": value})
