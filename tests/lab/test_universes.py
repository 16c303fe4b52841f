"""Universes: forks of the seed that never see each other."""

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab_in_process import running
from support import Server, client, grant, open_migrated
from tenantry.dev import IN_MEMORY
from tenantry.settings import Settings

UNIVERSES = "/tenantry/lab/universes"
Fork = Callable[..., httpx.Client]


def id_of(universe: httpx.Client) -> str:
    return universe.headers["authorization"].rpartition(".")[2]


def names(api: httpx.Client) -> set[str]:
    return {each["name"] for each in api.get("/organizations").json()["data"]}


def test_two_universes_and_the_main_environment_do_not_see_each_other(fork: Fork, main: httpx.Client) -> None:
    one, other = fork(), fork()
    made = one.post("/organizations", json={"name": "Only in one"}).json()
    assert names(one) == {"Only in one"}
    assert names(other) == set()
    for stranger in (other, main):
        assert stranger.get(f"/organizations/{made['id']}").status_code == 404
        assert "Only in one" not in names(stranger)


def test_a_universe_is_told_with_all_that_a_client_needs(main: httpx.Client, fork: Fork) -> None:
    made = main.post(UNIVERSES, json={"name": "checkout tests", "idle_seconds": 60}).json()
    assert made["object"] == "universe"
    assert re.fullmatch(r"universe_[0-9A-Z]{26}", made["id"])
    assert made["name"] == "checkout tests"
    assert made["forked_from"] == "seed"
    assert made["base_url"] == str(main.base_url).rstrip("/")
    assert made["clock"]["frozen"] is False
    assert made["idle_seconds"] == 60
    assert main.get(f"{UNIVERSES}/{made['id']}").json()["id"] == made["id"]
    assert main.delete(f"{UNIVERSES}/{made['id']}").status_code == 204


def test_the_key_of_a_universe_that_was_dropped_is_refused_with_the_reason(main: httpx.Client, fork: Fork) -> None:
    universe = fork()
    assert universe.get("/organizations").status_code == 200
    assert main.delete(f"{UNIVERSES}/{id_of(universe)}").status_code == 204
    refused = universe.get("/organizations")
    assert refused.status_code == 401
    assert "POST /tenantry/lab/universes" in refused.json()["message"]
    assert main.get(f"{UNIVERSES}/{id_of(universe)}").json()["code"] == "entity_not_found"


def test_a_reset_brings_the_first_state_back_under_the_same_key(universe: httpx.Client) -> None:
    universe.post("/organizations", json={"name": "Acme"})
    universe.post("/tenantry/lab/clock/advance", json={"by": "10d"})
    universe.post("/tenantry/lab/clock/freeze")
    reset = universe.post(f"{UNIVERSES}/{id_of(universe)}/reset")
    assert reset.status_code == 200
    assert names(universe) == set()
    clock: dict[str, Any] = universe.get("/tenantry/lab/clock").json()
    assert clock["frozen"] is False
    assert clock["now"] < universe.get(f"{UNIVERSES}/{id_of(universe)}").json()["expires_at"]


def test_a_fork_of_a_universe_begins_with_its_present_state(fork: Fork) -> None:
    parent = fork()
    made = parent.post("/organizations", json={"name": "Acme"}).json()
    child = fork(**{"from": id_of(parent)})
    assert child.get(f"/organizations/{made['id']}").json() == made
    child.delete(f"/organizations/{made['id']}")
    assert parent.get(f"/organizations/{made['id']}").json() == made
    child.post(f"{UNIVERSES}/{id_of(child)}/reset")
    assert child.get(f"/organizations/{made['id']}").json() == made


def test_a_universe_sees_and_acts_on_no_other(fork: Fork) -> None:
    one, other = fork(), fork()
    assert [each["id"] for each in one.get(UNIVERSES).json()["data"]] == [id_of(one)]
    for request in (("GET", id_of(other)), ("DELETE", id_of(other)), ("GET", "main"), ("DELETE", "main")):
        refused = one.request(request[0], f"{UNIVERSES}/{request[1]}")
        assert (refused.status_code, refused.json()["code"]) == (404, "entity_not_found")


def test_the_main_environment_is_neither_dropped_nor_reset(main: httpx.Client) -> None:
    for request in (("DELETE", f"{UNIVERSES}/main"), ("POST", f"{UNIVERSES}/main/reset")):
        refused = main.request(*request)
        assert (refused.status_code, refused.json()["code"]) == (409, "main_environment")


async def test_an_idle_universe_is_dropped_and_a_busy_one_is_not() -> None:
    async with running() as (lab, main):
        idle = (await main.post(UNIVERSES, json={"idle_seconds": 1})).json()
        busy = (await main.post(UNIVERSES, json={"idle_seconds": 1})).json()
        deadline = asyncio.get_running_loop().time() + 20
        while len(lab.forks()) == 2:
            assert asyncio.get_running_loop().time() < deadline
            own = {"authorization": f"Bearer {busy['api_key']}"}
            assert (await main.get("/organizations", headers=own)).status_code == 200
            await asyncio.sleep(0.05)
        assert [each.id for each in lab.forks()] == [busy["id"]]
        refused = await main.get("/organizations", headers={"authorization": f"Bearer {idle['api_key']}"})
        assert refused.status_code == 401
        assert "idle for too long" in refused.json()["message"]


async def test_there_are_no_more_at_once_than_allowed_and_a_drop_makes_room() -> None:
    async with running(Settings(database=IN_MEMORY, universes=2)) as (_, main):
        made = [(await main.post(UNIVERSES)).json() for _ in range(2)]
        refused = await main.post(UNIVERSES)
        assert (refused.status_code, refused.json()["code"]) == (409, "too_many_universes")
        await main.delete(f"{UNIVERSES}/{made[0]['id']}")
        assert (await main.post(UNIVERSES)).status_code == 201


