"""The months of events on PostgreSQL: a partition each, made before it begins, dropped when nothing is left."""

import re
from datetime import UTC, datetime
from functools import partial
from typing import Any

from tenantry.core.db import Database, Transaction

_PARENTS = ("audit_log_events", "audit_log_targets")
_MONTHS_AHEAD = 2
# Both need all writers to be away for a moment; they are not to wait for a long one meanwhile.
_PATIENCE = "SET LOCAL lock_timeout = '2s'"
_NAME = re.compile(r"audit_log_events_(\d{4})_(\d\d)")

Month = tuple[int, int]


def maintain(database: Database) -> None:
    """Make the partitions of this month and the next two, and drop those of past months that are empty.

    Safe to run from several processes at once. Raises DatabaseUnavailable when writers hold on for seconds.
    """
    if database.engine != "postgres":
        return
    present, now = database.read(lambda tx: (_months(tx), tx.milliseconds))
    this = month_of(now)
    for wanted in (after(this, ahead) for ahead in range(_MONTHS_AHEAD + 1)):
        if wanted not in present:
            database.write(partial(make, month=wanted))
    for past in sorted(each for each in present if each < this):
        if database.read(partial(_is_empty, month=past)):
            database.write(partial(_drop_if_empty, month=past))


def month_of(milliseconds: int) -> Month:
    """Return the year and month, UTC, of a time."""
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return moment.year, moment.month


def after(month: Month, months: int) -> Month:
    """Return the month that comes so many months after another."""
    years, index = divmod(month[0] * 12 + month[1] - 1 + months, 12)
    return years, index + 1


def make(tx: Transaction, month: Month) -> None:
    """Make a month's partitions, unless events of that month are in the default one: then it stays there."""
    tx.script(_PATIENCE)
    held = tx.one(
        "SELECT 1 FROM audit_log_events_default WHERE occurred_at >= :first AND occurred_at < :next"
        " UNION ALL SELECT 1 FROM audit_log_targets_default WHERE occurred_at >= :first AND occurred_at < :next",
        first=_bound(month),
        next=_bound(after(month, 1)),
    )
    if held is not None:
        return
    for parent in _PARENTS:
        tx.script(
            f"CREATE TABLE IF NOT EXISTS {_name(parent, month)} PARTITION OF {parent}"
            f" FOR VALUES FROM ('{_bound(month)}') TO ('{_bound(after(month, 1))}')"
        )


def _months(tx: Transaction) -> set[Month]:
    rows = tx.all(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = to_regclass('audit_log_events')"
    )
    found = [_NAME.fullmatch(row[0]) for row in rows]
    return {(int(match[1]), int(match[2])) for match in found if match}


def _bound(month: Month) -> str:
    return f"{month[0]:04d}-{month[1]:02d}"


def _name(parent: str, month: Month) -> str:
    return f"{parent}_{month[0]:04d}_{month[1]:02d}"


def _is_empty(tx: Transaction, month: Month) -> bool:
    """Return whether a month's partitions are there and hold nothing."""
    return all(
        tx.has_table(name) and not _holds_any(tx, name) for name in (_name(each, month) for each in _PARENTS)
    )


def _holds_any(tx: Transaction, table: str) -> bool:
    sql: Any = f"SELECT 1 FROM {table} LIMIT 1"
    return tx.one(sql) is not None


def _drop_if_empty(tx: Transaction, month: Month) -> None:
    # The locks first: who waits for them sees all that was written before.
    tx.script(f"{_PATIENCE}; LOCK TABLE ONLY {', ONLY '.join(_PARENTS)} IN ACCESS EXCLUSIVE MODE")
    if _is_empty(tx, month):
        tx.script(f"DROP TABLE {', '.join(_name(parent, month) for parent in _PARENTS)}")
