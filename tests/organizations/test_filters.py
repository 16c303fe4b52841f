"""The filters of the list, alone and together, against a plain look at every organization."""

import contextlib
from collections.abc import Iterator
from random import Random
from typing import Any
from unittest.mock import patch

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metadata_checks import advance
from support import caller_in, fresh_database_url, grant, open_migrated
from tenantry.core.clock import timestamp
from tenantry.core.db import Database, Transaction, World
from tenantry.core.effort import QUICK, THOROUGH, Effort, TakesLong
from tenantry.core.page import Order, bounds
from tenantry.core.parsing import Moment
from tenantry.core.validation import convert
from tenantry.organizations import filters, metadata_keys, service
from tenantry.organizations.metadata_keys import MetadataKeyNotFound
from tenantry.organizations.search import fold
from tenantry.organizations.wire import (
    CreateOrganization,
    DeclareMetadataKey,
    ListOrganizations,
    OrganizationCursor,
    OrganizationPage,
    Total,
    UpdateOrganization,
)
from tenantry.server import system_world

_COUNT = 150
_START = 1_700_000_000_000
_STEP = 400
_TIERS = ["free", "team", "diamond", "", "a, b"]
_REGIONS = ["us", "eu"]
_ODD_KEYS = ['"', "'", "$.tier", "0", "[0]", "x.y", "ключ", "tier "]
_DOMAINS = ["acme.com", "beta.com", "gamma.com"]

Json = dict[str, Any]


class Directory:
    """Two environments of organizations, and what is in them according to plain Python."""

    def __init__(self, database: Database, ticks: list[int]) -> None:
        self.database = database
        self._ticks = ticks
        self.environments = [grant(database).environment_id for _ in range(2)]
        self.present: dict[str, dict[str, Json]] = {each: {} for each in self.environments}
        random = Random(8)
        for _ in range(_COUNT):
            for environment_id in self.environments:
                self.create(environment_id, _body(random))

    def create(self, environment_id: str, body: Json) -> None:
        self._ticks[0] += _STEP
        unique = {"external_id": f"crm-{self._ticks[0]}"} if body["external_id"] else {}
        given_body = convert(body | unique, CreateOrganization, strict=True)
        self._keep(
            environment_id,
            self.database.write(lambda tx: service.create(tx, caller_in(environment_id), given_body)),
        )

    def update(self, environment_id: str, identity: str, body: Json) -> None:
        given_body = convert(body, UpdateOrganization, strict=True)

        def work(tx: Transaction) -> msgspec.Raw:
            return service.update(tx, caller_in(environment_id), identity, given_body)

        self._keep(environment_id, self.database.write(work))

    def delete(self, environment_id: str, identity: str) -> None:
        self.database.write(lambda tx: service.delete(tx, caller_in(environment_id), identity))
        del self.present[environment_id][identity]

    def declare(self, environment_id: str, key: str, *, parts: int | None) -> None:
        """Declare a key, and have its check go on by some parts, or to its end."""
        caller = caller_in(environment_id)
        self.database.write(lambda tx: metadata_keys.declare(tx, caller, key, DeclareMetadataKey()))
        advance(self.database, environment_id, key, at_once=20, parts=parts)

    def remove(self, environment_id: str, key: str, *, parts: int | None) -> None:
        """Declare a key no more, and have its index taken down by some parts, or to its end."""
        with contextlib.suppress(MetadataKeyNotFound):
            self.database.write(lambda tx: metadata_keys.remove(tx, caller_in(environment_id), key))
        advance(self.database, environment_id, key, at_once=20, parts=parts)

    def _keep(self, environment_id: str, raw: msgspec.Raw) -> None:
        organization: Json = msgspec.json.decode(raw)
        self.present[environment_id][organization["id"]] = organization

    def page(self, environment_id: str, query: ListOrganizations, effort: Effort = THOROUGH) -> OrganizationPage:
        """Return a page as it is served."""
        return self.database.read(lambda tx: service.list_page(tx, caller_in(environment_id), query, effort))

    def matching(self, environment_id: str, query: ListOrganizations) -> list[str]:
        """Return the ids of all that match, by looking at every organization."""
        return sorted(identity for identity, each in self.present[environment_id].items() if matches(each, query))

    def expected(self, environment_id: str, query: ListOrganizations) -> list[str]:
        """Return the ids of a page."""
        limits = bounds(query)
        found = self.matching(environment_id, query)[:: -1 if limits.descending else 1]
        if limits.cursor is not None:
            found = [
                each for each in found if (each < limits.cursor if limits.descending else each > limits.cursor)
            ]
        page = found[: limits.limit]
        return page[::-1] if limits.reverse else page