async def test_what_a_dropped_universe_had_in_memory_is_gone() -> None:
    async with running() as (lab, main):
        made = (await main.post(UNIVERSES, json={"from": "main"})).json()
        own = {"authorization": f"Bearer {made['api_key']}"}
        await main.post("/organizations", json={"name": "Acme"}, headers=own)
        await main.post(f"{UNIVERSES}/{made['id']}/reset")
        await main.delete(f"{UNIVERSES}/{made['id']}")
        await lab.left()
        assert not [file.name for file in lab.folder.iterdir() if file.name.startswith("universe_")]


async def test_of_two_drops_at_once_one_finds_nothing_any_more() -> None:
    async with running() as (lab, main):
        made = (await main.post(UNIVERSES)).json()
        drops = await asyncio.gather(*(main.delete(f"{UNIVERSES}/{made['id']}") for _ in range(4)))
        assert sorted(answer.status_code for answer in drops) == [204, 404, 404, 404]
        await lab.left()


async def test_what_is_refused_leaves_no_file_behind() -> None:
    async with running() as (lab, main):
        for body in ({"from": "main", "clock": "2020-01-01T00:00:00Z"}, {"clock": "2020-01-01T00:00:00Z"}):
            assert (await main.post(UNIVERSES, json=body)).status_code == 422
        assert not [file.name for file in lab.folder.iterdir() if file.name.startswith("universe_")]


def test_every_key_of_the_data_opens_a_universe_and_a_read_only_one_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "kept.db"
    database = open_migrated(f"sqlite:///{file}")
    reader = grant(database, read_only=True)
    database.close()
    server = Server(f"sqlite:///{file}", tmp_path, command="dev")
    with client(server.base_url, "sk_test_default") as main:
        made = main.post(UNIVERSES, json={"from": "main"}).json()
    with client(server.base_url, f"{reader.key}.{made['id']}") as api:
        assert api.get("/organizations").status_code == 200
        assert api.post("/organizations", json={"name": "Acme"}).status_code == 403
        assert api.post(f"{UNIVERSES}/{made['id']}/reset").status_code == 403
        assert api.get("/tenantry/lab/clock").json()["universe"] == made["id"]
    with client(server.base_url, f"sk_nobody.{made['id']}") as stranger:
        assert stranger.get("/organizations").status_code == 401
        assert stranger.get("/tenantry/lab/clock").status_code == 401
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": 5}, "name"),
        ({"idle_seconds": 0}, "idle_seconds"),
        ({"idle_seconds": "soon"}, "idle_seconds"),
        ({"clock": "now"}, "clock"),
        ({"frozen": "yes"}, "frozen"),
        ({"from": 1}, "from"),
    ],
)
def test_a_wrong_body_is_refused_by_field(main: httpx.Client, body: dict[str, Any], field: str) -> None:
    refused = main.post(UNIVERSES, json=body)
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == [field]


def test_what_names_no_universe_is_not_found(main: httpx.Client) -> None:
    for answer in (
        main.post(UNIVERSES, json={"from": "universe_01ARZ3NDEKTSV4RRFFQ69G5FAV"}),
        main.post(UNIVERSES, json={"from": "nothing"}),
        main.get(f"{UNIVERSES}/nothing"),
        main.delete(f"{UNIVERSES}/universe_01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        main.post(f"{UNIVERSES}/all/reset"),
        main.get("/tenantry/lab/clock?universe=nothing"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "entity_not_found"), answer.text


def test_the_lab_is_closed_without_a_key(dev: Server) -> None:
    for method, path in (("GET", UNIVERSES), ("POST", UNIVERSES), ("POST", "/tenantry/lab/clock/freeze")):
        assert httpx.request(method, dev.base_url + path).status_code == 401


def test_the_list_has_pages_in_either_order(main: httpx.Client, fork: Fork) -> None:
    made = [id_of(fork()) for _ in range(5)]
    for order, wanted in (("desc", made[::-1]), ("asc", made)):
        seen: list[str] = []
        after: str | None = None
        while True:
            query = {"order": order, "limit": "2"} | ({"after": after} if after else {})
            page = main.get(UNIVERSES, params=query).json()
            seen += [each["id"] for each in page["data"]]
            after = page["list_metadata"]["after"]
            if after is None:
                break
        assert [each for each in seen if each in made] == wanted


def test_the_pages_without_a_key_are_the_same_under_dev(dev: Server) -> None:
    assert httpx.get(f"{dev.base_url}/health").json() == {"status": "ok"}
    assert "tenantry.lab.universes.create" in httpx.get(f"{dev.base_url}/docs").text
    paths = httpx.get(f"{dev.base_url}/openapi.json").json()["paths"]
    assert "/tenantry/lab/clock/advance" in paths


def test_the_link_to_an_export_opens_the_file_of_its_universe_without_a_key(
    fork: Fork, dev_alone: httpx.Client
) -> None:
    universe, _other = fork(), fork()
    organization = universe.post("/organizations", json={"name": "Acme"}).json()["id"]
    times = {"range_start": "2026-01-01T00:00:00.000Z", "range_end": "2126-01-01T00:00:00.000Z"}
    made = universe.post("/audit_logs/exports", json={"organization_id": organization, **times}).json()
    for _ in range(200):
        if (shown := universe.get(f"/audit_logs/exports/{made['id']}").json())["state"] != "pending":
            break
        time.sleep(0.05)
    assert shown["state"] == "ready"
    file = dev_alone.get(shown["url"])
    assert (file.status_code, file.text[:3]) == (200, "id,")
    assert dev_alone.get(shown["url"].replace("signature=", "signature=0")).status_code == 403
