"""Checks of declared metadata keys, part by part, as a server's worker makes them."""

import time
from functools import partial

from tenantry.core.db import Database
from tenantry.organizations import metadata_keys

_SECONDS = 20.0


def advance(database: Database, environment_id: str, key: str, *, at_once: int, parts: int | None = None) -> None:
    """Do some parts of what a key needs, or all.

    On PostgreSQL that waits for transactions that began earlier, in any database of the tests.
    """
    part = partial(metadata_keys.advance, environment_id=environment_id, key=key, at_once=at_once)
    deadline = time.monotonic() + _SECONDS
    done = 0
    while parts is None or done < parts:
        if not database.write(part):
            if (environment_id, key) not in database.read(metadata_keys.at_work):
                return
            assert time.monotonic() < deadline, "a transaction has held the check back for too long"
            time.sleep(0.01)
        done += 1
