"""What a dry run would have made, for the records that come later in it."""

import sqlite3
from collections.abc import Iterable

import msgspec

from tenantry.organizations.claims import Claim

_encode = msgspec.json.Encoder().encode


class Trial:
    """What the records of a dry run would have made so far: organizations and their claims.

    All of it is in a temporary file, about as large as the JSON of what would have been created or changed;
    of that some 2 MB are in memory.
    """

    def __init__(self) -> None:
        # Without a name it is a file of the connection's own, gone with it.
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            " CREATE TABLE organizations (id TEXT PRIMARY KEY, wire BLOB) WITHOUT ROWID;"
            " CREATE TABLE claims (kind TEXT, value TEXT, organization_id TEXT, holds INTEGER,"
            " PRIMARY KEY (kind, value, organization_id)) WITHOUT ROWID;"
        )

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def note(self, organizations: Iterable[tuple[str, bytes]], claims: Iterable[Claim]) -> None:
        """Add organizations, as id and JSON, and claims, in the order in which they are made."""
        self._file.execute("BEGIN")
        self._file.executemany("INSERT OR REPLACE INTO organizations VALUES (?, ?)", organizations)
        self._file.executemany("INSERT OR REPLACE INTO claims VALUES (?, ?, ?, ?)", claims)
        self._file.execute("COMMIT")

    def wires(self, organization_ids: Iterable[str]) -> dict[str, bytes]:
        """Return the JSON of each of the organizations that would have been made or changed, by id."""
        sql = "SELECT id, wire FROM organizations WHERE id IN (SELECT value FROM json_each(?))"
        return dict(self._file.execute(sql, [_encode(list(organization_ids)).decode()]))

    def claims(self, kind: str, values: Iterable[str]) -> list[Claim]:
        """Return who has taken or let go of any of the values; first those who have let go."""
        rows = self._file.execute(
            "SELECT kind, value, organization_id, holds FROM claims"
            " WHERE kind = ? AND value IN (SELECT value FROM json_each(?)) ORDER BY holds",
            [kind, _encode(list(values)).decode()],
        )
        return [Claim(*row) for row in rows]
