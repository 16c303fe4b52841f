"""What it means for a name to contain a text, and how an index finds it, as pure functions.

The index holds terms: `TERM_BYTES` bytes of a folded name in a row, for each byte that one can
begin at. A name that contains a text has every term of the text, so the few names that have its
rarest terms are looked up, and only those are read. A text shorter than a term is the beginning
of one.
"""

from collections.abc import Iterable
from math import inf
from typing import Any
from zlib import crc32

import msgspec

Match = tuple[str, msgspec.Raw]
"""Id and JSON of an organization that matches."""

TERM_BYTES = 5
_DIGITS = 2 * TERM_BYTES
_PADDING = "00" * (TERM_BYTES - 1)
_SPACE_LETTERS = 6
_MOST_TRIED = 16
_NUMBERS = 1 << 16
_MOST_COUNTED = 255


def matches_of(rows: Iterable[tuple[Any, ...]]) -> list[Match]:
    """Return the matches whose ids and JSON are the first two columns of `rows`."""
    return [(row[0], msgspec.Raw(row[1])) for row in rows]


def fold(text: str) -> str:
    """Return `text` without case, in every script: a name contains what its fold contains."""
    return text.casefold()


def terms_of_name(environment_id: str, folded: str) -> list[str]:
    """Return the terms of a folded name: hexadecimal digits after the environment's space.

    The padding lets even the last byte begin a term. The migrations write the same in SQL.
    """
    space, digits = _space(environment_id), folded.encode().hex() + _PADDING
    return [space + digits[start : start + _DIGITS] for start in range(0, len(digits) - _DIGITS + 2, 2)]


def is_short(folded: str) -> bool:
    """Return whether a text is less than a term, and so only the beginning of some."""
    return len(folded.encode()) < TERM_BYTES


def beginning(environment_id: str, folded: str) -> str:
    """Return what terms begin with in names that contain a short text."""
    return _space(environment_id) + folded.encode().hex()


class Sample:
    """Some folded names, one a line, which tell what is common in an environment and what is rare."""

    def __init__(self, names: str) -> None:
        self.names = names
        self._rows = names.count("\n") + 1
        text = names.encode()
        # Terms that share a number are taken for more common than they are, which costs time at most.
        self._counts = bytearray(_NUMBERS)
        for start in range(len(text) - TERM_BYTES + 1):
            number = _number(text[start : start + TERM_BYTES])
            if self._counts[number] < _MOST_COUNTED:
                self._counts[number] += 1

    def rows_before(self, text: str, wanted: int) -> float:
        """Return how many rows a walk likely looks at to find `wanted` with a text; inf if no name has it."""
        count = self.names.count(text)
        return wanted * self._rows / count if count else inf

    def count(self, term: bytes) -> int:
        """Return how often a term is in the names, up to 255, or some more."""
        return self._counts[_number(term)]


def rarest_terms(environment_id: str, folded: str, sample: Sample, parts: int) -> list[str]:
    """Return a term of each of `parts` of a text that is not short: the rarest there in `sample`.

    Those of one word would often stand in the same names; those of parts seldom do.
    """
    text = folded.encode()
    count = len(text) - TERM_BYTES + 1
    length = -(-count // parts)
    chosen = [_rarest(text, range(start, min(start + length, count)), sample) for start in range(0, count, length)]
    return [_space(environment_id) + term.hex() for term in chosen]


def _rarest(text: bytes, starts: range, sample: Sample) -> bytes:
    """Return the rarest of some terms; of equals one that reaches from a word into the next, which is rarer."""
    some = starts[:: -(-len(starts) // _MOST_TRIED)]
    terms = [text[start : start + TERM_BYTES] for start in some]
    return min(terms, key=lambda term: (sample.count(term), b" " not in term[1:-1]))


def _number(term: bytes) -> int:
    return crc32(term) % _NUMBERS


def _space(environment_id: str) -> str:
    """Return what keeps the terms of environments apart. Two that share it cost time, and change no answer."""
    return environment_id[-_SPACE_LETTERS:].lower()
