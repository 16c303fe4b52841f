"""A range of time is found by place, and holds what a look at every event finds."""

from collections.abc import Iterator
from random import Random

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import caller_in, fresh_database_url, grant, open_migrated, wait_until_served
from tenantry.core.caller import Caller
from tenantry.core.clock import milliseconds_of, timestamp
from tenantry.core.db import Database, Transaction
from tenantry.core.ids import ulid
from tenantry.core.parsing import Moment
from tenantry.events import imports, service, store
from tenantry.events.imports import EventRecord
from tenantry.events.positions import Place
from tenantry.events.store import NewEvent
from tenantry.events.wire import EventId, ListEvents, StreamEvents

MINUTE = 60_000
LONGEST = 15 * MINUTE  # that a transaction lasts
COUNT = 120
BEGAN = 1_700_000_000_000
NAMES = ["organization.created", "organization.updated", "organization.deleted"]
ORGANIZATIONS = ["org_1", "org_2"]


def new(environment_id: str, random: Random, created_at: int) -> NewEvent:
    event_id = f"event_{ulid(created_at, random.getrandbits(80))}"
    return NewEvent(
        environment_id=environment_id,
        id=event_id,
        event=random.choice(NAMES),
        organization_id=random.choice(ORGANIZATIONS),
        created_at=timestamp(created_at),
        wire=msgspec.json.encode({"id": event_id}),
    )


class Feed:
    """The events of an environment in the order in which they are served, as a list and in a database."""

    def __init__(self, database: Database, random: Random) -> None:
        self.database = database
        self.caller: Caller = caller_in(grant(database).environment_id)
        self.events: list[NewEvent] = []
        self.places: list[Place] = []
        self._random = random

    def add(self, created_at: int) -> None:
        """Add an event in a transaction of its own."""
        event = new(self.caller.environment_id, self._random, created_at)
        self.database.write(lambda tx: store.insert(tx, event))
        self._keep(event)

    def take_in(self, created_at: int) -> None:
        """Add an event as a seed does, whose time may be any."""
        event = new(self.caller.environment_id, self._random, created_at)
        record = EventRecord(
            id=EventId(event.id),
            event=event.event,
            data={},
            created_at=Moment(event.created_at),
            organization_id=event.organization_id,
        )
        self.database.write(lambda tx: imports.take_in(tx, self.caller, [record]))
        self._keep(event)

    def _keep(self, event: NewEvent) -> None:
        def place(tx: Transaction) -> Place | None:
            return store.select_place(tx, self.caller.environment_id, event.id)

        found = self.database.read(place)
        assert found is not None
        self.events.append(event)
        self.places.append(found)

    def matching(self, query: ListEvents | StreamEvents, first: int) -> list[str]:
        """Return the ids of what `query` asks for, from the event of that number on."""
        return [
            event.id
            for event in self.events[first:]
            if (not query.events or event.event in query.events)
            and query.organization_id in {None, event.organization_id}
            and (query.range_start is None or event.created_at >= query.range_start)
            and (query.range_end is None or event.created_at <= query.range_end)
        ]


@pytest.fixture(scope="module")
def feed(engine: str, postgres: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feed]:
    """A feed of hours, written by transactions that take up to a quarter of one and give events their begin.

    Its database is its own: a server would prune events so old.
    """
    random = Random(4)
    with fresh_database_url(engine, tmp_path_factory.mktemp("feed"), postgres) as url:
        opened = open_migrated(url)
        made = Feed(opened, random)
        now = BEGAN
        for _ in range(COUNT):
            now += random.choice([1, MINUTE, 5 * MINUTE, LONGEST, 2 * LONGEST])
            made.add(now - random.choice([0, 0, 1, MINUTE, LONGEST - 1, LONGEST]))
        wait_until_served(opened)
        yield made
        opened.close()


def times(feed: Feed) -> st.SearchStrategy[Moment | None]:
    """Any time of a feed or about it, and none."""
    moments = [milliseconds_of(event.created_at) for event in feed.events]
    about = st.builds(
        lambda at, off: Moment(timestamp(at + off)),
        st.sampled_from(moments),
        st.sampled_from([0, 0, 1, -1, LONGEST, LONGEST + 1, -LONGEST, -LONGEST - 1]),
    )
    return st.none() | about | st.sampled_from([Moment("0001-01-01T00:00:00.000Z"), Moment(timestamp(1 << 47))])


def check_list(feed: Feed, data: st.DataObject) -> None:
    start = data.draw(st.none() | st.integers(0, len(feed.events) - 1), label="after")
    query = ListEvents(
        events=data.draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True), label="names"),
        organization_id=data.draw(st.none() | st.sampled_from(ORGANIZATIONS), label="organization"),
        after=None if start is None else EventId(feed.events[start].id),
        range_start=data.draw(times(feed), label="range_start") if start is None else None,
        range_end=data.draw(times(feed), label="range_end"),
        limit=data.draw(st.sampled_from([1, 5, 100]), label="limit"),
    )
    page = feed.database.read(lambda tx: service.list_page(tx, feed.caller, query))
    wanted = feed.matching(query, 0 if start is None else start + 1)
    assert [msgspec.json.decode(raw)["id"] for raw in page.data] == wanted[: query.limit]
    assert page.list_metadata.after == (wanted[query.limit - 1] if len(wanted) > query.limit else None)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_page_of_a_range_holds_what_a_look_at_every_event_finds(feed: Feed, data: st.DataObject) -> None:
    check_list(feed, data)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_follows_a_place_in_a_range_is_what_a_look_at_every_event_finds(
    feed: Feed, data: st.DataObject
) -> None:
    start = data.draw(st.none() | st.integers(0, len(feed.events) - 1), label="after")
    query = StreamEvents(
        events=data.draw(st.lists(st.sampled_from(NAMES), unique=True), label="names"),
        organization_id=data.draw(st.none() | st.sampled_from(ORGANIZATIONS), label="organization"),
        after=None if start is None else feed.events[start].id,  # type: ignore[arg-type]
        range_start=data.draw(times(feed), label="range_start"),
        range_end=data.draw(times(feed), label="range_end"),
    )
    limit = data.draw(st.sampled_from([1, 5, 100]), label="limit")

    def look(tx: Transaction) -> service.Followed:
        chosen = service.chosen_by(query)
        return service.follow(tx, feed.caller, chosen, service.start_of(tx, feed.caller, query), limit)

    found = feed.database.read(look)
    wanted = feed.matching(query, 0 if start is None else start + 1)
    assert [row.id for row in found.events] == wanted[:limit]
    assert found.more == (len(wanted) > limit)
    assert found.end == (found.events[-1].place if found.more else feed.places[-1])


def test_events_that_a_seed_brings_need_not_be_in_the_order_of_their_times(database: Database) -> None:
    random = Random(7)
    feed = Feed(database, random)
    day = 24 * 60 * MINUTE
    feed.add(BEGAN + 30 * day)
    for days in (3, 9, 1, 40, 5):
        feed.take_in(BEGAN + days * day)
    feed.add(BEGAN + 41 * day)
    wait_until_served(database)

    @settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        check_list(feed, data)

    check()
