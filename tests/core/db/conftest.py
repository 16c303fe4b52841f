"""Fixtures of the databases themselves."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenantry.core.clock import system_clock
from tenantry.core.db import World
from tenantry.core.db.sqlite import SqliteDatabase


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "t.db"


@pytest.fixture
def lines(path: Path) -> Iterator[SqliteDatabase]:
    """A database on SQLite, in the file `path`, with a table of numbered lines."""
    opened = SqliteDatabase(path, World(system_clock(), os.urandom))
    opened.write(lambda tx: tx.run("CREATE TABLE lines (number INTEGER PRIMARY KEY, line NOT NULL)"))
    yield opened
    opened.close()
