"""Databases: two engines behind one interface."""

from tenantry.core.db.base import (
    PARAMETER,
    Collision,
    Commits,
    Database,
    Insertion,
    Row,
    Transaction,
    Values,
    Work,
    World,
)
from tenantry.core.db.connect import LEAST_CONNECTIONS, InvalidDatabaseUrl, open_database

__all__ = [
    "LEAST_CONNECTIONS",
    "PARAMETER",
    "Collision",
    "Commits",
    "Database",
    "Insertion",
    "InvalidDatabaseUrl",
    "Row",
    "Transaction",
    "Values",
    "Work",
    "World",
    "open_database",
]
