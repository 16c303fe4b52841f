"""From SQLite's log into the database: what is committed is copied there when the log has become long."""

import contextlib
import sqlite3

_ROWS = 12_000
"""Changed rows between two: some 32 MiB of log where requests change a few rows each.

A page is copied once, however often it changed: so many make a create a tenth cheaper than SQLite's 1,000 pages.
"""
_TIMES_AHEAD = 2
"""What was committed while the first copy was made is a tenth of it, and while the second one, a hundredth."""


class Checkpoints:
    """Those of what one connection has written, which nobody else may use while `make` runs.

    SQLite makes them by itself after a commit, while others write; up to 3.51.2 that can, rarely, lose what those
    commit (https://sqlite.org/wal.html#the_wal_reset_bug): when the log, all copied, is begun anew while a
    checkpoint begins. So here a connection of its own, `guard`, sees to it that nobody begins it anew meanwhile.
    The other, `copier`, copies while the first one may write.
    """

    def __init__(
        self, connection: sqlite3.Connection, guard: sqlite3.Connection, copier: sqlite3.Connection
    ) -> None:
        self._connection = connection
        self._guard = guard
        self._copier = copier
        self._changes = connection.total_changes

    @property
    def is_due(self) -> bool:
        return self._connection.total_changes - self._changes >= _ROWS

    def copy_ahead(self) -> None:
        """Copy what is committed while others write, so that little is left for `make`.

        The guard reads meanwhile. A log that is not all copied is not begun anew before a reader of it has ended;
        of one that is, nothing is copied before a reader has (https://sqlite.org/walformat.html, "WAL Locks").
        """
        for _ in range(_TIMES_AHEAD):
            with contextlib.suppress(sqlite3.Error):
                self._guard.execute("BEGIN")
                try:
                    self._guard.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
                    self._copier.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                finally:
                    self._guard.execute("ROLLBACK")

    def make(self) -> None:
        """Copy all that is committed, outside any transaction of the connection, while nobody writes.

        Where that cannot be done, as while another process writes for long, what is committed stays in the log, as
        durable as in the database, and the next one takes it along.
        """
        self._changes = self._connection.total_changes
        with contextlib.suppress(sqlite3.Error):
            self._guard.execute("BEGIN IMMEDIATE")
            try:
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            finally:
                self._guard.execute("ROLLBACK")
