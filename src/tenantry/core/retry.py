"""When to try again, as pure functions of values."""


def backoff(attempt: int, chance: float, *, base: float = 0.005, ceiling: float = 0.5) -> float:
    """Return the seconds to wait before attempt number `attempt` (from 1) is made again.

    Doubles from `base` up to `ceiling`; `chance` in [0, 1) spreads those who failed
    together over the upper half of the wait, so that they do not meet again.
    """
    longest = min(ceiling, base * 2.0 ** (attempt - 1))
    return longest * (0.5 + chance / 2)
