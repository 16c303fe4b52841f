"""Positions: texts that sort as the places that they stand for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.events.positions import START, Place, is_position, place_of, text_of

NUMBERS = st.integers(0, (1 << 63) - 1)
PLACES = st.builds(Place, NUMBERS, NUMBERS)


@given(PLACES)
def test_a_text_stands_for_its_place(place: Place) -> None:
    assert is_position(text_of(place))
    assert place_of(text_of(place)) == place


@given(PLACES, PLACES)
def test_texts_sort_as_their_places_do(one: Place, other: Place) -> None:
    assert (text_of(one) < text_of(other)) == (one < other)
    assert (text_of(one).encode() < text_of(other).encode()) == (one < other)


@given(PLACES)
def test_the_start_is_before_every_place(place: Place) -> None:
    assert text_of(START) <= text_of(place)


@pytest.mark.parametrize(
    "text", ["", "0" * 31, "0" * 33, "8" + "0" * 31, "0" * 16 + "f" * 16, "A" * 32, "0" * 32 + "\n", "\u0660" * 32]
)
def test_what_no_place_has_is_no_position(text: str) -> None:
    assert not is_position(text)
