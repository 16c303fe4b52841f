"""Universes: forks of the seed that never see each other."""

import re
from collections.abc import Callable
from typing import Any

import httpx

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
