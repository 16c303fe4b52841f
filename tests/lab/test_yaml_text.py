"""YAML is read as version 1.2 has it, each value with its line, and what is written is read as it was."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.lab.yaml_text import NotYaml, places_of_json, read, write

# YAML has no surrogates, and folds what is a line break to it.
texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029\ufeff"), max_size=40
)
scalars = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
lookalikes = st.sampled_from(
    [
        "no",
        "yes",
        "on",
        "1e3",
        "0o17",
        "0x1f",
        "012",
        "1_000",
        "12:30:00",
        "2030-01-01",
        "~",
        "",
        ".inf",
        "=",
        "<<",
    ]
)


@given(values)
def test_what_is_written_is_read_as_it_was(value: object) -> None:
    assert read(write(value)) == value


@given(lookalikes)
def test_a_text_that_looks_like_something_else_stays_a_text(text: str) -> None:
    assert read(write({"external_id": text})) == {"external_id": text}


@given(st.dictionaries(st.text("ab", min_size=1, max_size=3), values, max_size=5))
def test_json_text_has_the_lines_of_its_values(value: dict[str, object]) -> None:
    places = places_of_json(json.dumps(value, indent="\t"))
    lines = json.dumps(value, indent="\t").splitlines()
    for key in value:
        assert json.dumps(key) in lines[places[key] - 1]


def test_scalars_are_those_of_the_core_schema() -> None:
    text = "[no, yes, on, true, False, 1, -2, 0x1f, 0o17, 1.5, 1e3, ~, null, 2030-01-01, 012, '1', !!str 1]"
    assert read(text) == [
        *("no", "yes", "on", True, False, 1, -2, 31, 15, 1.5, 1000.0, None, None, "2030-01-01", 12, "1", "1"),
    ]


def test_an_anchor_stands_for_its_value() -> None:
    assert read("a: &x {b: [1]}\nc: *x") == {"a": {"b": [1]}, "c": {"b": [1]}}


def test_nothing_is_none() -> None:
    assert read("") is None
    assert read("# a remark\n") is None


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a: 1\nb: [1\nc: 2", 3, "expected ',' or ']'"),
        ("a: 1\nb: 2\na: 3", 3, "the key 'a' is there twice"),
        ("a: 1\n---\nb: 2", 2, "holds a second document"),
        ("a: 1\n? [b]\n: 1", 2, "a key must be a text"),
        ("a: 1\nb: *x", 2, "the anchor 'x' is not known"),
        ("a: &x [*x]", 1, "the anchor 'x' is not known"),
        ("a: 1\nb: !!python/name:os.system 1", 2, "the tag tag:yaml.org,2002:python/name:os.system is not known"),
        ("a: 1\nb: \x07", 2, "control characters are not allowed"),
        ("\tb: 1", 1, "cannot start any token"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str, line: int, reason: str) -> None:
    with pytest.raises(NotYaml) as told:
        read(text)
    assert reason in str(told.value)
    assert told.value.line == line
