"""POST /tenantry/reconcile: where a copy differs."""

import hashlib
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import Server, caller_in, client, grant
from tenantry.core.caller import Caller
from tenantry.core.db import Database
from tenantry.organizations import reconcile, service
from tenantry.organizations.wire import CreateOrganization, OrganizationCursor, Reconcile, UpdateOrganization

PATH = "/tenantry/reconcile"

Copy = dict[str, str]


def hashes(copy: Copy) -> dict[str, str]:
    """Return the hashes as the documentation has them, computed another way than the server does."""
    buckets: dict[str, list[str]] = {}
    for identity in sorted(copy):
        buckets.setdefault(hashlib.sha256(identity.encode()).hexdigest()[:2], []).append(
            f"{identity}\n{copy[identity]}\n"
        )
    return {name: hashlib.sha256("".join(lines).encode()).hexdigest() for name, lines in buckets.items()}


def ask(api: httpx.Client, copy: Copy, **body: object) -> dict[str, Any]:
    answer = api.post(PATH, json={"buckets": hashes(copy), **body})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def create(api: httpx.Client) -> tuple[str, str]:
    made = api.post("/organizations", json={"name": "Acme"}).json()
    return made["id"], made["updated_at"]


@pytest.fixture
def copy(api: httpx.Client) -> Copy:
    """What a consumer has of thirty organizations."""
    return dict(create(api) for _ in range(30))


def told_of(told: dict[str, Any]) -> Copy:
    return {each["id"]: each["updated_at"] for bucket in told["differing"] for each in bucket["organizations"]}


def test_an_equal_copy_is_told_so(api: httpx.Client, copy: Copy) -> None:
    told = ask(api, copy)
    assert (told["object"], told["differing"], told["more"]) == ("reconciliation", [], False)
    assert len(told["position"]) == 32
    assert ask(api, {}, after=max(copy))["differing"] == []


def test_a_copy_of_nothing_equals_nothing(api: httpx.Client) -> None:
    assert ask(api, {})["differing"] == []
    assert api.post(PATH, json={"buckets": {"00": hashlib.sha256().hexdigest()}}).json()["differing"] == []


def test_what_the_copy_lacks_is_told(api: httpx.Client, copy: Copy) -> None:
    identity, updated_at = create(api)
    told = ask(api, copy)
    (bucket,) = told["differing"]
    assert bucket["bucket"] == reconcile.bucket_of(identity)
    assert told_of(told)[identity] == updated_at


def test_what_is_gone_is_not_in_its_bucket(api: httpx.Client, copy: Copy) -> None:
    gone = min(copy)
    api.delete(f"/organizations/{gone}")
    told = ask(api, copy)
    assert [bucket["bucket"] for bucket in told["differing"]] == [reconcile.bucket_of(gone)]
    assert gone not in told_of(told)


def test_what_was_changed_is_told_with_its_time(api: httpx.Client, copy: Copy) -> None:
    changed = api.put(f"/organizations/{min(copy)}", json={"name": "New"}).json()
    assert told_of(ask(api, copy))[changed["id"]] == changed["updated_at"]


def test_a_range_of_ids_is_compared_alone(api: httpx.Client, copy: Copy) -> None:
    ids = sorted(copy)
    part = {identity: copy[identity] for identity in ids[10:20]}
    assert ask(api, part, after=ids[9], through=ids[19])["differing"] == []
    assert set(told_of(ask(api, {}, after=ids[9], through=ids[19]))) == set(part)


def test_a_read_only_key_may_ask(server: Server, shared_database: Database) -> None:
    with client(server.base_url, grant(shared_database, read_only=True).key) as reader:
        assert ask(reader, {})["differing"] == []


