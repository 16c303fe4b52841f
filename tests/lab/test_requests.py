"""The log of requests over HTTP: what it holds, what is found in it, and its requests made again."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest

from support import Server

REQUESTS = "/tenantry/lab/requests"
FAULTS = "/tenantry/lab/faults"
_SECONDS = 60
Fork = Callable[..., httpx.Client]


def key_of(universe: httpx.Client) -> str:
    return universe.headers["authorization"].removeprefix("Bearer ")


def logged(universe: httpx.Client, **filters: str) -> list[dict[str, Any]]:
    """Return requests of the log, the newest first."""
    answer = universe.get(REQUESTS, params={"limit": "100", "order": "desc"} | filters)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def ask(universe: httpx.Client, **expectation: Any) -> httpx.Response:
    return universe.post(f"{REQUESTS}/assert", json=expectation)


def make(universe: httpx.Client, name: str) -> dict[str, Any]:
    made: dict[str, Any] = universe.post("/organizations", json={"name": name}).json()
    return made


def test_a_request_is_logged_with_its_answer_and_without_its_key(universe: httpx.Client) -> None:
    answer = universe.post(
        "/organizations?trace=1", json={"name": "Acme"}, headers={"Idempotency-Key": "k1", "X-Trace": "7"}
    )
    [entry] = logged(universe)
    assert universe.get(f"{REQUESTS}/{entry['id']}").json() == entry
    headers = entry.pop("headers")
    assert (headers["idempotency-key"], headers["x-trace"]) == ("k1", "7")
    assert key_of(universe) not in str(entry) + str(headers)
    assert headers["authorization"] == "Bearer sk_test_…"
    told = entry.pop("answer")
    assert told.pop("headers")["x-request-id"] == answer.headers["x-request-id"]
    length = len(answer.content)
    assert told == {"status": 201, "body": answer.json(), "body_bytes": length, "body_is_whole": True}
    assert entry.pop("milliseconds") > 0
    assert entry == {
        "object": "request",
        "id": entry["id"],
        "at": entry["at"],
        "operation": "organizations.create",
        "method": "POST",
        "path": "/organizations",
        "query": "trace=1",
        "body": {"name": "Acme"},
        "body_bytes": 15,
        "body_is_whole": True,
        "sent": "all",
        "request_id": answer.headers["x-request-id"],
        "fault": None,
    }


def test_the_time_of_a_request_is_by_the_clock_of_its_universe(fork: Fork) -> None:
    universe = fork(clock="2031-05-01T00:00:00Z", frozen=True)
    make(universe, "Acme")
    assert [entry["at"] for entry in logged(universe)] == ["2031-05-01T00:00:00.000Z"]
    universe.post("/tenantry/lab/clock/advance", json={"by": "1h"})
    make(universe, "Acme")
    assert len(logged(universe, since="2031-05-01T00:30:00Z")) == 1


def test_neither_the_lab_nor_a_probe_is_logged(universe: httpx.Client) -> None:
    for path in (REQUESTS, FAULTS, "/tenantry/lab/clock", "/_emulate/hooks", "/ready", "/health", "/docs"):
        assert universe.get(path).status_code == 200
    assert logged(universe) == []


def test_what_is_answered_with_an_error_is_logged_too(universe: httpx.Client) -> None:
    universe.post("/organizations", content=b"{")
    universe.get("/organisations")
    universe.post("/organizations", json={})
    found = [(entry["operation"], entry["answer"]["status"], entry["body"]) for entry in logged(universe)]
    assert found == [("organizations.create", 422, {}), (None, 404, None), ("organizations.create", 400, "{")]


def test_of_a_long_body_the_beginning_is_kept(universe: httpx.Client) -> None:
    name = "a" * 40_000
    assert universe.post("/organizations", json={"name": name}).status_code == 422
    [entry] = logged(universe)
    assert (entry["body_bytes"], entry["body_is_whole"], len(entry["body"])) == (len(name) + 11, False, 32_768)
    for kind in ("curl", "pytest"):
        refused = universe.get(f"{REQUESTS}/{entry['id']}/{kind}")
        assert (refused.status_code, refused.json()["code"]) == (409, "body_not_kept")


def test_a_body_over_the_limit_is_refused_as_ever_and_logged(universe: httpx.Client) -> None:
    assert universe.post("/organizations", content=b" " * (2 << 20)).status_code == 413
    assert [entry["answer"]["status"] for entry in logged(universe)] == [413]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"operation": "organizations.create"}, ["Three", "Two", "One"]),
        ({"method": "get"}, [None]),
        ({"path": "/organizations/{id}"}, [None]),
        ({"path": "/organizations/*"}, [None, "Three", "Two", "One"]),
        ({"status": "404"}, [None]),
        ({"status": "2xx"}, ["Three", "Two", "One"]),
        ({"body": '{"name": "Two"}'}, ["Two"]),
        ({"body": '{"metadata": {"tier": "gold"}}'}, []),
        ({"operation": "organizations.create", "order": "asc"}, ["One", "Two", "Three"]),
    ],
)
def test_requests_are_found_by_what_they_were(
    universe: httpx.Client, filters: dict[str, str], found: list[str | None]
) -> None:
    for name in ("One", "Two", "Three"):
        make(universe, name)
    universe.get("/organizations/org_01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert [entry["body"] and entry["body"]["name"] for entry in logged(universe, **filters)] == found


def test_requests_are_found_by_the_id_that_their_answer_carried(universe: httpx.Client) -> None:
    make(universe, "Other")
    answer = universe.post("/organizations", json={"name": "Acme"})
    [entry] = logged(universe, request_id=answer.headers["x-request-id"])
    assert entry["body"] == {"name": "Acme"}
    assert logged(universe, since=entry["id"]) == []


def test_the_log_comes_in_pages(universe: httpx.Client) -> None:
    for number in range(7):
        make(universe, str(number))
    seen, parameters = list[str](), {"limit": "3", "order": "desc"}
    for _ in range(3):
        page = universe.get(REQUESTS, params=parameters).json()
        seen += [entry["body"]["name"] for entry in page["data"]]
        parameters["after"] = page["list_metadata"]["after"]
    assert parameters["after"] is None
    assert seen == ["6", "5", "4", "3", "2", "1", "0"]


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ({"operation": "organization.create"}, "operation"),
        ({"method": "FETCH"}, "method"),
        ({"path": "organizations"}, "path"),
        ({"status": "20x"}, "status"),
        ({"since": "yesterday"}, "since"),
        ({"body": "{name: 1}"}, "body"),
        ({"after": "org_1"}, "after"),
        ({"limit": "0"}, "limit"),
    ],
)
def test_a_search_that_can_find_nothing_is_a_422_that_names_the_field(
    universe: httpx.Client, filters: dict[str, str], field: str
) -> None:
    answer = universe.get(REQUESTS, params=filters)
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, [field])


def test_a_request_that_is_not_there_is_a_404(universe: httpx.Client) -> None:
    for identity in ("request_0000000001", "request_x", "org_1"):
        for path in ("", "/curl", "/pytest"):
            answer = universe.get(f"{REQUESTS}/{identity}{path}")
            assert (answer.status_code, answer.json()["entity_id"]) == (404, identity)


def test_a_log_that_is_emptied_holds_nothing(universe: httpx.Client) -> None:
    make(universe, "Acme")
    assert universe.delete(REQUESTS).status_code == 204
    assert logged(universe) == []


def test_no_universe_sees_the_requests_of_another(fork: Fork, main: httpx.Client) -> None:
    one, other = fork(), fork()
    make(one, "Only in one")
    [entry] = logged(one)
    assert logged(other) == []
    assert logged(main, body='{"name": "Only in one"}') == []
    for stranger in (other, main):
        asked = stranger.get(f"{REQUESTS}/{entry['id']}")
        assert asked.status_code == 404 or asked.json()["body"] != {"name": "Only in one"}
    assert ask(other, body={"name": "Only in one"}, times=0).status_code == 200


def test_a_reset_empties_the_log(universe: httpx.Client) -> None:
    make(universe, "Acme")
    identity = key_of(universe).rpartition(".")[2]
    universe.post(f"/tenantry/lab/universes/{identity}/reset")
    assert logged(universe) == []


def test_what_was_expected_is_a_200_that_names_the_requests(universe: httpx.Client) -> None:
    make(universe, "Acme")
    answer = ask(universe, operation="organizations.create", body={"name": "Acme"}, status=201, times=1)
    assert answer.status_code == 200
    assert answer.json()["found"] == 1
    assert answer.json()["requests"] == [
        {"id": logged(universe)[0]["id"], "method": "POST", "path": "/organizations", "status": 201}
    ]
    assert ask(universe, method="DELETE", times=0).status_code == 200
    assert ask(universe, at_least=1, at_most=1).status_code == 200


def test_what_was_not_made_is_a_409_that_shows_what_came_near(universe: httpx.Client) -> None:
    make(universe, "Acme")
    answer = ask(universe, operation="organizations.create", body={"name": "Acme Inc"})
    assert answer.status_code == 409
    told = answer.json()
    assert (told["code"], told["found"], told["matching"]) == ("assertion_failed", 0, [])
    [miss] = told["near_misses"]
    assert miss["differences"] == ['body.name: expected "Acme Inc", was "Acme"']
    assert "at least 1 request with operation organizations.create" in told["message"]
    assert 'expected "Acme Inc", was "Acme"' in told["message"]


def test_what_was_made_too_often_is_a_409_that_shows_each_time(universe: httpx.Client) -> None:
    for _ in range(3):
        make(universe, "Acme")
    answer = ask(universe, operation="organizations.create", times=1)
    assert (answer.status_code, answer.json()["found"], len(answer.json()["matching"])) == (409, 3, 3)
    never = ask(universe, operation="organizations.create", times=0)
    assert (never.status_code, never.json()["expected"]) == (
        409,
        "no request with operation organizations.create",
    )


@pytest.mark.parametrize(
    ("expectation", "field"),
    [
        ({"operation": "organization.created", "times": 0}, "operation"),
        ({"times": -1}, "times"),
        ({"bdy": {}}, "bdy"),
        ({"status": []}, "status"),
        ({"headers": {"a": 1}}, "headers.a"),
        ({"since": 7}, "since"),
    ],
)
def test_a_slip_in_an_expectation_is_a_422_and_never_true(
    universe: httpx.Client, expectation: dict[str, Any], field: str
) -> None:
    answer = ask(universe, **expectation)
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, [field])


def test_a_request_that_a_fault_hit_says_which_and_what_became_of_the_answer(universe: httpx.Client) -> None:
    faults = [
        {"fault": "drop", "method": "POST", "times": 1},
        {"fault": "lose", "method": "POST", "times": 1},
        {"fault": "truncate", "method": "POST", "times": 1},
        {"fault": "status", "status": 503, "method": "POST", "times": 1},
    ]
    universe.put(FAULTS, json={"faults": faults})
    for _ in range(3):
        with pytest.raises(httpx.RemoteProtocolError):
            make(universe, "Acme")
    make(universe, "Acme")
    found = [
        (entry["fault"]["fault"], entry["sent"], entry["answer"] and entry["answer"]["status"])
        for entry in logged(universe)
    ]
    assert found == [
        ("status", "all", 503),
        ("truncate", "part", 201),
        ("lose", "none", 201),
        ("drop", "none", None),
    ]
    assert [entry["fault"]["fault"] for entry in logged(universe, fault="lose")] == ["lose"]
    assert [entry["fault"]["fault"] for entry in logged(universe, status="none")] == ["drop"]


CASES: list[tuple[str, str, dict[str, Any]]] = [
    (
        "POST",
        "/organizations",
        {"json": {"name": 'It\'s «Acme» "$HOME" `x` \\ \U0001f600', "metadata": {"a": "1\n2"}}},
    ),
    ("POST", "/organizations", {"data": {"name": "Form & Co", "domains[]": "form.example"}}),
    ("POST", "/organizations", {"content": b'{"name": "Untyped"}'}),
    ("POST", "/organizations", {"content": b"\xff\x00{", "headers": {"content-type": "application/json"}}),
    ("POST", "/organizations", {"json": {"name": "Once"}, "headers": {"Idempotency-Key": "key 'quoted'"}}),
    ("PUT", "/organizations/org_01ARZ3NDEKTSV4RRFFQ69G5FAV", {"json": {"name": "None"}}),
    ("GET", "/organizations", {"params": {"limit": "5", "search": "a b&c"}}),
    ("GET", "/organizations/external_id/with space/and-ü?", {}),
    ("HEAD", "/organizations", {}),
    ("DELETE", "/organizations/org_01ARZ3NDEKTSV4RRFFQ69G5FAV", {}),
]


def test_as_curl_a_query_with_brackets_is_no_pattern(universe: httpx.Client, dev: Server, tmp_path: Path) -> None:
    connection = HTTPConnection("127.0.0.1", dev.port, timeout=20)
    with closing(connection):  # httpx would encode it
        key = {"authorization": universe.headers["authorization"]}
        connection.request("GET", "/organizations?domains[]=a.example&domains[0]={b}.example", headers=key)
        assert connection.getresponse().status == 200
    script = tmp_path / "again.sh"
    script.write_text(universe.get(f"{REQUESTS}/{logged(universe)[0]['id']}/curl").text, "utf-8")
    run(["bash", "-e", str(script)], universe, tmp_path)
    assert [entry["query"] for entry in logged(universe)] == ["domains[]=a.example&domains[0]={b}.example"] * 2


def comparable(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what makes a request what it is: not the headers that each client has of its own."""
    own = ("content-type", "idempotency-key")
    headers = {name: value for name, value in entry["headers"].items() if name in own}
    return {name: entry[name] for name in ("method", "path", "query", "body")} | {"headers": headers}


