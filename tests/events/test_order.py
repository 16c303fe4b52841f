"""A consumer that pages on sees every committed event once, in one order, while many write."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec

from support import caller_in, grant, open_migrated
from tenantry.core.caller import Caller
from tenantry.core.db import Database, Transaction, Work
from tenantry.events import service
from tenantry.events.wire import EventId, EventName, ListEvents

NAMES = [EventName.ORGANIZATION_CREATED, EventName.ORGANIZATION_UPDATED]
WRITERS = 16
WRITES = 25


class Subject(msgspec.Struct):
    """What the events of this test are about."""

    id: str


def caller_of(database: Database) -> Caller:
    return caller_in(grant(database).environment_id)


def record(caller: Caller, subject: str, seconds: float = 0.0) -> Work[None]:
    """Return work that records an event, waits, and records another."""

    def work(tx: Transaction) -> None:
        for name in NAMES:
            service.record(tx, caller, name, "org_1", Subject(subject))
            time.sleep(seconds)

    return work


class Consumer:
    """Pages through the feed and keeps what it sees."""

    def __init__(self, database: Database, caller: Caller) -> None:
        self._database, self._caller = database, caller
        self.seen: list[tuple[str, str, str]] = []

    def poll(self) -> None:
        after = EventId(self.seen[-1][0]) if self.seen else None
        query = ListEvents(events=[*NAMES], after=after, limit=7)
        page = self._database.read(lambda tx: service.list_page(tx, self._caller, query))
        for raw in page.data:
            event = msgspec.json.decode(raw)
            self.seen.append((event["id"], event["event"], event["data"]["id"]))

    def poll_until(self, count: int) -> None:
        """Poll until `count` events were seen: a transaction of another test on the server may hold them back."""
        deadline = time.monotonic() + 20
        while len(self.seen) < count and time.monotonic() < deadline:
            self.poll()


def test_every_event_is_seen_once_while_sixteen_write(database_url: str) -> None:
    database = open_migrated(database_url)
    writers = open_migrated(database_url) if database.engine == "postgres" else database
    caller = caller_of(database)
    consumer, done = Consumer(database, caller), threading.Event()

    def write(number: int) -> None:
        chance = random.Random(number)
        for count in range(WRITES):
            writers.write(record(caller, f"{number}-{count}", chance.random() * 0.004))

    def consume() -> None:
        while not done.is_set():
            consumer.poll()

    with ThreadPoolExecutor(WRITERS + 1) as threads:
        consuming = threads.submit(consume)
        list(threads.map(write, range(WRITERS)))
        done.set()
        consuming.result()
    consumer.poll_until(2 * WRITERS * WRITES)
    consumer.poll()
    subjects = [f"{number}-{count}" for number in range(WRITERS) for count in range(WRITES)]
    assert sorted(subject for _, _, subject in consumer.seen) == sorted(subjects * 2)
    assert len({identity for identity, _, _ in consumer.seen}) == len(consumer.seen)
    again = Consumer(database, caller)
    while len(again.seen) < len(consumer.seen):
        again.poll()
    assert again.seen == consumer.seen
    for opened in {database, writers}:
        opened.close()


def test_an_event_is_not_passed_over_while_an_earlier_transaction_is_under_way(database: Database) -> None:
    """On PostgreSQL a short transaction begun later commits first; its events wait for the long one's."""
    caller = caller_of(database)
    begun, release = threading.Event(), threading.Event()
    consumer = Consumer(database, caller)

    def long(tx: Transaction) -> None:
        service.record(tx, caller, NAMES[0], "org_1", Subject("long"))
        begun.set()
        assert release.wait(10)
        service.record(tx, caller, NAMES[1], "org_1", Subject("long"))

    with ThreadPoolExecutor(2) as threads:
        running = threads.submit(database.write, long)
        assert begun.wait(10)
        short = threads.submit(database.write, record(caller, "short"))
        if database.engine == "postgres":
            short.result(10)
        consumer.poll()
        assert consumer.seen == []
        release.set()
        running.result(10)
        short.result(10)
    consumer.poll_until(4)
    assert [subject for _, _, subject in consumer.seen] == ["long", "long", "short", "short"]


def test_what_a_failed_transaction_recorded_is_never_seen(database: Database) -> None:
    caller = caller_of(database)

    def fail(tx: Transaction) -> None:
        service.record(tx, caller, NAMES[0], "org_1", Subject("undone"))
        raise TimeoutError

    with ThreadPoolExecutor(4) as threads:
        outcomes = [threads.submit(database.write, fail) for _ in range(4)]
        outcomes += [threads.submit(database.write, record(caller, "kept")) for _ in range(4)]
    assert sum(isinstance(outcome.exception(), TimeoutError) for outcome in outcomes) == 4
    consumer = Consumer(database, caller)
    consumer.poll_until(8)
    consumer.poll()
    assert [subject for _, _, subject in consumer.seen] == ["kept"] * 8


def test_events_older_than_the_retention_are_pruned(database: Database, now: list[int]) -> None:
    caller = caller_of(database)
    database.write(record(caller, "old"))
    last_old = Consumer(database, caller)
    last_old.poll_until(2)
    now[0] += 90 * 24 * 60 * 60 * 1000
    database.write(record(caller, "new"))
    assert database.write(lambda tx: service.prune(tx, 90)) == 0
    now[0] += 1
    assert database.write(lambda tx: service.prune(tx, 90)) == 2
    assert database.write(lambda tx: service.prune(tx, 90)) == 0
    last_old.poll_until(4)
    assert [subject for _, _, subject in last_old.seen] == ["old", "old", "new", "new"]
