"""A row stands where its id says, or next to that, and is found either way."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import caller_in, grant, open_migrated
from tenantry.core.db import Database, Transaction
from tenantry.core.ids import ulid
from tenantry.organizations import service, store
from tenantry.organizations.places import END, first_of_millisecond, last_of_millisecond, likely_place
from tenantry.organizations.store import OrganizationRow
from tenantry.organizations.wire import ListOrganizations
from tenantry.server import system_world

PLACES_OF_A_MILLISECOND = 2**19
TIMES = st.integers(0, 2**48 - 1)
RANDOM = st.integers(0, 2**80 - 1)


def identity(milliseconds: int, randomness: int) -> str:
    return f"org_{ulid(milliseconds, randomness)}"


@given(TIMES, RANDOM, TIMES, RANDOM)
def test_places_of_different_milliseconds_sort_as_ids_do(time: int, end: int, other: int, more: int) -> None:
    one, two = sorted([(time, end), (other, more)])
    first, second = likely_place(identity(*one)), likely_place(identity(*two))
    assert 0 <= first <= END
    assert 0 <= second <= END
    if min(one[0], 2**44 - 1) < min(two[0], 2**44 - 1):
        assert last_of_millisecond(first) < first_of_millisecond(second)
    else:
        assert first_of_millisecond(first) == first_of_millisecond(second)
    assert last_of_millisecond(first) - first_of_millisecond(first) == PLACES_OF_A_MILLISECOND - 1


@given(TIMES, RANDOM)
def test_ids_that_count_up_have_places_that_do(time: int, randomness: int) -> None:
    places = {likely_place(identity(time, (randomness + each) % 2**80)) for each in range(100)}
    assert len(places) == 100


@pytest.mark.parametrize("text", ["", "x", "org_", "org_01", "org_" + "é" * 26, "org_" + "u" * 26, "a" * 300])
def test_what_is_no_id_has_no_place(text: str) -> None:
    assert likely_place(text) == -1


# A few ends, so that many ids want the same place, among them the first and last ones of a millisecond.
IDS = st.builds(
    identity,
    st.sampled_from([0, 1_700_000_000_000, 1_700_000_000_001, 2**48 - 1]),
    st.builds(
        lambda beginning, end: beginning << 19 | end,
        st.integers(0, 2**61 - 1),
        st.sampled_from([0, 1, 2, 77, 2**19 - 3, 2**19 - 2, 2**19 - 1]),
    ),
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids=st.lists(IDS, min_size=1, max_size=60, unique=True), absent=IDS)
def test_every_row_is_found_whoever_has_its_place(database: Database, ids: list[str], absent: str) -> None:
    environment_id, other_environment = grant(database).environment_id, grant(database).environment_id

    def insert(tx: Transaction) -> None:
        for each in ids:
            store.insert(tx, environment_id, row(each))
        store.insert_all(tx, other_environment, [row(each) for each in ids[::2]])

    def check(tx: Transaction) -> None:
        for each in ids:
            assert store.select_wire(tx, environment_id, each) == row(each).wire
            assert store.select_wire(tx, other_environment, each) == (row(each).wire if each in ids[::2] else None)
        everything = {each: row(each).wire for each in ids}
        assert store.select_wires_by_id(tx, environment_id, sorted({*ids, absent})) == everything
        if absent not in ids:
            assert store.select_wire(tx, environment_id, absent) is None
        query = ListOrganizations(search="acme", limit=100)
        shown = service.list_page(tx, caller_in(environment_id), query).data
        assert [msgspec.json.decode(each)["id"] for each in shown] == sorted(ids, reverse=True)
        if tx.engine == "sqlite":
            for each, place in tx.all("SELECT id, place FROM organizations"):
                assert first_of_millisecond(place) == first_of_millisecond(likely_place(each))

    database.write(insert)
    database.read(check)


def row(organization_id: str) -> OrganizationRow:
    return OrganizationRow(
        id=organization_id,
        name="Acme",
        folded_name="acme",
        allow_profiles_outside_organization=False,
        external_id=None,
        stripe_customer_id=None,
        metadata="{}",
        created_at="2026-01-01T00:00:00.000Z",
        updated_at="2026-01-01T00:00:00.000Z",
        wire=msgspec.json.encode({"id": organization_id}),
    )


def test_a_new_row_stands_where_its_id_says(tmp_path: Path) -> None:
    """So that a get finds it at once: no other id of a process has its place."""
    database = open_migrated(f"sqlite:///{tmp_path / 't.db'}", system_world())
    environment_id = grant(database).environment_id
    ids = database.write(lambda tx: [tx.new_id("org") for _ in range(50)])
    database.write(lambda tx: store.insert_all(tx, environment_id, [row(each) for each in ids]))
    places = database.read(lambda tx: tx.all("SELECT id, place FROM organizations"))
    assert sorted(places) == [(each, likely_place(each)) for each in ids]
    database.close()
