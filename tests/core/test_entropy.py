"""Random text."""

import os
from collections import Counter

import pytest

from tenantry.core.entropy import alphanumeric


@pytest.mark.parametrize("length", [0, 1, 25, 40, 1000])
def test_a_text_has_the_length_asked_for_and_only_letters_and_digits(length: int) -> None:
    text = alphanumeric(os.urandom, length)
    assert len(text) == length
    assert text == "" or (text.isascii() and text.isalnum())


def test_every_character_is_equally_likely() -> None:
    every_byte_once = bytes(range(256))
    counts = Counter(alphanumeric(lambda _: every_byte_once, 248))
    assert (len(counts), set(counts.values())) == (62, {4})


def test_bytes_that_would_be_unfair_are_drawn_again() -> None:
    drawn = iter([b"\xff" * 33, b"\x00" * 33])
    assert alphanumeric(lambda _: next(drawn), 25) == "A" * 25