def matches(organization: Json, query: ListOrganizations) -> bool:
    """Return whether the organization is one that `query` asks for, by the words of docs/querying.md."""
    metadata = organization["metadata"]
    domains = [each for each in organization["domains"] if not query.domains or each["domain"] in query.domains]
    return (
        (not query.domains or bool(domains))
        and (query.domain_state is None or any(each["state"] == query.domain_state for each in domains))
        and fold(query.search or "") in fold(organization["name"])
        and all(
            key in metadata and (not values or metadata[key] in values) for key, values in query.metadata.items()
        )
        and (query.created_after is None or organization["created_at"] >= query.created_after)
        and (query.created_before is None or organization["created_at"] < query.created_before)
        and (query.has_external_id is None or (organization["external_id"] is not None) == query.has_external_id)
        and (
            query.stripe_customer_id is None or organization.get("stripe_customer_id") == query.stripe_customer_id
        )
    )


def _body(random: Random) -> Json:
    return {
        "name": random.choice(["Acme", "Beta", "Gamma Holdings"]) + f" {random.randrange(10)}",
        "metadata": {
            "region": random.choice(_REGIONS),
            **({"tier": random.choice(_TIERS)} if random.random() < 0.7 else {}),
            **({random.choice(_ODD_KEYS): "odd"} if random.random() < 0.3 else {}),
        },
        "domain_data": [
            {"domain": domain, "state": random.choice(["pending", "verified"])}
            for domain in random.sample(_DOMAINS, random.randrange(3))
        ],
        "external_id": random.choice(["its own", None]),
    }


@pytest.fixture(scope="module")
def directory(engine: str, postgres: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    ticks = [_START]
    with fresh_database_url(engine, tmp_path_factory.mktemp("filters"), postgres) as url:
        database = open_migrated(url, World(lambda: ticks[0], system_world().entropy))
        yield Directory(database, ticks)
        database.close()


VALUES = st.lists(st.sampled_from([*(value for value in _TIERS if value), "none"]), max_size=3, unique=True)
METADATA = st.one_of(
    st.just({}),
    st.builds(lambda values: {"tier": values}, VALUES),
    st.builds(lambda values, region: {"tier": values, "region": [region]}, VALUES, st.sampled_from(_REGIONS)),
    st.sampled_from(_ODD_KEYS).map(lambda key: {key: ["odd"]}),
    st.sampled_from(_ODD_KEYS).map(lambda key: {key: []}),
)
TIMES = st.none() | st.integers(-2, _COUNT * 2 + 2).map(lambda n: Moment(timestamp(_START + n * _STEP)))
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "metadata": METADATA,
        "domains": st.lists(st.sampled_from(_DOMAINS), max_size=2, unique=True),
        "domain_state": st.sampled_from(["pending", "verified", "failed"]),
        "search": st.sampled_from(["acme", "HOLD", "a", "gamma holdings 1", "nobody"]),
        "created_after": TIMES,
        "created_before": TIMES,
        "has_external_id": st.none() | st.booleans(),
        "stripe_customer_id": st.sampled_from(["cus_1", "cus_2"]),
    },
)


def change(directory: Directory, environment_id: str, data: st.DataObject) -> None:
    """Do nothing, or one thing to one organization."""
    random = Random(data.draw(st.integers(0, 1 << 30), label="change"))
    identity = random.choice(sorted(directory.present[environment_id]))
    kinds = ["nothing", "create", "update", "delete", "declare", "remove"]
    kind = data.draw(st.sampled_from(kinds), label="kind")
    parts = random.choice([0, 1, 3, None])
    if kind == "create":
        directory.create(environment_id, _body(random))
    elif kind == "update":
        customer = random.choice(["cus_1", "cus_2", None])
        held = any(
            customer == each.get("stripe_customer_id") for each in directory.present[environment_id].values()
        )
        body = {"metadata": {"tier": random.choice([*_TIERS, None])}}
        directory.update(environment_id, identity, body if held else body | {"stripe_customer_id": customer})
    elif kind == "declare":
        directory.declare(environment_id, random.choice(["tier", "region"]), parts=parts)
    elif kind == "remove":
        directory.remove(environment_id, "tier", parts=parts)
    elif kind == "delete" and len(directory.present[environment_id]) > _COUNT // 2:
        directory.delete(environment_id, identity)


