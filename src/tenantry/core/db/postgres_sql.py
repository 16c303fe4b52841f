"""Statements as PostgreSQL takes them: parameters are `:name` in ours, and a list stands for its items."""

import re
from functools import lru_cache
from typing import NamedTuple

from psycopg.adapt import PyFormat

from tenantry.core.db.base import PARAMETER

_ARRAY = re.compile(r"(?<!:):(\w+)(::\w+\[\])")
_LIST = re.compile(r"\bIN :(\w+)")


class Statement(NamedTuple):
    """A statement with `$1`, `$2` for its parameters, which are `names` in this order."""

    text: bytes
    names: tuple[str, ...]
    formats: list[PyFormat]
    changes: bool
    """Whether it may change something."""


@lru_cache(maxsize=2048)
def numbered(sql: str) -> Statement:
    """Return a statement for libpq."""
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    text = PARAMETER.sub(number, _listed(sql))
    # psycopg writes an array as text if it may, which takes ten times as long as in binary.
    arrays = {name for name, _ in _ARRAY.findall(sql)}
    formats = [PyFormat.BINARY if name in arrays else PyFormat.AUTO for name in names]
    return Statement(text.encode(), tuple(names), formats, not sql.lstrip().startswith("SELECT"))


@lru_cache(maxsize=2048)
def named(sql: str) -> bytes:
    """Return a statement for psycopg, with `%(name)s` for its parameters."""
    text = _ARRAY.sub(r"%(\1)b\2", _listed(sql).replace("%", "%%"))
    return PARAMETER.sub(r"%(\1)s", text).encode()


def _listed(sql: str) -> str:
    """Have a list be one parameter, whatever its length, so that the statement stays the same and prepared."""
    return _LIST.sub(r"= ANY(:\1)", sql)