def test_other_environments_are_not_told(
    server: Server, shared_database: Database, api: httpx.Client, copy: Copy
) -> None:
    with client(server.base_url, grant(shared_database).key) as stranger:
        told = ask(stranger, copy)
    assert {bucket["bucket"] for bucket in told["differing"]} == set(hashes(copy))
    assert told_of(told) == {}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "buckets"),
        ({"buckets": []}, "buckets"),
        ({"buckets": {"0": "a" * 64}}, "buckets.0"),
        ({"buckets": {"FF": "a" * 64}}, "buckets.FF"),
        ({"buckets": {"00": "a"}}, "buckets.00"),
        ({"buckets": {"00": 1}}, "buckets.00"),
        ({"buckets": {"00": "A" * 64}}, "buckets.00"),
        ({"buckets": {}, "after": "x"}, "after"),
        ({"buckets": {}, "through": "x"}, "through"),
    ],
)
def test_a_wrong_body_is_told(api: httpx.Client, body: object, field: str) -> None:
    answer = api.post(PATH, json=body)
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, [field])


@pytest.fixture
def caller(database: Database) -> Caller:
    return caller_in(grant(database).environment_id)


@pytest.fixture
def sixty(database: Database, caller: Caller) -> Copy:
    made = database.write(
        lambda tx: [service.create(tx, caller, CreateOrganization(name=str(number))) for number in range(60)]
    )
    decoded = [service._decode(raw) for raw in made]
    return {each.id: each.updated_at for each in decoded}


def test_more_than_a_request_compares_is_refused(
    database: Database, caller: Caller, sixty: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The limit is a hundred thousand: a small one shows the same.
    monkeypatch.setattr(reconcile, "MOST_COMPARED", 59)
    with pytest.raises(reconcile.TooManyToCompare):
        database.read(lambda tx: reconcile.compare(tx, caller, Reconcile(buckets={})))
    through = OrganizationCursor(sorted(sixty)[58])
    part = Reconcile(buckets=hashes({each: sixty[each] for each in sorted(sixty)[:59]}), through=through)
    assert database.read(lambda tx: reconcile.compare(tx, caller, part)).differing == []


def test_what_does_not_fit_is_told_once_the_rest_is_mended(
    database: Database, caller: Caller, sixty: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The limit is five thousand: a small one shows the same.
    monkeypatch.setattr(reconcile, "MOST_TOLD", 10)
    copy: Copy = {}
    for _ in range(60):
        body = Reconcile(buckets=hashes(copy))
        told = database.read(lambda tx, body=body: reconcile.compare(tx, caller, body))  # type: ignore[misc]
        for bucket in told.differing:
            assert bucket.organizations
            copy.update((each.id, each.updated_at) for each in bucket.organizations)
        if not told.more:
            break
        assert sum(len(bucket.organizations) for bucket in told.differing) <= 10
    assert copy == sixty


IDS = st.integers(0, 500).map(lambda number: f"org_{number:026}")
TIMES = st.integers(0, 3).map(str)
COPIES = st.dictionaries(IDS, TIMES, max_size=60)


@given(COPIES)
def test_hashes_are_those_of_the_documentation(copy: Copy) -> None:
    assert reconcile.hashes_of(sorted(copy.items())) == hashes(copy)


@given(COPIES, COPIES)
def test_a_bucket_differs_exactly_when_something_in_it_does(ours: Copy, theirs: Copy) -> None:
    wrong = {identity for identity in ours.keys() | theirs.keys() if ours.get(identity) != theirs.get(identity)}
    assert reconcile.differing(hashes(ours), hashes(theirs)) == sorted(set(map(reconcile.bucket_of, wrong)))


def test_two_changes_in_one_millisecond_have_two_times(database: Database, caller: Caller, sixty: Copy) -> None:
    """The clock of this database stands still: a hash of times tells the states apart all the same."""
    first = min(sixty)
    for name in ("once", "twice"):
        change = UpdateOrganization(name=name)
        database.write(lambda tx, change=change: service.update(tx, caller, first, change))  # type: ignore[misc]
        changed = service._decode(database.read(lambda tx: service.get(tx, caller, first)))
        assert changed.updated_at > sixty[first]
        sixty[first] = changed.updated_at
