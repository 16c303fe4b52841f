"""Faults of a universe over HTTP: how they are set, in which order they hit, and what a client sees of them."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from support import Server, client

FAULTS = "/tenantry/lab/faults"
HOOKS = "/_emulate/hooks"
Fork = Callable[..., httpx.Client]


def let(universe: httpx.Client, **rule: Any) -> dict[str, Any]:
    """Set a fault; return it."""
    made = universe.post(FAULTS, json=rule)
    assert made.status_code == 201, made.text
    fault: dict[str, Any] = made.json()
    return fault


def statuses(universe: httpx.Client, count: int, method: str = "GET", path: str = "/organizations") -> list[int]:
    return [universe.request(method, path).status_code for _ in range(count)]


def names(universe: httpx.Client) -> list[str]:
    return [each["name"] for each in universe.get("/organizations").json()["data"]]


def test_a_status_is_answered_with_its_body_and_headers_and_nothing_is_done(universe: httpx.Client) -> None:
    let(
        universe,
        fault="status",
        method="POST",
        path="/organizations",
        times=1,
        status=503,
        body={"message": "Down."},
        headers={"Retry-After": "3"},
    )
    answer = universe.post("/organizations", json={"name": "Acme"})
    assert (answer.status_code, answer.json(), answer.headers["retry-after"]) == (503, {"message": "Down."}, "3")
    assert len(answer.headers["x-request-id"]) == 36
    assert names(universe) == []
    assert universe.post("/organizations", json={"name": "Acme"}).status_code == 201


def test_a_rate_limit_is_a_429_that_says_when_to_come_again(universe: httpx.Client) -> None:
    let(universe, fault="rate_limit", retry_after=2, times=1)
    answer = universe.get("/organizations")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert answer.json()["code"] == "rate_limit_exceeded"


def test_requests_are_let_through_then_hit_so_often(universe: httpx.Client) -> None:
    fault = let(universe, fault="status", status=500, skip=1, times=2)
    assert statuses(universe, 5) == [200, 500, 500, 200, 200]
    shown = universe.get(f"{FAULTS}/{fault['id']}").json()
    assert (shown["fired"], shown["spent"]) == (2, True)


def test_a_share_of_requests_is_hit_the_same_ones_each_time(universe: httpx.Client) -> None:
    let(universe, fault="status", status=500, share=0.5, seed=3)
    first = statuses(universe, 40)
    assert 8 < first.count(500) < 32
    universe.delete(FAULTS)
    let(universe, fault="status", status=500, share=0.5, seed=3)
    assert statuses(universe, 40) == first


def test_the_rule_that_was_set_first_hits_and_only_that_one(universe: httpx.Client) -> None:
    first = let(universe, fault="status", status=500, times=1)
    let(universe, fault="status", status=503)
    assert statuses(universe, 2) == [500, 503]
    universe.put(f"{FAULTS}/{first['id']}", json={"fault": "status", "status": 502, "times": 1})
    assert statuses(universe, 2) == [502, 503]


def test_all_rules_are_replaced_at_once_or_none_is(universe: httpx.Client) -> None:
    let(universe, fault="status", status=500)
    refused = universe.put(FAULTS, json={"faults": [{"fault": "drop"}, {"fault": "status"}]})
    assert refused.status_code == 422
    assert refused.json()["errors"] == [
        {"field": "faults.1.status", "code": "faults.1.status should not be empty"}
    ]
    assert statuses(universe, 1) == [500]
    replaced = universe.put(FAULTS, json={"faults": [{"fault": "status", "status": 502}]})
    assert [fault["status"] for fault in replaced.json()["data"]] == [502]
    assert statuses(universe, 1) == [502]


def test_a_rule_that_is_deleted_hits_nothing_any_more(universe: httpx.Client) -> None:
    fault = let(universe, fault="status", status=500)
    assert universe.delete(f"{FAULTS}/{fault['id']}").status_code == 204
    assert statuses(universe, 1) == [200]
    assert universe.get(f"{FAULTS}/{fault['id']}").status_code == 404
    assert universe.delete(f"{FAULTS}/{fault['id']}").status_code == 404


def test_there_are_a_hundred_rules_at_most(universe: httpx.Client) -> None:
    replaced = universe.put(FAULTS, json={"faults": [{"fault": "drop", "path": "/never"}] * 100})
    assert replaced.status_code == 200
    assert universe.post(FAULTS, json={"fault": "drop"}).status_code == 422
    assert universe.put(FAULTS, json={"faults": [{"fault": "drop"}] * 101}).status_code == 422


@pytest.mark.parametrize(
    ("body", "field"),
    [({"fault": "status", "status": 20}, "status"), ({"fault": "lose", "pth": "/x"}, "pth"), ({}, "fault")],
)
def test_a_bad_rule_is_a_422_that_names_the_field(universe: httpx.Client, body: object, field: str) -> None:
    answer = universe.post(FAULTS, json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert universe.get(FAULTS).json()["data"] == []


def test_no_universe_meets_the_faults_of_another(fork: Fork, main: httpx.Client) -> None:
    one, other = fork(), fork()
    let(one, fault="status", status=500)
    assert statuses(one, 1) == [500]
    assert statuses(other, 1) == statuses(main, 1) == [200]
    assert other.get(FAULTS).json()["data"] == []


def test_the_main_key_sets_faults_and_reads_logs_of_any_universe(
    universe: httpx.Client, main: httpx.Client
) -> None:
    of = {"universe": universe.headers["authorization"].rpartition(".")[2]}
    assert main.post(FAULTS, params=of, json={"fault": "status", "status": 502, "times": 1}).status_code == 201
    assert statuses(universe, 1) == [502]
    logged = main.get("/tenantry/lab/requests", params=of | {"fault": "status"}).json()["data"]
    assert [entry["answer"]["status"] for entry in logged] == [502]
    assert (
        main.post("/tenantry/lab/requests/assert", params=of, json={"status": 502, "times": 1}).status_code == 200
    )
    assert main.delete(FAULTS, params=of).status_code == 204


def test_a_reset_takes_the_faults_away(universe: httpx.Client) -> None:
    let(universe, fault="status", status=500)
    identity = universe.headers["authorization"].rpartition(".")[2]
    assert universe.post(f"/tenantry/lab/universes/{identity}/reset").status_code == 200
    assert universe.get(FAULTS).json()["data"] == []
    assert statuses(universe, 1) == [200]


def test_neither_the_lab_nor_a_probe_is_hit_by_a_rule_for_every_path(universe: httpx.Client) -> None:
    let(universe, fault="status", status=500)
    assert universe.get(FAULTS).status_code == 200
    assert universe.get("/ready").status_code == 200


def test_a_latency_holds_the_answer_back(universe: httpx.Client) -> None:
    let(universe, fault="latency", latency={"milliseconds": 300}, times=1)
    started = time.monotonic()
    assert statuses(universe, 1) == [200]
    assert time.monotonic() - started >= 0.3


def test_what_is_asked_is_done_although_the_client_lost_patience(universe: httpx.Client) -> None:
    let(universe, fault="latency", method="POST", latency={"milliseconds": 600}, times=1)
    with pytest.raises(httpx.ReadTimeout):
        universe.post("/organizations", json={"name": "Acme"}, timeout=0.1)
    deadline = time.monotonic() + 10
    while names(universe) != ["Acme"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_dropped_connection_gives_no_answer_and_nothing_is_done(universe: httpx.Client) -> None:
    let(universe, fault="drop", method="POST", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        universe.post("/organizations", json={"name": "Acme"})
    assert names(universe) == []


def test_the_servers_own_log_says_what_a_fault_did_and_which_path_is_no_operation(
    universe: httpx.Client, dev: Server
) -> None:
    fault = let(universe, fault="drop", method="POST", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        universe.post("/organizations", json={"name": "Acme"})
    universe.get("/organisations/from/this/test")
    universe.get("/organizations")  # lines are written when their turn of the event loop ends
    lines = [json.loads(line) for line in dev.log.read_text("utf-8").splitlines() if line.startswith("{")]
    dropped = [line for line in lines if line.get("operation") == "fault drop"]
    assert {"method": "POST", "status": "---", "key": fault["id"]}.items() <= dropped[-1].items()
    assert [line["path"] for line in lines if line.get("path") == "/organisations/from/this/test"]


def test_a_lost_answer_is_a_change_that_was_made(universe: httpx.Client) -> None:
    let(universe, fault="lose", method="POST", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        universe.post("/organizations", json={"name": "Acme"})
    assert names(universe) == ["Acme"]


def test_of_a_truncated_answer_a_part_arrives(universe: httpx.Client) -> None:
    let(universe, fault="truncate", method="POST", bytes=10, times=1)
    with universe.stream("POST", "/organizations", json={"name": "Acme"}) as answer:
        assert answer.status_code == 201
        arrived = answer.iter_raw()
        assert next(arrived) == b'{"object":'
        with pytest.raises(httpx.RemoteProtocolError, match="received 10 bytes"):
            next(arrived)
    assert names(universe) == ["Acme"]


@pytest.mark.parametrize("path", ["/tenantry/snapshot", "/tenantry/events/stream"])
def test_a_download_and_a_stream_are_truncated_too(universe: httpx.Client, path: str) -> None:
    universe.post("/organizations", json={"name": "Acme"})
    let(universe, fault="truncate", bytes=5, times=1)
    with universe.stream("GET", path) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            answer.read()


def test_an_answer_without_a_body_is_lost_where_it_was_to_be_truncated(universe: httpx.Client) -> None:
    let(universe, fault="truncate", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        universe.head("/organizations")


def test_error_hooks_need_no_key_and_fire_as_often_as_they_say(
    main: httpx.Client, dev_alone: httpx.Client
) -> None:
    hook = dev_alone.post(HOOKS, json={"method": "get", "path": "/hooked/*", "status": 503, "count": 2})
    assert hook.status_code == 201
    hooked = hook.json()
    assert hooked.pop("id").startswith("hook_")
    assert hooked == {"method": "get", "path": "/hooked/*", "status": 503, "count": 2}
    assert statuses(main, 1, path="/hooked/one") == [503]
    assert dev_alone.get(HOOKS).json()[0]["count"] == 1
    assert statuses(main, 2, path="/hooked") == [503, 404]
    assert dev_alone.get(HOOKS).json() == []


def test_error_hooks_of_a_seed_are_in_every_universe_and_there_again_after_a_reset(tmp_path: Path) -> None:
    seed = tmp_path / "workos-emulate.config.yaml"
    seed.write_text("errorHooks:\n  - {method: GET, path: /organizations, status: 503, count: 1}\n")
    server = Server("sqlite://", tmp_path, "--seed", str(seed), command="dev")
    try:
        with client(server.base_url, "sk_test_default") as main:
            assert statuses(main, 2) == [503, 200]
            fork = main.post("/tenantry/lab/universes").json()
            with client(server.base_url, fork["api_key"]) as universe:
                assert statuses(universe, 2) == [503, 200]
                universe.post(f"/tenantry/lab/universes/{fork['id']}/reset")
                assert statuses(universe, 2) == [503, 200]
    finally:
        server.kill()


def test_an_error_hook_of_a_universes_key_is_in_that_universe(universe: httpx.Client, main: httpx.Client) -> None:
    body = {"message": "Validation failed", "code": "unprocessable_entity", "errors": [{"field": "name"}]}
    made = universe.post(HOOKS, json={"method": "*", "path": "*", "status": 422, "body": body}).json()
    answer = universe.get("/organizations")
    assert (answer.status_code, answer.json()) == (422, body)
    assert statuses(main, 1) == [200]
    assert universe.delete(f"{HOOKS}/{made['id']}").status_code == 204
    assert statuses(universe, 1) == [200]
    again = universe.delete(f"{HOOKS}/{made['id']}")
    assert (again.status_code, again.json()) == (404, {"message": "Hook not found", "code": "not_found"})


def test_an_error_hook_stands_among_the_faults_but_a_fault_is_no_hook(universe: httpx.Client) -> None:
    fault = let(universe, fault="status", status=500, path="/never")
    hook = universe.post(HOOKS, json={"method": "GET", "path": "/never", "status": 503}).json()
    assert [each["id"] for each in universe.get(FAULTS).json()["data"]] == [fault["id"], hook["id"]]
    assert [each["id"] for each in universe.get(HOOKS).json()] == [hook["id"]]
    assert universe.delete(f"{HOOKS}/{fault['id']}").status_code == 404


def test_an_error_hook_that_lacks_something_is_told_as_the_vendors_emulator_does(universe: httpx.Client) -> None:
    answer = universe.post(HOOKS, json={"method": "GET", "path": "/organizations"})
    assert answer.status_code == 400
    assert answer.json() == {"message": "method, path, and status are required", "code": "bad_request"}
    wrong = universe.post(HOOKS, json={"method": "GET", "path": "/organizations", "status": 700})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "status")
