"""Events in any number, straight into a database, by the service's own function in large transactions."""

import time
from random import Random

import msgspec
import psycopg

from tenantry.core.db import Transaction, World, open_database
from tenantry.core.db.postgres import CursorTransaction
from tenantry.environments.service import KeyUses
from tenantry.events import service as events
from tenantry.events.wire import EventName

_SUBJECTS = 1000
_DAY_MILLISECONDS = 24 * 60 * 60 * 1000


class Filler:
    """Records events of the organizations that a database holds, as if the key's owner had changed them.

    The same seed makes the same choices; the times are of the last day.
    """

    def __init__(self, database: str, key: str, seed: int) -> None:
        self._url = database
        self._random = Random(seed)
        self._milliseconds = time.time_ns() // 1_000_000 - _DAY_MILLISECONDS
        self._world = World(self._clock, self._random.randbytes)
        self._database = open_database(database, self._world)
        self._caller = self._database.read(lambda tx: KeyUses().authenticate(tx, f"Bearer {key}"))
        self._subjects = self._database.read(_subjects)

    def _clock(self) -> int:
        self._milliseconds += 1
        return self._milliseconds

    def fill(self, count: int, *names: EventName) -> None:
        """Add `count` events, each with one of `names`, in one transaction."""

        def record(tx: Transaction) -> None:
            for _ in range(count):
                organization_id, data = self._random.choice(self._subjects)
                events.record(tx, self._caller, self._random.choice(names), organization_id, data)

        if self._database.engine == "sqlite":
            self._database.write(record)
            return
        # To wait for the answer to each statement would take four times as long.
        with (
            psycopg.connect(self._url, autocommit=True, prepare_threshold=0) as connection,
            connection.pipeline(),
            connection.transaction(),
        ):
            record(CursorTransaction(connection, self._world))

    def event_ids(self, *names: EventName) -> list[str]:
        """Return the ids of the events with any of `names`, in the order in which they are served."""
        rows = self._database.read(
            lambda tx: tx.all(
                "SELECT id FROM events WHERE event IN :names ORDER BY transaction_id, position",
                names=[name.value for name in names],
            )
        )
        return [row[0] for row in rows]

    def deliveries(self) -> dict[str, int]:
        """Return how many deliveries there are in each state."""
        rows = self._database.read(
            lambda tx: tx.all("SELECT status, COUNT(*) FROM webhook_deliveries GROUP BY status")
        )
        return {row[0]: row[1] for row in rows}

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()


def _subjects(tx: Transaction) -> list[tuple[str, msgspec.Raw]]:
    """Return id and JSON of some organizations."""
    rows = tx.all("SELECT id, wire FROM organizations ORDER BY id LIMIT :most", most=_SUBJECTS)
    return [(row[0], msgspec.Raw(row[1])) for row in rows]
