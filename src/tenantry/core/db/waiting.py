"""Rows that wait to be inserted together: one statement for many costs each of them less than one of its own."""

from tenantry.core.db.base import Insertion, Values


class Waiting:
    """Rows by the insertion that puts them in; those of one insertion keep their order."""

    def __init__(self) -> None:
        self._rows: dict[Insertion, list[Values]] = {}

    def keep(self, insertion: Insertion, row: Values) -> None:
        """Have one more row wait."""
        self._rows.setdefault(insertion, []).append(row)

    def take(self) -> list[tuple[Insertion, list[Values]]]:
        """Return the rows that wait, which then wait no more: those that others refer to first."""
        if not self._rows:
            return []
        taken, self._rows = self._rows, {}
        return sorted(taken.items(), key=lambda each: not each[0].leads)
