"""`POST /tenantry/organizations/bulk`."""

import secrets
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import httpx
import pytest

from support import Access, Server, client, events_of, grant
from tenantry.core.db import Database, Work
from tenantry.core.errors import DatabaseUnavailable
from tenantry.node import Nodes
from tenantry.server import system_world
from tenantry.settings import Settings
from tenantry.transfer.bulk import AT_ONCE, are_apart

BULK = "/tenantry/organizations/bulk"


def events(api: httpx.Client) -> int:
    names = ["organization.created", "organization.updated", "organization_domain.created"]
    return len(api.get("/events", params={"events": names, "limit": 100}).json()["data"])


class Failing:
    """A database one of whose writes for an event loop is refused, the others are done."""

    def __init__(self, database: Database, number: int) -> None:
        self._database = database
        self._until = number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def write_soon(self, work: Work[Any], **how: bool) -> Any:
        self._until -= 1
        if self._until == 0:
            raise DatabaseUnavailable
        return await self._database.write_soon(work, **how)


@asynccontextmanager
async def in_process(database: Failing, key: str) -> AsyncIterator[httpx.AsyncClient]:
    """Yield an HTTP client of the API over `database`, in the test's own event loop."""
    node = Nodes(Settings(), lambda: 0).open(cast(Database, database), system_world())
    transport = httpx.ASGITransport(app=node.app)  # type: ignore[arg-type]
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://node.invalid", headers=headers) as opened:
        yield opened


def test_each_is_created_or_updated_with_a_result_of_its_own(api: httpx.Client) -> None:
    made = api.post("/organizations", json={"name": "Acme", "metadata": {"a": "1"}}).json()
    body: list[Any] = [
        {"id": made["id"], "metadata": {"b": "2"}},
        {"name": "Globex", "external_id": "x", "domains": ["globex.com"]},
        {"name": "Second", "external_id": "x"},
        {"name": ""},
        {"id": "org_01EHWNCE74X7JSDV0X3SZ3KJNY", "name": "Gone"},
        7,
    ]
    before = events(api)
    answer = api.post(BULK, json={"organizations": body})
    assert answer.status_code == 200
    assert answer.json()["failed"] == 4
    results = answer.json()["results"]
    assert [each["status"] for each in results] == [200, 201, 400, 422, 404, 422]
    assert results[0]["body"]["metadata"] == {"a": "1", "b": "2"}
    assert results[1]["body"] == api.get("/organizations/external_id/x").json()
    assert results[2]["body"]["code"] == "external_id_already_used"
    assert results[3]["body"]["errors"] == [{"field": "name", "code": "name should not be empty"}]
    assert len(api.get("/organizations").json()["data"]) == 2
    assert events(api) - before == 3


def test_a_nul_is_the_fault_of_its_item_alone(api: httpx.Client) -> None:
    items: list[Any] = [{"name": "A\0B"}, {"id": "org_\0", "name": "Acme"}, {"name": "Globex"}, "a\0b"]
    results = api.post(BULK, json={"organizations": items}).json()["results"]
    assert [each["status"] for each in results] == [422, 422, 201, 422]
    told = [each["body"]["errors"][0]["code"] for each in results if each["status"] == 422]
    assert told[:2] == ["name must not contain NUL characters", "id must not contain NUL characters"]
    refused = api.post(BULK, json={"organizations": [], "a\0b": 1})
    assert refused.json()["errors"][0]["code"] == "a\\0b must not contain NUL characters"


def test_an_atomic_request_is_done_whole_or_not_at_all(api: httpx.Client) -> None:
    body = [{"name": "One", "domains": ["one.com"]}, {"name": "Two", "external_id": "x"}]
    refused = api.post(
        BULK, json={"atomic": True, "organizations": [*body, {"name": "Three", "external_id": "x"}]}
    )
    assert refused.status_code == 422
    assert refused.json()["code"] == "bulk_not_done"
    assert [each["status"] for each in refused.json()["results"]] == [201, 201, 400]
    assert api.get("/organizations").json()["data"] == []
    assert events(api) == 0
    done = api.post(BULK, json={"atomic": True, "organizations": body})
    assert [each["status"] for each in done.json()["results"]] == [201, 201]
    assert len(api.get("/organizations").json()["data"]) == 2


def test_a_thousand_at_once_and_no_more(api: httpx.Client) -> None:
    body = [{"name": f"Acme {number}"} for number in range(1001)]
    assert api.post(BULK, json={"organizations": body}).status_code == 422
    answer = api.post(BULK, json={"organizations": body[:1000]})
    assert {each["status"] for each in answer.json()["results"]} == {201}


@pytest.mark.parametrize("atomic", [False, True])
def test_of_many_creates_that_claim_the_same_the_first_has_it(unique_api: httpx.Client, *, atomic: bool) -> None:
    declared = unique_api.put("/tenantry/metadata_keys/account", json={"unique": True})
    assert declared.status_code == 202
    while unique_api.get("/tenantry/metadata_keys/account").json()["state"] == "checking":
        time.sleep(0.05)
    fillers = [{"name": f"Acme {number}"} for number in range(20)]
    pairs: list[dict[str, Any]] = [
        {"external_id": "crm-1"},
        {"domains": ["acme.com"]},
        {"domain_data": [{"domain": "globex.com", "state": "verified"}]},
        {"metadata": {"account": "7"}},
    ]
    for number, pair in enumerate(pairs):
        body = [*fillers, {"name": "First"} | pair, *fillers, {"name": "Second"} | pair]
        answer = unique_api.post(BULK, json={"organizations": body, "atomic": atomic}).json()
        statuses = [each["status"] for each in answer["results"]]
        assert statuses[:-1] == [201] * 41, pair
        assert statuses[-1] in {400, 409}, pair
        kept = len(unique_api.get("/organizations", params={"limit": 100, "search": "First"}).json()["data"])
        assert kept == (0 if atomic else number + 1)


