"""Random text."""

import os
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.core.entropy import Pool, alphanumeric


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


@given(st.lists(st.integers(8, 5000), max_size=60))
def test_a_pool_gives_no_byte_of_its_source_twice(counts: list[int]) -> None:
    stream, given_out = os.urandom(1 << 20), 0

    def source(count: int) -> bytes:
        nonlocal given_out
        given_out += count
        return stream[given_out - count : given_out]

    pool = Pool(source)
    answers = [pool(count) for count in counts]
    assert [len(answer) for answer in answers] == counts
    starts = sorted((stream.index(answer), len(answer)) for answer in answers)
    assert all(start + length <= later for (start, length), (later, _) in pairwise(starts))
