"""A search finds what a plain look through all names finds, whichever way it goes, whatever was done before."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import inf
from random import Random
from typing import LiteralString
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from support import caller_in, fresh_database_url, grant, open_migrated
from tenantry.core.db import Database, Transaction, World, migrate, open_database
from tenantry.core.db.migrate import migrations
from tenantry.core.effort import QUICK, THOROUGH, Effort, TakesLong
from tenantry.core.hints import Hints
from tenantry.core.page import Order, bounds
from tenantry.organizations import index_postgres, index_sqlite, samples, service, store
from tenantry.organizations.search import TERM_BYTES, Sample, fold, rarest_terms, terms_of_name
from tenantry.organizations.wire import (
    CreateOrganization,
    ListOrganizations,
    OrganizationCursor,
    OrganizationPage,
    UpdateOrganization,
)
from tenantry.server import system_world

# More than are walked and sampled before the index is asked, more than wait for it at once.
_MANY = 1_200
_AT_ONCE = 300
_SEVERAL = 20
_PIECES = [
    *("acme ", "100%", "a_b", "o'neil", '"quoted"', "back\\slash", "café", "cafe\u0301", "STRASSE", "Straße"),
    *("🦆", "👩‍👩‍👧", "İstanbul", "ﬀ", "東京", "ab", "x", " ", "-- ", "NEAR(", "*", "AND", ":*", "&", "\n"),
]
_RARE = ["Zebra Quartz Holdings", "%_%_%_%", "'; DROP --", "東京都庁舎", "👩‍👩‍👧‍👦 family", "Ünïcödé Größe"]


class Directory:
    """Two environments with many organizations, and what is in them according to plain Python."""

    def __init__(self, database: Database, world: World, random: Random) -> None:
        self.database = database
        self._world = world
        self.environments = [grant(database).environment_id for _ in range(2)]
        self.names: dict[str, dict[str, str]] = {each: {} for each in self.environments}
        for environment_id in self.environments:
            made = [self._name(random, index) for index in range(_MANY)]
            self._create(environment_id, made[:_AT_ONCE])
            for start in range(_AT_ONCE, _MANY, _SEVERAL):
                self._create(environment_id, made[start : start + _SEVERAL])

    def _create(self, environment_id: str, names: list[str]) -> None:
        """Create organizations in one millisecond."""
        ids = self.database.write(lambda tx: [_create(tx, environment_id, name) for name in names])
        self.names[environment_id].update(zip(ids, names, strict=True))

    @staticmethod
    def _name(random: Random, index: int) -> str:
        if index % 200 == 75:
            return _RARE[index // 200]
        return "".join(random.choice(_PIECES) for _ in range(random.randrange(1, 6)))

    def forget(self) -> None:
        """Do as a process does that has just begun: it has seen no names yet."""
        self._world.hints = Hints()

    def id_at(self, environment_id: str, place: int) -> str:
        """Return the id of one of an environment's organizations."""
        ids = sorted(self.names[environment_id])
        return ids[place % len(ids)]

    def expected(self, environment_id: str, text: str, query: ListOrganizations) -> list[str]:
        """Return the ids of a page by looking at every name."""
        limits = bounds(query)
        found = sorted(
            (each for each, name in self.names[environment_id].items() if fold(text) in fold(name)),
            reverse=limits.descending,
        )
        if limits.cursor is not None:
            found = [
                each for each in found if (each < limits.cursor) == limits.descending and each != limits.cursor
            ]
        page = found[: limits.limit]
        return page[::-1] if limits.reverse else page

    def shown(self, environment_id: str, query: ListOrganizations) -> list[str]:
        """Return the ids of a page as it is served."""
        return _ids(self.page(environment_id, query))

    def page(self, environment_id: str, query: ListOrganizations, effort: Effort = THOROUGH) -> OrganizationPage:
        """Return a page as it is served."""
        return self.database.read(lambda tx: service.list_page(tx, caller_in(environment_id), query, effort))


def _ids(page: OrganizationPage) -> list[str]:
    return [msgspec.json.decode(each)["id"] for each in page.data]


def _create(tx: Transaction, environment_id: str, name: str) -> str:
    made = service.create(tx, caller_in(environment_id), CreateOrganization(name=name))
    identity: str = msgspec.json.decode(made)["id"]
    return identity


