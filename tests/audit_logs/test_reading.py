"""GET /tenantry/audit_logs/events: each filter, alone and together, against a plain look at every event."""

from collections.abc import Iterator
from random import Random
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_events import (
    ACTIONS,
    ACTORS,
    LOCATIONS,
    TARGETS,
    WORDS,
    declare,
    new_organization,
    random_event,
    value_of,
    write,
)
from support import Access, Server, caller_in, client, fresh_database_url, grant, open_migrated, seal_all
from tenantry.audit_logs import reading
from tenantry.audit_logs.filters import Place, is_place, place_of, text_of
from tenantry.audit_logs.search import ROUNDS
from tenantry.audit_logs.wire import EventPlace, ListAuditLogEvents, OccurredAt
from tenantry.core.clock import timestamp
from tenantry.core.db import Database, World
from tenantry.core.page import Order, Page
from tenantry.organizations import service as organizations
from tenantry.server import system_world

_COUNT = 120
_NOW = 1_800_000_000_000
_MOMENTS = [_NOW - each for each in (0, 1, 2, 1000, 60_000)]
"""Few enough that many events share one."""

_BEFORE_ALL = text_of(Place("1970-01-01T00:00:00.000Z", 0))
_AFTER_ALL = text_of(Place("9999-12-31T23:59:59.999Z", 2**63 - 1))

Json = dict[str, Any]
PATH = "/tenantry/audit_logs/events"


class Trails:
    """Two organizations' trails, and what is in them according to plain Python, in order."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.environment_id = grant(database).environment_id
        declare(database, self.environment_id)
        random = Random(7)
        self.ids = [new_organization(database, self.environment_id) for _ in range(2)]
        self.events: dict[str, list[Json]] = {}
        for identity in self.ids:
            events = [random_event(random, random.choice(_MOMENTS)) for _ in range(_COUNT)]
            write(database, self.environment_id, identity, events)
            values = [value_of(each) for each in events]
            # What came first of one time stands first: sorting keeps it so.
            self.events[identity] = sorted(values, key=lambda each: str(each["occurred_at"]))

    def page(self, query: ListAuditLogEvents, rounds: tuple[int, ...] = ROUNDS) -> Page[msgspec.Raw]:
        caller = caller_in(self.environment_id)
        return self.database.read(lambda tx: reading.list_events(tx, caller, query, rounds))

    def matching(self, query: ListAuditLogEvents) -> list[Json]:
        """Return all that match, by looking at every event, as the words of docs/audit_logs.md have it."""
        return [each for each in self.events[query.organization_id] if asked_for(each, query)]


def asked_for(event: Json, query: ListAuditLogEvents) -> bool:
    actor, targets = event["actor"], event["targets"]
    pairs = [(each["id"], each["type"]) for each in targets]
    wanted = (query.target_id, query.target_type)
    return (
        (query.range_start is None or event["occurred_at"] >= query.range_start)
        and (query.range_end is None or event["occurred_at"] <= query.range_end)
        and (not query.actions or event["action"] in query.actions)
        and query.actor_id in {None, actor["id"]}
        and query.actor_name in {None, actor.get("name", "nobody's")}
        and query.actor_type in {None, actor["type"]}
        and (wanted == (None, None) or any(wanted[0] in {None, a} and wanted[1] in {None, b} for a, b in pairs))
        and (not query.search or any(query.search.casefold() in text.casefold() for text in texts(event)))
    )


def texts(value: Any) -> Iterator[str]:
    """Yield the texts in an event that a search is about: all but its time and the names of its keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts(item) if key != "occurred_at" else ()


@pytest.fixture(scope="module")
def trails(engine: str, postgres: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trails]:
    with fresh_database_url(engine, tmp_path_factory.mktemp("trails"), postgres) as url:
        database = open_migrated(url, World(lambda: _NOW, system_world().entropy))
        yield Trails(database)
        database.close()