CLAIMING = [
    {"name": "One", "external_id": "crm-1", "domains": ["one.example.com"], "metadata": {"a": "1"}},
    {"name": "Two", "external_id": None, "domain_data": [{"domain": "two.example.com", "state": "pending"}]},
    {"name": "Three", "metadata": {"a": "1"}},
    {"name": "Four", "domains": ["bücher.example.com"], "external_id": ""},
    {"name": "Five", "external_id": None},
]


def test_creates_are_apart_where_no_two_claim_the_same() -> None:
    assert are_apart(CLAIMING)
    assert are_apart([])


@pytest.mark.parametrize(
    "more",
    [
        {"id": "org_01EHWNCE74X7JSDV0X3SZ3KJNY", "name": "An update"},
        {"external_id": "crm-1"},
        {"domains": ["other.example.com", "two.example.com"]},
        {"domain_data": [{"domain": "One.Example.COM", "state": "verified"}]},
        {"domain_data": [{"domain": "XN--BCHER-KVA.example.com", "state": "verified"}]},
        {"external_id": ["no text"]},
        7,
    ],
)
def test_creates_are_not_apart_from_one_that_claims_what_another_does(more: object) -> None:
    assert not are_apart([*CLAIMING, more])
    assert not are_apart([more, *CLAIMING])


def test_a_retried_request_has_one_effect(api: httpx.Client) -> None:
    for _ in range(2):
        api.post(BULK, json={"organizations": [{"name": "Once"}]}, headers={"idempotency-key": "k"})
    assert len(api.get("/organizations").json()["data"]) == 1


def test_an_item_of_a_form_is_read_as_a_form_of_its_own(api: httpx.Client) -> None:
    alone = {
        "name": "Acme",
        "allow_profiles_outside_organization": "true",
        "domains": "one.com",
        "domain_data[0][domain]": "two.com",
        "domain_data[0][state]": "verified",
        "metadata[0]": "a",
        "metadata[7]": "b",
    }
    form = {
        f"organizations[0][{name.partition('[')[0]}]{name[len(name.partition('[')[0]) :]}": value
        for name, value in alone.items()
    }
    result = api.post(BULK, data=form).json()["results"][0]
    assert result["status"] == 201, result
    assert result["body"]["allow_profiles_outside_organization"] is True
    assert sorted(each["domain"] for each in result["body"]["domains"]) == ["one.com", "two.com"]
    assert result["body"]["metadata"] == {"0": "a", "7": "b"}
    wrong = {"name": "Acme", "allow_profiles_outside_organization": "perhaps"}
    single = api.post("/organizations", data=wrong)
    result = api.post(BULK, data={f"organizations[0][{key}]": value for key, value in wrong.items()}).json()
    assert result["results"] == [{"status": single.status_code, "body": single.json()}]


def test_the_names_that_an_update_alone_understands_are_understood(api: httpx.Client) -> None:
    made = api.post("/organizations", json={"name": "Acme"}).json()
    body = {"organizations": [{"id": made["id"], "Name": "Globex", "Domains": ["globex.com"]}]}
    result = api.post(BULK, json=body).json()["results"][0]
    assert (result["status"], result["body"]["name"]) == (200, "Globex")
    assert [each["domain"] for each in result["body"]["domains"]] == ["globex.com"]


def test_a_request_is_done_beside_a_client_that_changes_one_of_its_organizations_all_the_time(
    api: httpx.Client, server: Server, access: Access
) -> None:
    made = api.post(BULK, json={"organizations": [{"name": f"Acme {n}"} for n in range(500)]}).json()["results"]
    ids = [each["body"]["id"] for each in made]
    over = threading.Event()

    def change_one() -> set[int]:
        statuses = set()
        with client(server.base_url, access.key) as other:
            while not over.wait(0.02):
                answer = other.put(f"/organizations/{ids[-1]}", json={"name": secrets.token_hex(4)})
                statuses.add(answer.status_code)
        return statuses

    with ThreadPoolExecutor(1) as threads:
        changing = threads.submit(change_one)
        try:
            answer = api.post(BULK, json={"organizations": [{"id": each, "name": "Bulk"} for each in ids]})
        finally:
            over.set()
    assert (answer.status_code, answer.json().get("failed")) == (200, 0)
    assert changing.result() <= {200}


async def test_what_was_not_written_after_others_were_is_told_and_the_same_request_goes_on_from_there(
    database: Database,
) -> None:
    access = grant(database)
    body = {"organizations": [{"name": f"Acme {number}"} for number in range(2 * AT_ONCE + 1)]}
    async with in_process(Failing(database, 3), access.key) as api:
        send = partial(api.post, BULK, json=body, headers={"idempotency-key": "k"})
        first = (await send()).json()
        assert [each["status"] for each in first["results"]] == [201] * 2 * AT_ONCE + [503]
        assert (first["failed"], first["results"][-1]["body"]["code"]) == (1, "database_unavailable")
        second = (await send()).json()
        assert second["failed"] == 0
        assert second["results"][:-1] == first["results"][:-1]
        assert (await send()).json() == second
    assert len(events_of(database, access.environment_id)) == 2 * AT_ONCE + 1
