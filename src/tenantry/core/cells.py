"""Cells of a CSV that a spreadsheet takes for text, never for a formula, and the way back."""

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")


def neutral(cell: str) -> str:
    """Return a cell as a spreadsheet takes it for text: with an apostrophe before what would begin a formula."""
    return "'" + cell if _FORMULA.match(cell) else cell


def original(cell: str) -> str:
    """Return the cell that `neutral` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
