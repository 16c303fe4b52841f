"""One organization's audit log of many events, sealed, written as fast as the engine takes rows."""

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Any, LiteralString

import msgspec
import psycopg

from bench import audit_events
from bench.load import SEED
from tenantry.audit_logs import partitions, sealing, seals, service, store
from tenantry.audit_logs.canonical import canonical
from tenantry.audit_logs.chain import Seal, Trail, event_hash, seal_hash
from tenantry.audit_logs.wire import EVENT_PREFIX, CreateAuditLogEvent, CreateAuditLogSchema
from tenantry.core.caller import Caller
from tenantry.core.db import Database, Transaction
from tenantry.core.validation import convert
from tenantry.organizations import service as organizations
from tenantry.organizations.wire import CreateOrganization, Organization

DAYS = 300
DAY = 24 * 60 * 60 * 1000
_AT_ONCE = 10_000
_WAIT_SECONDS = 0.05

_TABLES: dict[str, tuple[LiteralString, ...]] = {
    "audit_log_events": (
        "position",
        "trail",
        "id",
        "occurred_at",
        "action",
        "version",
        "actor_type",
        "actor_id",
        "created_at",
        "wire",
    ),
    "audit_log_targets": ("trail", "target_id", "occurred_at", "position", "target_type"),
    "audit_log_seals": ("position", "trail", "sequence", "occurred_at", "hash"),
}
_Rows = dict[str, list[tuple[Any, ...]]]


class _Chain:
    """Makes the rows of a trail's events, each sealed after the one before."""

    def __init__(self, trail: int, whose: Trail, end: seals.ChainRow, position: int) -> None:
        self.trail = trail
        self._whose = whose
        self._random = Random(SEED)
        self.sequence, self.hash, self.position = end.sequence, end.hash, position

    def rows(self, tx: Transaction, moments: list[int]) -> _Rows:
        """Return the rows of events of these times, by table."""
        events, targets, sealed = [], [], []
        for moment in moments:
            sent = audit_events.event(self._random, moment)
            own = {
                "id": tx.new_id(EVENT_PREFIX),
                "created_at": tx.now,
                "organization_id": self._whose.organization_id,
                "version": 1,
                "object": EVENT_PREFIX,
            }
            wire, at, actor = canonical(sent | own), sent["occurred_at"], sent["actor"]
            self._seal(at, wire)
            self.position += 1
            position = self.position
            head = (position, self.trail, own["id"], at, sent["action"], 1)
            events.append((*head, actor["type"], actor["id"], tx.now, wire))
            about = {(each["id"], each["type"]) for each in sent["targets"]}
            targets += [(self.trail, name, at, position, type_) for name, type_ in about]
            sealed.append((position, self.trail, self.sequence, at, self.hash))
        return dict(zip(_TABLES, (events, targets, sealed), strict=True))

    def _seal(self, occurred_at: str, wire: bytes) -> None:
        seal = Seal(self.sequence + 1, self.hash, occurred_at, event_hash(wire))
        self.sequence, self.hash = seal.sequence, seal_hash(self._whose, seal)


def fill(opened: Database, database: str, caller: Caller, name: str, count: int) -> Iterator[int]:
    """Write an organization of that name with `count` events of the last 300 days; yield how many are there.

    `opened` is the database at that address, a fresh one, in which nobody else writes.
    """
    made = opened.write(lambda tx: organizations.create(tx, caller, CreateOrganization(name=name)))
    whose = Trail(caller.environment_id, msgspec.json.decode(made, type=Organization).id)
    now = opened.read(lambda tx: tx.milliseconds)
    start, step = now - DAYS * DAY, DAYS * DAY // count
    if opened.engine == "postgres":
        _make_months(opened, start, now)
    opened.write(partial(_begin, caller=caller, whose=whose, start=start))
    # Not before every transaction on the server has ended that began before the event's.
    while not opened.write(sealing.seal):
        time.sleep(_WAIT_SECONDS)
    chain = opened.read(partial(_chain, whose=whose))
    with _writer(opened, database) as write:
        for first in range(1, count, _AT_ONCE):
            moments = [start + number * step for number in range(first, min(first + _AT_ONCE, count))]
            write(opened.read(partial(chain.rows, moments=moments)))
            yield chain.sequence
    opened.write(partial(_end, chain=chain))


def _make_months(opened: Database, start: int, now: int) -> None:
    """Make the months that a server which ran all the while would have made."""
    month, this = partitions.month_of(start), partitions.month_of(now)
    while month < this:
        opened.write(partial(partitions.make, month=month))
        month = partitions.after(month, 1)


def _begin(tx: Transaction, caller: Caller, whose: Trail, start: int) -> None:
    """Write the first event as an app would."""
    schema = msgspec.json.decode(audit_events.SCHEMA, type=CreateAuditLogSchema)
    for action in audit_events.ACTIONS:
        service.create_schema(tx, caller, action, schema)
    body = {"organization_id": whose.organization_id, "event": audit_events.event(Random(SEED), start)}
    service.create_event(tx, caller, convert(body, CreateAuditLogEvent, strict=True))


def _chain(tx: Transaction, whose: Trail) -> _Chain:
    trail = store.select_trail(tx, whose.environment_id, whose.organization_id)
    assert trail is not None
    end = seals.select_chain(tx, trail.number)
    assert end is not None
    return _Chain(trail.number, whose, end, seals.select_sealing(tx).position)


@contextlib.contextmanager
def _writer(opened: Database, database: str) -> Iterator[Callable[[_Rows], None]]:
    """Yield what writes rows, in one transaction."""
    if opened.engine == "sqlite":
        yield lambda rows: opened.write(partial(_insert, rows=rows))
        return
    with psycopg.connect(database) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.commit()
        yield partial(_copy, connection)


def _insert(tx: Transaction, rows: _Rows) -> None:
    for table, columns in _TABLES.items():
        given = ", ".join(f":{name}" for name in columns)
        sql: Any = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({given})"
        tx.run_all(sql, [dict(zip(columns, row, strict=True)) for row in rows[table]])


def _copy(connection: psycopg.Connection[Any], rows: _Rows) -> None:
    for table, columns in _TABLES.items():
        sql: Any = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
        with connection.cursor().copy(sql) as copy:
            for row in rows[table]:
                copy.write_row(row)
    connection.commit()


def _end(tx: Transaction, chain: _Chain) -> None:
    """Say up to where events are sealed, and have PostgreSQL count positions on from there."""
    seals.extend_chains(tx, [(chain.trail, chain.sequence, chain.hash)], tx.milliseconds)
    row = tx.one("SELECT transaction_id FROM audit_log_events ORDER BY transaction_id DESC, position DESC LIMIT 1")
    assert row is not None
    seals.move_sealing(tx, seals.Place(row[0], chain.position))
    if tx.engine == "postgres":
        tx.one("SELECT setval(pg_get_serial_sequence('audit_log_events', 'position'), :last)", last=chain.position)