def maybe(values: list[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.sampled_from(values)


_TIMES = maybe([OccurredAt(timestamp(each + more)) for each in _MOMENTS for more in (-1, 0, 1)])
_TEXTS = [
    *ACTIONS,
    "SIGNED",
    "ann",
    "JÖRG",
    "ß",
    "ss",
    "strasse",
    "kelvin",
    "\n",
    "occurred_at",
    '"',
    "1.5",
    "",
    *LOCATIONS,
    *WORDS,
]


@st.composite
def queries(draw: st.DrawFn, ids: list[str]) -> ListAuditLogEvents:
    start, end = draw(_TIMES), draw(_TIMES)
    if start is not None and end is not None and start > end:
        start, end = end, start
    return ListAuditLogEvents(
        organization_id=draw(st.sampled_from(ids)),
        range_start=start,
        range_end=end,
        actions=draw(st.lists(st.sampled_from([*ACTIONS, "unknown"]), max_size=3)),
        actor_id=draw(maybe([each[0] for each in ACTORS])),
        actor_name=draw(maybe([each[2] for each in ACTORS if each[2]])),
        actor_type=draw(maybe([each[1] for each in ACTORS])),
        target_id=draw(maybe([each[0] for each in TARGETS])),
        target_type=draw(maybe([each[1] for each in TARGETS])),
        search=draw(maybe(_TEXTS)),
        limit=draw(st.integers(1, 30)),
        order=draw(st.sampled_from(list(Order))),
    )


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), rounds=st.lists(st.integers(1, 40), min_size=1, max_size=3))
def test_the_pages_of_a_filter_hold_each_event_that_matches_once_in_order(
    trails: Trails, data: st.DataObject, rounds: list[int]
) -> None:
    """Whichever way they are walked, and however few rows one request looks at."""
    query = data.draw(queries(trails.ids))
    older, newer = ("before", "after") if query.order is Order.NORMAL else ("after", "before")
    whole = trails.matching(query)[:: 1 if query.order is Order.ASC else -1]
    seen = walk(trails, query, tuple(rounds), older)
    assert [each for page in seen for each in page] == whole
    past = _AFTER_ALL if query.order is Order.ASC else _BEFORE_ALL
    back = walk(trails, query, tuple(rounds), newer, past)
    assert [each for page in reversed(back) for each in page] == whole


def walk(
    trails: Trails, query: ListAuditLogEvents, rounds: tuple[int, ...], cursor: str, place: str | None = None
) -> list[list[Json]]:
    """Return the events of each page that `cursor` leads to."""
    pages = []
    while True:
        asked = msgspec.structs.replace(query, **{cursor: EventPlace(place) if place else None})
        page = trails.page(asked, rounds)
        pages.append([sent(msgspec.json.decode(each)) for each in page.data])
        assert len(pages[-1]) <= query.limit
        following = getattr(page.list_metadata, cursor)
        if following is None:
            return pages
        assert following != place
        place = following


def sent(event: Json) -> Json:
    """Return what was sent of an event that was read."""
    kept = dict(event)
    for name in ("object", "id", "organization_id", "version", "created_at", "seal"):
        del kept[name]
    return kept


def test_a_page_ends_where_a_request_has_looked_far_enough(trails: Trails) -> None:
    page = trails.page(ListAuditLogEvents(organization_id=trails.ids[0], search="nowhere"), (20, 30))
    assert page.data == []
    assert page.list_metadata.before is not None  # `normal` leads to what is older by `before`


@given(
    places=st.lists(
        st.builds(Place, st.integers(0, 250_000_000_000_000).map(timestamp), st.integers(0, 2**63 - 1)),
        min_size=2,
        max_size=2,
    )
)
def test_the_text_of_a_place_sorts_as_it_does_and_leads_back(places: list[Place]) -> None:
    first, second = places
    assert (first < second) == (text_of(first) < text_of(second))
    assert is_place(text_of(first))
    assert place_of(text_of(first)) == first


