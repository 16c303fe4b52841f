"""What can go wrong on PostgreSQL that another attempt may mend."""

from psycopg import errors

from tenantry.core.db.base import Collision
from tenantry.core.errors import DatabaseUnavailable

ATTEMPTS = 12
"""How often a transaction that collides is run before whoever asked is told."""

COLLISIONS = (
    Collision,
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.UniqueViolation,
    errors.ForeignKeyViolation,
    errors.DuplicateTable,
    errors.DuplicateObject,
)
"""A violation is a collision too: services look before they insert, so it means that another
transaction was faster. Run again, the look finds what that one made, or that it is gone. So it is with a table
that is made if there is none."""


def unavailable(error: BaseException) -> DatabaseUnavailable:
    """Return the error for whoever asked, with its cause."""
    failure = DatabaseUnavailable()
    failure.__cause__ = error
    return failure