def draw_query(directory: Directory, environment_id: str, data: st.DataObject) -> ListOrganizations:
    ids = sorted(directory.present[environment_id])
    cursors = st.none() | st.integers(0, 1 << 10).map(lambda n: OrganizationCursor(ids[n % len(ids)]))
    return ListOrganizations(
        **data.draw(FILTERS, label="filters"),
        order=data.draw(st.sampled_from(Order), label="order"),
        limit=data.draw(st.sampled_from([1, 3, 10, 100]), label="limit"),
        before=data.draw(cursors, label="before"),
        after=data.draw(cursors, label="after"),
        total=data.draw(st.booleans(), label="total"),
    )


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_page_holds_what_a_look_at_every_organization_finds(directory: Directory, data: st.DataObject) -> None:
    environment_id = data.draw(st.sampled_from(directory.environments))
    change(directory, environment_id, data)
    query = draw_query(directory, environment_id, data)
    # Of some of the queries with several values more than a few match: see `filters.FEW`.
    with patch.object(filters, "FEW", data.draw(st.sampled_from([5, filters.FEW]), label="few")):
        page = directory.page(environment_id, query)
    assert ids_of(page) == directory.expected(environment_id, query)
    if query.total:
        count = len(directory.matching(environment_id, query))
        assert page.total == Total(count, exact=True)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), rounds=st.lists(st.integers(1, 20), min_size=1, max_size=3))
def test_a_request_that_looks_at_few_rows_leads_on_to_all_of_them(
    directory: Directory, data: st.DataObject, rounds: list[int]
) -> None:
    """Whichever way the pages are walked, all together hold each match once, in order."""
    environment_id = data.draw(st.sampled_from(directory.environments))
    query = msgspec.structs.replace(
        draw_query(directory, environment_id, data), before=None, after=None, total=False
    )
    effort = Effort(tuple(rounds))
    whole = directory.matching(environment_id, query)[:: 1 if query.order is Order.ASC else -1]
    older = "before" if query.order is Order.NORMAL else "after"
    seen, last = walk(directory, environment_id, query, effort, older)
    assert [each for page in seen for each in page] == whole
    newer = "after" if query.order is Order.NORMAL else "before"
    back, _ = walk(directory, environment_id, query, effort, newer, start=last)
    assert [each for page in reversed(back) for each in page] == whole


def walk(
    directory: Directory,
    environment_id: str,
    query: ListOrganizations,
    effort: Effort,
    cursor: str,
    start: str | None = None,
) -> tuple[list[list[str]], str | None]:
    """Return the ids of each page that `cursor` leads to, and an id past the last of them."""
    pages = []
    place = start
    while True:
        asked = msgspec.structs.replace(query, **{cursor: OrganizationCursor(place) if place else None})
        page = directory.page(environment_id, asked, effort)
        pages.append(ids_of(page))
        assert len(pages[-1]) <= query.limit
        following = getattr(page.list_metadata, cursor)
        if following is None:
            return pages, "org_7ZZZZZZZZZZZZZZZZZZZZZZZZZ" if query.order is Order.ASC else "org_" + "0" * 26
        assert following != place
        place = following


def test_what_takes_long_is_given_up_when_it_must_be_quick(directory: Directory) -> None:
    query = ListOrganizations(metadata={"undeclared": []})
    with pytest.raises(TakesLong):
        directory.page(directory.environments[0], query, Effort((2, 3), gives_up=True))
    assert directory.page(directory.environments[0], query, Effort((2, 3))).data == []
    assert QUICK.gives_up


def ids_of(page: OrganizationPage) -> list[str]:
    return [msgspec.json.decode(each)["id"] for each in page.data]


def create(api: httpx.Client, **body: Any) -> str:
    answer = api.post("/organizations", json={"name": "Acme"} | body)
    assert answer.status_code == 201, answer.text
    identity: str = answer.json()["id"]
    return identity


