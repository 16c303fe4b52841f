"""The domains of a filled database as their checks see them: which are due, and what has come of those."""

import time
from typing import NamedTuple

from tenantry.core.clock import milliseconds_of
from tenantry.core.db import Transaction, open_database
from tenantry.server import system_world

_DAY_MILLISECONDS = 24 * 60 * 60 * 1000
_OTHER_RECORD = "v=spf1 -all"


class Progress(NamedTuple):
    """How many of the chosen domains are verified, how many were looked for in vain, and when the last one was.

    `last` is of first checks only, in seconds since the epoch.
    """

    verified: int
    missed: int
    last: float


class Pending:
    """Some pending domains of a database. All domains there are not due for a day, until these are made so."""

    def __init__(self, database: str, count: int) -> None:
        self._database = open_database(database, system_world())
        self._count = count
        self._database.write(_postpone)

    def records(self, missing_percent: int) -> dict[str, str]:
        """Return one TXT record for each of them: what proves it, but for so many in a hundred another one."""
        rows = self._database.read(
            lambda tx: tx.all(
                "SELECT domain, verification_prefix, verification_token FROM organization_domains"
                " WHERE state = 'pending' ORDER BY id LIMIT :most",
                most=self._count,
            )
        )
        return {
            domain: _OTHER_RECORD if index % 100 < missing_percent else f"{prefix}={token}"
            for index, (domain, prefix, token) in enumerate(rows)
        }

    def make_due(self) -> float:
        """Let them be due now; return when that is, in seconds since the epoch."""
        now = time.time()
        self._database.write(
            lambda tx: tx.run(
                "UPDATE organization_domains SET due_at = :now WHERE (environment_id, id) IN"
                " (SELECT environment_id, id FROM organization_domains WHERE state = 'pending'"
                " ORDER BY id LIMIT :most)",
                now=int(now * 1000),
                most=self._count,
            )
        )
        return time.time()

    def is_any_left(self, since: float) -> bool:
        """Return whether one of them, made due then, was not taken yet."""
        return (
            self._database.read(
                lambda tx: tx.one(
                    "SELECT 1 FROM organization_domains WHERE due_at <= :since ORDER BY due_at LIMIT 1",
                    since=int(since * 1000),
                )
            )
            is not None
        )

    def progress(self) -> Progress:
        """Return what has come of them so far."""
        return self._database.read(_progress)

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()


def _postpone(tx: Transaction) -> None:
    tx.run(
        "UPDATE organization_domains SET due_at = :due_at WHERE due_at IS NOT NULL",
        due_at=tx.milliseconds + _DAY_MILLISECONDS,
    )


def _progress(tx: Transaction) -> Progress:
    row = tx.one(
        "SELECT SUM(verified), SUM(1 - verified), MAX(first_at) FROM"
        " (SELECT MIN(created_at) AS first_at, MAX(CASE verdict WHEN 'verified' THEN 1 ELSE 0 END) AS verified"
        " FROM domain_attempts GROUP BY environment_id, domain_id) AS checked"
    )
    assert row is not None
    verified, missed, last = row
    return Progress(int(verified or 0), int(missed or 0), milliseconds_of(last) / 1000 if last else 0.0)
