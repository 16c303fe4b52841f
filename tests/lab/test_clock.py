"""The clock of a universe: what falls due is done before the call answers."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab_in_process import running
from receivers import Receiver

CLOCK = "/tenantry/lab/clock"
Fork = Callable[..., httpx.Client]

EVENTS = {"events": "organization_domain.verified,organization_domain.verification_failed"}
WAITS = (60, 300, 1800, 10800, 43200, 172800)


def advance(api: httpx.Client, **body: str) -> dict[str, Any]:
    answer = api.post(f"{CLOCK}/advance", json=body)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def seconds_between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


async def test_thirty_days_of_a_domain_pass_in_one_call() -> None:
    async with running() as (lab, api):
        clock = {"clock": "2030-01-01T00:00:00Z", "frozen": True}
        universe = (await api.post("/tenantry/lab/universes", json=clock)).json()
        api.headers["authorization"] = f"Bearer {universe['api_key']}"
        organization = (await api.post("/organizations", json={"name": "Acme"})).json()
        body = {"organization_id": organization["id"], "domain": "acme.com"}
        domain = (await api.post("/organization_domains", json=body)).json()
        path = f"/organization_domains/{domain['id']}"

        await api.post(f"{CLOCK}/advance", json={"by": "29d"})
        assert (await api.get(path)).json()["state"] == "pending"
        attempts = f"/tenantry/organization_domains/{domain['id']}/attempts?order=asc&limit=100"
        times = [attempt["created_at"] for attempt in (await api.get(attempts)).json()["data"]]
        assert times[0] == "2030-01-01T00:00:00.000Z"
        gaps = [seconds_between(*pair) for pair in pairwise(times)]
        for gap, wanted in zip(gaps, [60, 120, 240, 480, 960, 1920, 3600, 3600], strict=False):
            assert 0.9 * wanted <= gap <= 1.1 * wanted
        await api.post(f"{CLOCK}/advance", json={"by": "36h"})
        assert (await api.get(path)).json()["state"] == "failed"

        started = (await api.post(f"{path}/verify")).json()
        value = f"{started['verification_prefix']}={started['verification_token']}"
        await api.put("/tenantry/lab/dns/acme.com", json={"txt": [value]})
        await api.post(f"{CLOCK}/advance", json={"by": "1s"})
        assert (await api.get(path)).json()["state"] == "verified"
        await api.delete("/tenantry/lab/dns/acme.com")
        await api.post(f"{CLOCK}/advance", json={"by": "10d"})
        told = (await api.get("/events", params=EVENTS)).json()["data"]
        assert [event["event"] for event in told] == [
            "organization_domain.verification_failed",
            "organization_domain.verified",
        ]
        risks = (await api.get("/events", params={"events": "organization_domain.at_risk"})).json()
        assert len(risks["data"]) == 1
        assert await lab.main.node.worker.next_due() is None, "nothing of it happened in the main environment"


def test_a_retry_schedule_of_days_is_through_when_the_call_answers(universe: httpx.Client, tmp_path: Path) -> None:
    receiver = Receiver(tmp_path, failing=1.0)
    hook = {"endpoint_url": f"{receiver.url}/hook", "events": ["organization.created"]}
    endpoint = universe.post("/webhook_endpoints", json=hook).json()
    universe.post(f"{CLOCK}/freeze")
    universe.post("/organizations", json={"name": "Acme"})
    advance(universe, by="5d")
    [delivery] = universe.get(f"/tenantry/webhook_endpoints/{endpoint['id']}/deliveries").json()["data"]
    assert delivery["status"] == "failed"
    attempts = universe.get(f"/tenantry/webhook_deliveries/{delivery['id']}/attempts?order=asc").json()["data"]
    gaps = [seconds_between(a["created_at"], b["created_at"]) for a, b in pairwise(attempts)]
    assert len(gaps) == len(WAITS)
    for gap, wait in zip(gaps, WAITS, strict=True):
        assert 0.9 * wait <= gap <= 1.1 * wait
    assert len(receiver.received()) == len(attempts), "each attempt was made once"
    receiver.kill()


def test_what_happened_just_before_is_delivered_when_the_call_answers(
    universe: httpx.Client, tmp_path: Path
) -> None:
    receiver = Receiver(tmp_path)
    hook = {"endpoint_url": f"{receiver.url}/hook", "events": ["organization.created"]}
    universe.post("/webhook_endpoints", json=hook)
    for number in range(20):
        universe.post("/organizations", json={"name": f"Acme {number}"})
    advance(universe, by="1s")
    assert len(receiver.received()) == 20
    receiver.kill()


def test_an_idempotency_key_is_forgotten_after_a_day(universe: httpx.Client) -> None:
    def create() -> str:
        made = universe.post("/organizations", json={"name": "Acme"}, headers={"idempotency-key": "one"})
        return str(made.json()["id"])

    first = create()
    assert create() == first
    advance(universe, by="23h")
    assert create() == first
    advance(universe, by="2h")
    assert create() != first


def test_events_past_their_retention_are_gone_when_the_call_answers(universe: httpx.Client) -> None:
    universe.post("/organizations", json={"name": "Acme"})
    query = {"events": "organization.created"}
    advance(universe, by="89d")
    assert len(universe.get("/events", params=query).json()["data"]) == 1
    advance(universe, by="2d")
    assert universe.get("/events", params=query).json()["data"] == []


def test_what_is_made_carries_the_time_of_the_universe(fork: Fork) -> None:
    universe = fork(clock="2031-05-06T07:08:09.123Z", frozen=True)
    made = [universe.post("/organizations", json={"name": "Acme"}).json() for _ in range(3)]
    assert {each["created_at"] for each in made} == {"2031-05-06T07:08:09.123Z"}
    listed = [each["id"] for each in universe.get("/organizations").json()["data"]]
    assert listed == [each["id"] for each in reversed(made)]
    advance(universe, to="2031-05-06T08:00:00Z")
    later = universe.post("/organizations", json={"name": "Acme"}).json()
    assert later["created_at"] == "2031-05-06T08:00:00.000Z"
    assert universe.get("/organizations").json()["data"][0]["id"] == later["id"]


def test_a_clock_is_read_frozen_and_let_run(universe: httpx.Client) -> None:
    assert universe.get(CLOCK).json()["frozen"] is False
    frozen = universe.post(f"{CLOCK}/freeze").json()
    assert frozen["frozen"] is True
    assert universe.get(CLOCK).json() == frozen
    moved = advance(universe, by="1d12h")
    assert datetime.fromisoformat(moved["now"]) - datetime.fromisoformat(frozen["now"]) == timedelta(hours=36)
    assert moved["frozen"] is True
    running_on = universe.post(f"{CLOCK}/unfreeze").json()
    assert running_on["frozen"] is False
    assert running_on["now"] >= moved["now"]


def test_universes_have_clocks_of_their_own(fork: Fork, main: httpx.Client) -> None:
    one, other = fork(), fork()
    before = main.get(CLOCK).json()["now"]
    advance(one, by="400d")
    assert seconds_between(before, other.get(CLOCK).json()["now"]) < 86_400
    assert seconds_between(before, main.get(CLOCK).json()["now"]) < 86_400


def test_the_main_key_moves_the_clock_of_any_universe(universe: httpx.Client, main: httpx.Client) -> None:
    identity = universe.headers["authorization"].rpartition(".")[2]
    moved = main.post(f"{CLOCK}/advance?universe={identity}", json={"by": "30d"}).json()
    assert moved["universe"] == identity
    assert universe.get(CLOCK).json()["now"] >= moved["now"]


async def test_the_whole_server_is_frozen_and_put_forward_at_once() -> None:
    async with running() as (lab, main):
        for _ in range(2):
            await main.post("/tenantry/lab/universes")
        frozen = (await main.post(f"{CLOCK}/freeze?universe=all")).json()
        assert frozen["universe"] == "main"
        await main.post(f"{CLOCK}/advance?universe=all", json={"by": "3d"})
        assert all(each.clock.frozen for each in lab.every())
        assert {each.clock() // 1000 for each in lab.every()} == {lab.main.clock() // 1000}
        later = (await main.post("/tenantry/lab/universes")).json()
        assert later["clock"]["frozen"] is True
        assert later["clock"]["now"] >= frozen["now"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "to"),
        ({"by": "1d", "to": "2040-01-01T00:00:00Z"}, "to"),
        ({"to": "2020-01-01T00:00:00Z"}, "to"),
        ({"to": "tomorrow"}, "to"),
        ({"by": "a month"}, "by"),
        ({"by": ""}, "by"),
        ({"by": "-1d"}, "by"),
        ({"by": "1h1d"}, "by"),
        ({"by": 30}, "by"),
        ({"by": "99999d"}, "by"),
        ({"to": "9999-12-31T23:59:59Z"}, "to"),
    ],
)
def test_where_no_clock_goes_is_refused_by_field(universe: httpx.Client, body: dict[str, Any], field: str) -> None:
    before = universe.post(f"{CLOCK}/freeze").json()
    refused = universe.post(f"{CLOCK}/advance", json=body)
    assert refused.status_code == 422, refused.text
    assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert universe.get(CLOCK).json() == before


def test_a_universe_begins_no_earlier_than_its_data(main: httpx.Client) -> None:
    refused = main.post("/tenantry/lab/universes", json={"clock": "2020-01-01T00:00:00Z"})
    assert refused.status_code == 422
    [error] = refused.json()["errors"]
    assert error["field"] == "clock"


async def test_more_than_one_call_does_is_told_with_the_time_it_got_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenantry.lab.universes._LONGEST_PASS_SECONDS", -1.0)
    async with running() as (_, api):
        organization = (await api.post("/organizations", json={"name": "Acme"})).json()
        body = {"organization_id": organization["id"], "domain": "acme.com"}
        await api.post("/organization_domains", json=body)
        refused = await api.post(f"{CLOCK}/advance", json={"by": "30d"})
        assert (refused.status_code, refused.json()["code"]) == (409, "too_much_falls_due")
        assert (await api.get(CLOCK)).json()["frozen"] is False
