"""The peer of the benchmark answers what Tenantry answers, so that the two do the same work."""

import secrets
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import httpx
import msgspec
import pytest
from bench.load import SEED
from bench.operations import ON_THE_WIRE, Loaded
from bench.server import fresh_database, serving_peer

from bench import generate
from support import client

_COUNT = 40
_GIVEN_BY_THE_SERVER = frozenset(
    {"id", "organization_id", "verification_prefix", "verification_token", "created_at", "updated_at"}
)


@pytest.fixture
def peer(engine: str, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of a running peer on a database of its own."""
    key = secrets.token_urlsafe()
    with (
        fresh_database(engine, tmp_path) as database,
        serving_peer(database, tmp_path, key) as running,
        client(running.base_url, key) as opened,
    ):
        yield opened


def loaded(api: httpx.Client) -> Loaded:
    """Create organizations of the generator."""
    bodies = (msgspec.json.encode(generate.organization(SEED, index)) for index in range(_COUNT))
    headers = {"content-type": "application/json"}
    answers = [api.post("/organizations", content=body, headers=headers) for body in bodies]
    assert [answer.status_code for answer in answers] == [201] * _COUNT
    return Loaded(SEED, [answer.json()["id"] for answer in answers])


def comparable(value: Any, ids: list[str]) -> Any:
    """Return JSON with what each server makes up left out; ids of organizations by their place."""
    if isinstance(value, list):
        return [comparable(each, ids) for each in value]
    if isinstance(value, dict):
        return {
            key: "given" if key in _GIVEN_BY_THE_SERVER else comparable(each, ids) for key, each in value.items()
        }
    return ids.index(value) if value in ids else value


def test_each_measured_operation_and_each_page_is_answered_alike(api: httpx.Client, peer: httpx.Client) -> None:
    both = [(each, loaded(each)) for each in (api, peer)]
    for order, cursor, place in product(("normal", "desc", "asc"), ("before", "after"), (0, 3, 20, _COUNT - 1)):
        pages = []
        for each, organizations in both:
            query = {"order": order, "limit": "5", cursor: organizations.ids[place]}
            page = each.get("/organizations", params=query).json()
            pages.append(comparable(page, organizations.ids))
        assert pages[0] == pages[1], (order, cursor, place)
    for operation in ON_THE_WIRE[1:]:
        for seed in range(6):
            answers = []
            for each, organizations in both:
                request = operation.request(organizations, Random(seed))
                headers = {"content-type": "application/json"} if request.body else {}
                answer = each.request(request.method, request.path, content=request.body, headers=headers)
                answers.append((answer.status_code, comparable(answer.json(), organizations.ids)))
            assert answers[0] == answers[1], operation.name


def test_who_is_unknown_and_what_is_missing_are_refused_alike(api: httpx.Client, peer: httpx.Client) -> None:
    missing = "/organizations/org_01H5JQDV7R7ATEYZDEG0W5PRYS"
    assert api.get(missing).json() == peer.get(missing).json()
    for each in (api, peer):
        assert each.get(missing).status_code == 404
        assert each.get(missing, headers={"authorization": "Bearer other"}).status_code == 401


def test_what_changes_nothing_leaves_no_trace_on_either(api: httpx.Client, peer: httpx.Client) -> None:
    for each in (api, peer):
        made = each.post("/organizations", json={"name": "Acme", "metadata": {"tier": "free"}}).json()
        same = each.put(f"/organizations/{made['id']}", json={"metadata": {"tier": "free"}}).json()
        changed = each.put(f"/organizations/{made['id']}", json={"metadata": {"tier": None, "seats": "5"}}).json()
        assert same == made
        assert changed["metadata"] == {"seats": "5"}
