"""How far one request looks for rows that match, where no index says all that is asked."""

import msgspec


class TakesLong(Exception):
    """More rows have to be looked at than the effort allows."""


class Effort(msgspec.Struct, frozen=True):
    """How many rows one request looks at, round after round; then it stops, or raises TakesLong if `gives_up`."""

    rounds: tuple[int, ...]
    gives_up: bool = False

    def stop(self) -> None:
        """Look no further. Raises TakesLong, if it gives up."""
        if self.gives_up:
            raise TakesLong


THOROUGH = Effort((100, 400, 1_500, 3_000))
"""What one request looks at before it answers with what it has found: 5,000 rows."""

QUICK = Effort((100,), gives_up=True)
"""What takes about a millisecond at most."""
