"""What this process has lately seen of the data: it may be out of date.

So a hint decides the way on which something is looked for, and never what is found.
"""

from typing import Any

_MOST = 64
_USES = 1_000


class Hints:
    """The hints of a process, by subject: on the last 64 subjects, each until it has been used a thousand times.

    Safe to use from several threads.
    """

    def __init__(self, most: int = _MOST, uses: int = _USES) -> None:
        self._most = most
        self._uses = uses
        self._kept: dict[object, _Hint] = {}

    def get(self, subject: object) -> Any:
        """Return what was seen of `subject`; None when nothing was, or it should be looked at anew."""
        hint = self._kept.get(subject)
        if hint is None or hint.left <= 0:
            return None
        hint.left -= 1  # of two threads one may count for both, which does no harm
        return hint.seen

    def put(self, subject: object, seen: object) -> None:
        """Keep what was seen of `subject`, if need be in the place of what was kept first."""
        kept = {each: hint for each, hint in self._kept.items() if each != subject}
        if len(kept) >= self._most:
            del kept[next(iter(kept))]
        # Another dictionary, so that no thread finds one that is half changed.
        self._kept = kept | {subject: _Hint(seen, self._uses)}


class _Hint:
    def __init__(self, seen: object, left: int) -> None:
        self.seen = seen
        self.left = left
