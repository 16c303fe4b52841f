"""From SQLite's log into the database: what is committed is copied there when the log has become long."""

import contextlib
import sqlite3

_ROWS = 12_000
"""Changed rows between two: some 32 MiB of log where requests change a few rows each.

A page is copied once, however often it changed: so many make a create a tenth cheaper than SQLite's 1,000 pages.
"""


class Checkpoints:
    """Those of what one connection has written, which nobody else may use meanwhile.

    SQLite makes them by itself after a commit, while others write; up to 3.51.2 that can, rarely, lose what those
    commit (https://sqlite.org/wal.html#the_wal_reset_bug). So here another connection, `guard`, holds the lock of
    those who write.
    """

    def __init__(self, connection: sqlite3.Connection, guard: sqlite3.Connection) -> None:
        self._connection = connection
        self._guard = guard
        self._changes = connection.total_changes

    @property
    def is_due(self) -> bool:
        return self._connection.total_changes - self._changes >= _ROWS

    def make(self) -> None:
        """Make one, outside any transaction of the connection.

        Where it cannot be made, as while another process writes for long, what is committed stays in the log, as
        durable as in the database, and the next one takes it along.
        """
        self._changes = self._connection.total_changes
        with contextlib.suppress(sqlite3.Error):
            self._guard.execute("BEGIN IMMEDIATE")
            try:
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            finally:
                self._guard.execute("ROLLBACK")
