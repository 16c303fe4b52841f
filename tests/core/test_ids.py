"""Ids: prefixed ULIDs, in order."""

import os
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from tenantry.core.ids import IdSource, id_pattern, ulid

TIMES = st.integers(0, 2**48 - 1)
RANDOM = st.integers(0, 2**80 - 1)
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def value_of(text: str) -> int:
    number = 0
    for character in text:
        number = number * 32 + CROCKFORD.index(character)
    return number


@given(TIMES, RANDOM)
def test_a_ulid_holds_its_time_and_randomness(milliseconds: int, randomness: int) -> None:
    text = ulid(milliseconds, randomness)
    assert len(text) == 26
    assert divmod(value_of(text), 2**80) == (milliseconds, randomness)


@given(TIMES, RANDOM, TIMES, RANDOM)
def test_ulids_sort_as_their_values_do(time: int, randomness: int, other: int, more: int) -> None:
    assert (ulid(time, randomness) < ulid(other, more)) == ((time, randomness) < (other, more))


def test_a_known_ulid() -> None:
    assert ulid(1469918176385, 0) == "01ARYZ6S410000000000000000"


def test_ids_of_one_millisecond_count_up() -> None:
    source = IdSource(os.urandom)
    ids = [source.new("org", 1000) for _ in range(1000)]
    assert ids == sorted(set(ids))


def test_ids_carry_the_time_that_was_asked_for() -> None:
    source = IdSource(os.urandom)
    for time in (5, 5, 7, 6, 6):
        assert value_of(source.new("org", time)[4:]) >> 80 == time


def test_randomness_that_would_overflow_starts_anew() -> None:
    source = IdSource(lambda count: b"\xff" * count)
    assert source.new("org", 1) == source.new("org", 1) == f"org_{ulid(1, 2**80 - 1)}"


def test_threads_never_share_an_id() -> None:
    source = IdSource(os.urandom)
    with ThreadPoolExecutor(8) as threads:
        ids = list(threads.map(lambda _: source.new("org", 1), range(4000)))
    assert len(set(ids)) == 4000


def test_the_pattern_knows_ids() -> None:
    pattern = id_pattern("org")
    assert pattern.match("org_01EHQMYV6MBK39QC5PZXHY59C3")
    for wrong in ("org_01EHQMYV6MBK39QC5PZXHY59C3\n", "org_91EHQMYV6MBK39QC5PZXHY59C3", "org_", "org_domain_x"):
        assert not pattern.match(wrong)
