"""What it means for a name to contain a text, as pure functions."""


def fold(text: str) -> str:
    """Return `text` without case, in every script: a name contains what its fold contains."""
    return text.casefold()


def substring_pattern(text: str) -> str:
    r"""Return the LIKE pattern, with `\` as its escape, for folded names that contain `text`."""
    escaped = fold(text).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