@pytest.fixture(scope="module")
def directory(engine: str, postgres: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    """Two environments of many organizations, made over some milliseconds."""
    ticks = [1_700_000_000_000]

    def clock() -> int:
        ticks[0] += 1
        return ticks[0]

    with fresh_database_url(engine, tmp_path_factory.mktemp("search"), postgres) as url:
        world = World(clock, system_world().entropy)
        database = open_migrated(url, world)
        yield Directory(database, world, Random(6))
        database.close()


# Drawn without regard to what is there: that changes from one example to the next.
PLACES = st.integers(0, _MANY)
TEXTS = st.one_of(
    st.lists(st.sampled_from(_PIECES), min_size=1, max_size=3).map("".join),
    st.sampled_from(_RARE),
    st.sampled_from(
        ["a", "qu", "%", "_", "'", '"', "\\", "e", "\u0301", "zebra", "zebra qu", "o'n", "🦆🦆", "zzzzzz"]
    ),
    st.text(min_size=1, max_size=8).filter(lambda text: "\0" not in text),
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_search_finds_what_a_look_through_all_names_finds(directory: Directory, data: st.DataObject) -> None:
    environment_id = directory.environments[data.draw(st.integers(0, 1))]
    waiting = data.draw(st.sampled_from([3, index_sqlite.WAITING]))
    with patch.object(index_sqlite, "WAITING", waiting):
        kind = data.draw(st.sampled_from(["none", "none", "rename", "delete", "create"]))
        change(directory, environment_id, kind, data)
    text = data.draw(TEXTS)
    place = data.draw(st.none() | PLACES)
    cursor = None if place is None else OrganizationCursor(directory.id_at(environment_id, place))
    query = ListOrganizations(
        search=text,
        limit=data.draw(st.integers(1, 30)),
        order=data.draw(st.sampled_from(Order)),
    )
    towards = data.draw(st.sampled_from(["after", "before"]))
    query = msgspec.structs.replace(query, **{towards: cursor})
    if data.draw(st.booleans()):
        directory.forget()
    # With a million organizations neither of these reaches to the end.
    few = data.draw(st.sampled_from([2, index_postgres.FEW]))
    far = data.draw(st.sampled_from([400, index_postgres.FAR]))
    with patch.multiple(index_postgres, FEW=few, FAR=far), contextlib.suppress(TakesLong):
        quickly = _ids(directory.page(environment_id, query, QUICK))
        assert quickly == directory.expected(environment_id, text, query)
    with patch.multiple(index_postgres, FEW=few, FAR=far):
        shown = directory.shown(environment_id, query)
    assert shown == directory.expected(environment_id, text, query)


def test_a_short_text_takes_long_where_the_first_names_do_not_fill_the_page(directory: Directory) -> None:
    environment_id = directory.environments[0]
    common, rare = (ListOrganizations(search=text, order=Order.DESC) for text in ("a", "zzz"))
    directory.page(environment_id, common, QUICK)
    with pytest.raises(TakesLong):
        directory.page(environment_id, rare, QUICK)
    assert directory.shown(environment_id, rare) == []


def change(directory: Directory, environment_id: str, kind: str, data: st.DataObject) -> None:
    """Rename, delete or create one organization, there and in the reference."""
    names = directory.names[environment_id]
    chosen = directory.id_at(environment_id, data.draw(PLACES))
    name = data.draw(TEXTS)
    if kind == "rename":
        body = UpdateOrganization(name=name)
        directory.database.write(lambda tx: service.update(tx, caller_in(environment_id), chosen, body))
        names[chosen] = name
    elif kind == "delete":
        directory.database.write(lambda tx: service.delete(tx, caller_in(environment_id), chosen))
        del names[chosen]
    elif kind == "create":
        names[directory.database.write(lambda tx: _create(tx, environment_id, name))] = name


def test_paging_through_a_search_shows_each_match_once(directory: Directory) -> None:
    environment_id = directory.environments[0]
    for text in ("acme", "x", "Zebra", "東京"):
        shown: list[str] = []
        after = None
        while True:
            query = ListOrganizations(search=text, order=Order.DESC, limit=7, after=after)
            page = directory.page(environment_id, query)
            shown += _ids(page)
            if page.list_metadata.after is None:
                break
            after = OrganizationCursor(page.list_metadata.after)
        everything = ListOrganizations(search=text, order=Order.DESC, limit=10_000)
        assert shown == directory.expected(environment_id, text, everything)


def test_names_that_came_since_others_were_looked_at_are_found(database: Database) -> None:
    """What is remembered of an environment's names is out of date: nothing was a Zebra, now they all are."""
    environment_id = grant(database).environment_id
    database.write(lambda tx: [_create(tx, environment_id, f"Filler {index}") for index in range(600)])
    assert _found(database, environment_id, "zebra quartz", limit=10) == set()
    names = {f"Zebra Quartz {index}" for index in range(600)}
    database.write(lambda tx: [_create(tx, environment_id, name) for name in sorted(names)])
    assert _found(database, environment_id, "zebra quartz", limit=1_000) == names
    assert len(_found(database, environment_id, "ra", limit=10)) == 10


async def test_of_many_who_search_at_once_one_counts_what_is_in_the_names(database: Database) -> None:
    environment_id = grant(database).environment_id
    names = [f"Filler {index}" for index in range(600)]
    await database.write_soon(lambda tx: [_create(tx, environment_id, name) for name in names], scans=True)
    query = ListOrganizations(search="zebra quartz")
    search = partial(service.list_page, caller=caller_in(environment_id), query=query)
    with patch.object(samples, "keep", wraps=samples.keep) as keep:
        pages = await asyncio.gather(*(database.read_soon(search) for _ in range(20)))
    assert [_ids(page) for page in pages] == [[]] * 20
    assert keep.call_count == 1


def test_many_that_are_renamed_are_found_by_their_new_names_alone(database: Database) -> None:
    environment_id = grant(database).environment_id
    caller = caller_in(environment_id)
    filler = [f"Filler {index}" for index in range(900)]
    ids = database.write(lambda tx: [_create(tx, environment_id, name) for name in filler])
    names = {identity: f"Zebra {index} Quartz" for index, identity in enumerate(ids[:300])}
    for identity, name in names.items():
        database.write(partial(_rename, environment_id=environment_id, identity=identity, name=name))
    for identity in reversed(ids[300:600]):
        database.write(partial(service.delete, caller=caller, organization_id=identity))
    for index in range(300):
        assert _found(database, environment_id, f"zebra {index} quartz", limit=10) == {f"Zebra {index} Quartz"}
        assert _found(database, environment_id, f"filler {index}", limit=10) <= set(filler[600:])
    if database.engine == "sqlite":
        _empty_what_waits(database, environment_id)
        assert _terms_kept(database) == _terms_of(environment_id, [*names.values(), *filler[600:]])


def _rename(tx: Transaction, environment_id: str, identity: str, name: str) -> None:
    service.update(tx, caller_in(environment_id), identity, UpdateOrganization(name=name))


def _empty_what_waits(database: Database, environment_id: str) -> None:
    """Have SQLite's index take in all names but that of one more organization, and take out what is no more."""
    with patch.object(index_sqlite, "WAITING", 1):
        database.write(lambda tx: _create(tx, environment_id, "One more"))


def _terms_of(environment_id: str, names: list[str]) -> dict[str, int]:
    """Return in how many of the names each term is."""
    return Counter(term for name in names for term in set(terms_of_name(environment_id, fold(name))))


def test_postgres_makes_the_terms_that_are_looked_up(postgres_only: Database) -> None:
    sql: LiteralString = "SELECT tsvector_to_array(organization_terms(:environment_id, :folded))"

    @given(name=TEXTS.filter(bool))
    @example("x")
    def check(name: str) -> None:
        folded, environment_id = fold(name), "environment_01ABCDEF"
        row = postgres_only.read(lambda tx: tx.one(sql, environment_id=environment_id, folded=folded))
        assert row is not None
        assert set(row[0]) == set(terms_of_name(environment_id, folded))

    check()


@given(names=st.lists(TEXTS, max_size=20), text=st.text(min_size=TERM_BYTES, max_size=40), parts=st.integers(1, 4))
def test_the_terms_looked_up_are_in_every_name_that_holds_the_text(
    names: list[str], text: str, parts: int
) -> None:
    sample = Sample("\n".join(names))
    chosen = rarest_terms("environment_01ABCDEF", text, sample, parts)
    assert 1 <= len(chosen) <= parts
    assert set(chosen) <= set(terms_of_name("environment_01ABCDEF", f"before {text} behind"))


@given(names=st.lists(TEXTS, max_size=20))
def test_a_sample_counts_no_term_less_often_than_it_is_there(names: list[str]) -> None:
    text = "\n".join(names).encode()
    sample = Sample("\n".join(names))
    terms = Counter(text[start : start + TERM_BYTES] for start in range(len(text) - TERM_BYTES + 1))
    assert all(sample.count(term) >= count for term, count in terms.items())


def test_a_walk_takes_as_many_rows_as_the_sample_says() -> None:
    sample = Sample("acme\nglobex\nacme holdings\ninitech")
    assert sample.rows_before("acme", 10) == 20
    assert sample.rows_before("zebra", 10) == inf


def test_of_the_terms_of_a_text_the_rarest_is_looked_up() -> None:
    sample = Sample("acme holdings\nacme logistics\nzebra holdings")
    [chosen] = rarest_terms("environment_01ABCDEF", "acme zebra holdings", sample, 1)
    assert bytes.fromhex(chosen[6:]).decode() in {"cme z", "me ze", "e zeb", " zebr"}


def test_many_written_at_once_of_which_one_fails_are_all_found(database: Database) -> None:
    """A group that is rolled back and run again under savepoints leaves the index as the rows are."""
    environment_id = grant(database).environment_id

    def fill(tx: Transaction, start: int) -> None:
        for index in range(start, start + 100):
            _create(tx, environment_id, f"Filler {index}")

    def fail(tx: Transaction) -> None:
        fill(tx, 5000)
        raise LookupError

    with ThreadPoolExecutor(16) as threads:
        good = [threads.submit(database.write, partial(fill, start=100 * each)) for each in range(10)]
        bad = [threads.submit(database.write, fail) for _ in range(6)]
        assert [each.exception() for each in good] == [None] * 10
        assert {type(each.exception()) for each in bad} == {LookupError}
    assert _found(database, environment_id, "Filler 42", limit=100) == {
        "Filler 42",
        *(f"Filler 42{digit}" for digit in range(10)),
    }
    assert _found(database, environment_id, "Filler 50", limit=100) == {
        "Filler 50",
        *(f"Filler 50{digit}" for digit in range(10)),
    }
    assert _found(database, environment_id, "Filler 500", limit=100) == {"Filler 500"}


def _found(database: Database, environment_id: str, text: str, limit: int) -> set[str]:
    query = ListOrganizations(search=text, limit=limit)
    page = database.read(lambda tx: service.list_page(tx, caller_in(environment_id), query))
    return {msgspec.json.decode(each)["name"] for each in page.data}


def test_what_was_there_before_the_index_is_found(empty_database_url: str) -> None:
    """The migration indexes what is there, with the terms that are written from then on."""
    database = open_database(empty_database_url, system_world())
    names = [f"Company {index} {piece}" for index, piece in enumerate(_PIECES * 40)]
    environment_id = _before_the_index(database, names)
    migrate.apply(database)
    for text in ("Company 77 ", "company 1000", "strasse", "東京", "🦆", "%", "1"):
        expected = {name for name in names if fold(text) in fold(name)}
        assert _found(database, environment_id, text, limit=2_000) == expected
    wires = database.read(lambda tx: tx.all("SELECT id, wire FROM organizations"))
    assert all(
        database.read(partial(store.select_wire, environment_id=environment_id, organization_id=each)) == wire
        for each, wire in wires
    )
    if database.engine == "sqlite":
        migrated = _terms_kept(database)
        assert migrated == _terms_of(environment_id, names)
    database.close()


def _before_the_index(database: Database, names: list[str]) -> str:
    """Bring `database` to the schema before the index, with organizations of one environment; return its id."""

    def work(tx: Transaction) -> str:
        tx.run("CREATE TABLE schema_migrations (number INTEGER PRIMARY KEY, name TEXT, applied_at TEXT)")
        for step in migrations(database.engine)[:5]:
            tx.script(step.sql)
            tx.run(
                "INSERT INTO schema_migrations VALUES (:number, :name, :now)",
                number=step.number,
                name=step.name,
                now=tx.now,
            )
        environment_id = tx.new_id("environment")
        tx.run(
            "INSERT INTO environments (id, name, slug, created_at) VALUES (:id, 'old', 'old', :now)",
            id=environment_id,
            now=tx.now,
        )
        for name in names:
            identity = tx.new_id("org")
            tx.run(
                "INSERT INTO organizations (environment_id, id, name, folded_name, metadata, created_at,"
                " updated_at, allow_profiles_outside_organization, wire)"
                " VALUES (:environment_id, :id, :name, :folded_name, '{}', :now, :now, :outside, :wire)",
                environment_id=environment_id,
                id=identity,
                name=name,
                folded_name=fold(name),
                now=tx.now,
                outside=False,
                wire=msgspec.json.encode({"id": identity, "name": name}),
            )
            tx.run(
                "INSERT INTO organization_domains"
                " (environment_id, id, organization_id, domain, state, created_at, updated_at)"
                " VALUES (:environment_id, :id, :organization_id, 'a.com', 'verified', :now, :now)",
                environment_id=environment_id,
                id=tx.new_id("org_domain"),
                organization_id=identity,
                now=tx.now,
            )
        return environment_id

    return database.write(work)


def _terms_kept(database: Database) -> dict[str, int]:
    """Return in how many names the index of SQLite has each term."""

    def work(tx: Transaction) -> dict[str, int]:
        tx.run("CREATE VIRTUAL TABLE kept USING fts5vocab (organization_index, row)")
        return {row[0]: row[1] for row in tx.all("SELECT term, doc FROM kept")}

    return database.write(work)