def found(api: httpx.Client, query: str) -> set[str]:
    answer = api.get(f"/organizations?{query}")
    assert answer.status_code == 200, answer.text
    return {each["id"] for each in answer.json()["data"]}


@pytest.mark.parametrize(
    "query",
    [
        "metadata[tier]=gold&metadata[tier]=a,%20b",
        "metadata[tier][]=gold&metadata[tier][]=a,%20b",
        "metadata%5Btier%5D%5B0%5D=gold&metadata%5Btier%5D%5B1%5D=a,%20b",
    ],
)
def test_a_key_given_several_times_is_any_of_the_values(api: httpx.Client, query: str) -> None:
    """A value is taken as it is, with its comma."""
    gold, listed = (create(api, metadata={"tier": tier}) for tier in ("gold", "a, b"))
    create(api, metadata={"tier": "a"})
    assert found(api, query) == {gold, listed}


def test_several_keys_must_all_match_and_an_empty_value_is_any(api: httpx.Client) -> None:
    both = create(api, metadata={"tier": "gold", "seats": ""})
    gold = create(api, metadata={"tier": "gold"})
    create(api, metadata={"seats": "5"})
    assert found(api, "metadata[tier]=gold&metadata[seats]=") == {both}
    assert found(api, "metadata[tier]=") == {both, gold}


def test_a_domain_state_with_domains_is_of_one_of_them(api: httpx.Client) -> None:
    data = [{"domain": "acme.com", "state": "verified"}, {"domain": "beta.com", "state": "pending"}]
    identity = create(api, domain_data=data)
    assert found(api, "domain_state=verified&domains=acme.com") == {identity}
    assert found(api, "domain_state=pending&domains=acme.com") == set()
    assert found(api, "domain_state=pending") == {identity}


def test_the_total_is_told_when_asked_for(api: httpx.Client) -> None:
    for tier in ("gold", "gold", "free"):
        create(api, metadata={"tier": tier})
    answer = api.get("/organizations?metadata[tier]=gold&limit=1&total=true").json()
    assert (len(answer["data"]), answer["total"]) == (1, {"count": 2, "exact": True})
    assert api.get("/organizations?total=true").json()["total"] == {"count": 3, "exact": True}
    assert "total" not in api.get("/organizations").json()


def test_what_is_wrong_is_told_by_name(api: httpx.Client) -> None:
    many = "&".join(f"metadata[k{n}]=v" for n in range(11)) + "".join(f"&metadata[k0]={n}" for n in range(20))
    wrong = "created_after=soon&domain_state=lost&has_external_id=maybe&stripe_customer_id="
    answer = api.get(f"/organizations?{many}&{wrong}")
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"field": "metadata", "code": "metadata must contain no more than 10 keys"},
        {"field": "metadata.k0", "code": "metadata.k0 must contain no more than 20 elements"},
        {
            "field": "created_after",
            "code": "created_after must be an ISO 8601 time in UTC, as 2026-01-15T12:00:00Z",
        },
        {
            "field": "domain_state",
            "code": (
                "domain_state must be one of the following values:"
                " failed, legacy_verified, pending, unverified, verified"
            ),
        },
        {"field": "has_external_id", "code": "has_external_id must be a boolean value"},
        {"field": "stripe_customer_id", "code": "stripe_customer_id should not be empty"},
    ]
    assert api.get("/organizations?metadata[a%00]=b").status_code == 422


def test_what_is_looked_for_far_is_found_over_http(api: httpx.Client) -> None:
    """Past the rows that are looked at on the event loop the look goes on elsewhere."""
    rare = create(api, metadata={"tier": "rare"})
    for _ in range(120):
        create(api)
    assert found(api, "metadata[tier]=rare") == {rare}
    assert found(api, "metadata[tier]=rare&order=asc") == {rare}


def test_the_document_describes_metadata_as_keys_in_brackets(api: httpx.Client) -> None:
    operation = api.get("/openapi.json").json()["paths"]["/organizations"]["get"]
    metadata = next(each for each in operation["parameters"] if each["name"] == "metadata")
    assert (metadata["style"], metadata["explode"]) == ("deepObject", True)
    assert metadata["schema"]["additionalProperties"] == {"type": "string"}