def run(command: list[str], universe: httpx.Client, folder: Path) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"WORKOS_API_KEY": key_of(universe)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_as_curl_a_request_is_made_again_exactly(universe: httpx.Client, tmp_path: Path) -> None:
    for method, path, given in CASES:
        universe.request(method, path.replace("?", "%3F"), **given)
    for entry in reversed(logged(universe)):
        script = tmp_path / "again.sh"
        script.write_text(universe.get(f"{REQUESTS}/{entry['id']}/curl").text, "utf-8")
        assert key_of(universe) not in script.read_text("utf-8")
        run(["bash", "-e", str(script)], universe, tmp_path)
        again = logged(universe)[0]
        assert comparable(again) == comparable(entry)
        assert again["body_bytes"] == entry["body_bytes"]
    assert len(logged(universe)) == 2 * len(CASES)


def test_as_pytest_a_request_is_made_again_and_its_answer_expected(universe: httpx.Client, tmp_path: Path) -> None:
    for method, path, given in CASES:
        universe.request(method, path.replace("?", "%3F"), **given)
    entries = logged(universe)[::-1]
    for entry in entries:
        text = universe.get(f"{REQUESTS}/{entry['id']}/pytest").text
        assert key_of(universe) not in text
        (tmp_path / f"test_{entry['id']}.py").write_text(text, "utf-8")
    printed = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."], universe, tmp_path)
    assert f"{len(CASES)} passed" in printed
    assert [comparable(entry) for entry in logged(universe)[: len(CASES)][::-1]] == [
        comparable(e) for e in entries
    ]


