"""`tenantry dev --profile hosted`: the limits of the hosted service (wire.md section 1.10)."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab_in_process import KEY, running
from tenantry.core.endpoints import Request
from tenantry.core.errors import RateLimitExceeded
from tenantry.core.throttle import Throttle
from tenantry.dev import IN_MEMORY
from tenantry.settings import Settings

NOW = 1_900_000_000_000
HOSTED = Settings(database=IN_MEMORY, profile="hosted")
UNIVERSES = "/tenantry/lab/universes"


async def no_body() -> bytes:
    return b""


async def never() -> None:
    await asyncio.Event().wait()


def request_to(path: str) -> Request:
    return Request("GET", path, "", f"Bearer {KEY}", lambda _: None, list, never)


@contextmanager
def refused() -> Iterator[None]:
    with pytest.raises(RateLimitExceeded) as caught:
        yield
    assert 0 < caught.value.retry_after <= 60


def test_an_operation_has_a_share_of_its_own_within_that_of_the_key() -> None:
    now = [0]
    throttle = Throttle(lambda: now[0], 5, {"delete": 2})
    throttle.count("one", "delete")
    throttle.count("one", "delete")
    with refused():
        throttle.count("one", "delete")
    throttle.count("one", "get")
    throttle.count("one", "get")
    with refused():
        throttle.count("one", "get")
    throttle.count("two", "delete")
    now[0] = 60_000
    throttle.count("one", "delete")


async def test_the_fifty_first_delete_of_a_minute_is_refused_with_when_to_come_back() -> None:
    async with running(HOSTED, time=lambda: NOW) as (_, api):
        made = [(await api.post("/organizations", json={"name": f"Acme {n}"})).json()["id"] for n in range(51)]
        statuses = [(await api.delete(f"/organizations/{each}")).status_code for each in made[:50]]
        assert statuses == [202] * 50
        refused = await api.delete(f"/organizations/{made[50]}")
        assert refused.status_code == 429
        assert refused.json() == {"message": "Too many requests.", "code": "rate_limit_exceeded"}
        assert 0 < int(refused.headers["retry-after"]) <= 60
        assert (await api.get(f"/organizations/{made[50]}")).status_code == 200


async def test_each_key_has_six_thousand_requests_a_minute_and_each_universe_its_own() -> None:
    async with running(HOSTED, time=lambda: NOW) as (lab, api):
        universe = (await api.post(UNIVERSES)).json()
        for _ in range(6000):
            assert (await lab.main.answer(request_to("/organizations"), no_body)).status == 200
        assert (await api.get("/organizations")).status_code == 429
        own = {"authorization": f"Bearer {universe['api_key']}"}
        assert (await api.get("/organizations", headers=own)).status_code == 200
        assert (await api.get(UNIVERSES)).status_code == 200, "the lab itself is not limited"


async def test_without_the_profile_there_is_no_limit() -> None:
    async with running() as (_, api):
        made = [(await api.post("/organizations", json={"name": f"Acme {n}"})).json()["id"] for n in range(60)]
        assert [(await api.delete(f"/organizations/{each}")).status_code for each in made] == [202] * 60
