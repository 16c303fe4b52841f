"""The policy of trying again."""

from hypothesis import given
from hypothesis import strategies as st

from tenantry.core.retry import backoff

CHANCE = st.floats(0, 1, exclude_max=True)


@given(st.integers(1, 100), CHANCE)
def test_the_wait_is_never_zero_and_never_over_the_ceiling(attempt: int, chance: float) -> None:
    assert 0 < backoff(attempt, chance) <= 0.5


@given(st.integers(1, 6), CHANCE)
def test_the_wait_grows(attempt: int, chance: float) -> None:
    assert backoff(attempt + 1, chance) > backoff(attempt, chance)