def test_as_pytest_a_request_that_a_fault_hit_meets_it_again(universe: httpx.Client, tmp_path: Path) -> None:
    rules: list[dict[str, Any]] = [
        {"fault": "status", "status": 502, "body": "<h1>Bad Gateway</h1>", "share": 1, "skip": 0},
        {"fault": "rate_limit", "retry_after": 3, "headers": {"X-Limit": "1"}},
        {"fault": "drop"},
        {"fault": "lose", "latency": {"milliseconds": 5}},
        {"fault": "truncate", "bytes": 4},
    ]
    for rule in rules:
        universe.post(FAULTS, json=rule | {"times": 1})
        try:
            make(universe, "Acme")
        except (httpx.RemoteProtocolError, ValueError):
            continue
    entries = logged(universe)[::-1]
    for entry in entries:
        text = universe.get(f"{REQUESTS}/{entry['id']}/pytest").text
        (tmp_path / f"test_{entry['id']}.py").write_text(text, "utf-8")
    printed = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."], universe, tmp_path)
    assert f"{len(rules)} passed" in printed
    again = logged(universe)[: len(rules)][::-1]
    assert [entry["fault"]["fault"] for entry in again] == [rule["fault"] for rule in rules]


def test_the_dev_server_is_where_the_texts_say(universe: httpx.Client, dev: Server) -> None:
    make(universe, "Acme")
    [entry] = logged(universe)
    for kind in ("curl", "pytest"):
        answer = universe.get(f"{REQUESTS}/{entry['id']}/{kind}")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert dev.base_url in answer.text