def wrong_fields(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [error["field"] for error in answer.json()["errors"]]


def test_an_event_is_read_as_it_was_written(api: httpx.Client, organization_id: str, event: Json) -> None:
    assert api.post("/audit_logs/events", json={"organization_id": organization_id, "event": event}).is_success
    (read,) = api.get(PATH, params={"organization_id": organization_id}).json()["data"]
    assert read == event | {
        "object": "audit_log_event",
        "id": read["id"],
        "organization_id": organization_id,
        "created_at": read["created_at"],
        "version": 1,
        "seal": read["seal"],
    }
    assert read["id"].startswith("audit_log_event_")


def test_an_event_shows_its_place_in_the_chain_once_it_is_sealed(trails: Trails) -> None:
    query = ListAuditLogEvents(organization_id=trails.ids[0], limit=1)
    assert msgspec.json.decode(trails.page(query).data[0])["seal"] is None
    seal_all(trails.database)
    seal = msgspec.json.decode(trails.page(query).data[0])["seal"]
    assert 1 <= seal["sequence"] <= _COUNT
    assert len(bytes.fromhex(seal["hash"])) == 32


def test_the_filters_work_over_http(api: httpx.Client, organization_id: str, event: Json) -> None:
    for each in (event, event | {"actor": {"id": "user_9", "type": "user", "name": "Smith, Jörg"}}):
        assert api.post("/audit_logs/events", json={"organization_id": organization_id, "event": each}).is_success

    def count(**query: str) -> int:
        answer = api.get(PATH, params={"organization_id": organization_id} | query)
        assert answer.status_code == 200, answer.text
        return len(answer.json()["data"])

    assert count() == 2
    assert count(actor_name="Smith, Jörg") == 1
    assert count(search="JÖRG") == 1
    assert count(actions="invoice.paid,other") == 2
    assert count(actor_id="user_1", target_id="invoice_1", target_type="invoice") == 1
    assert count(target_id="invoice_1", target_type="user") == 0
    assert count(range_start=event["occurred_at"]) == 2
    assert count(range_start="2020-01-01T00:00:00+02:00", range_end="2020-01-02T00:00Z") == 0


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"organization_id": None}, "organization_id"),
        ({"range_start": "yesterday"}, "range_start"),
        ({"range_start": "2026-01-02T00:00:00Z", "range_end": "2026-01-01T00:00:00Z"}, "range_end"),
        ({"after": "audit_log_event_01EHQMYV6MBK39QC5PZXHY59C3"}, "after"),
        ({"limit": "101"}, "limit"),
        ({"search": "a" * 201}, "search"),
        ({"actor_id": "a" * 501}, "actor_id"),
        ({"actions": ",".join(str(each) for each in range(101))}, "actions"),
    ],
)
def test_a_wrong_query_is_told_by_field(
    api: httpx.Client, organization_id: str, query: dict[str, str | None], field: str
) -> None:
    given_query = {"organization_id": organization_id} | query
    answer = api.get(PATH, params={name: value for name, value in given_query.items() if value is not None})
    assert wrong_fields(answer) == [field]


def test_a_trail_is_read_in_its_own_environment_alone(
    api: httpx.Client, organization_id: str, server: Server, shared_database: Database, event: Json
) -> None:
    api.post("/audit_logs/events", json={"organization_id": organization_id, "event": event})
    with client(server.base_url, grant(shared_database).key) as other:
        answer = other.get(PATH, params={"organization_id": organization_id})
    assert answer.status_code == 404
    assert answer.json()["message"] == f"Organization not found: '{organization_id}'."


def test_the_events_of_a_deleted_organization_can_be_read(
    api: httpx.Client, access: Access, organization_id: str, shared_database: Database, event: Json
) -> None:
    api.post("/audit_logs/events", json={"organization_id": organization_id, "event": event})
    caller = caller_in(access.environment_id)
    shared_database.write(lambda tx: organizations.delete(tx, caller, organization_id))
    assert len(api.get(PATH, params={"organization_id": organization_id}).json()["data"]) == 1
