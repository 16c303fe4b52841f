"""What goes on beside the requests of a universe rests while there is nothing to do, and misses nothing."""

import asyncio
from collections.abc import Callable

import httpx
import pytest

from lab_in_process import running
from tenantry.lab.universe import Life, Universe
from tenantry.lab.universes import Lab

UNIVERSES = "/tenantry/lab/universes"
_SECONDS = 20.0
_HOUR = 3_600_000  # milliseconds


@pytest.fixture(autouse=True)
def quick_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenantry.lab.universe._QUIET_SECONDS", 0.1)
    monkeypatch.setattr("tenantry.lab.universes._LOOK_SECONDS", 0.02)


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(_SECONDS):
        while not is_so():  # noqa: ASYNC110 (what is waited for does not tell)
            await asyncio.sleep(0.01)


async def until_at_rest(life: Life) -> None:
    await until(lambda: not life.node.worker.is_running)


async def forked(lab: Lab, main: httpx.AsyncClient, **body: object) -> Universe:
    """Fork a universe, and let the client be in it."""
    made = (await main.post(UNIVERSES, json=body)).json()
    main.headers["authorization"] = f"Bearer {made['api_key']}"
    return lab.get(made["id"])


async def domain_in(api: httpx.AsyncClient) -> str:
    body = {"name": "Acme", "domain_data": [{"domain": "acme.com", "state": "pending"}]}
    organization = (await api.post("/organizations", json=body)).json()
    return str(organization["domains"][0]["id"])


async def until_checked(api: httpx.AsyncClient, domain_id: str, times: int) -> None:
    path = f"/tenantry/organization_domains/{domain_id}/attempts"
    async with asyncio.timeout(_SECONDS):
        while len((await api.get(path)).json()["data"]) < times:  # noqa: ASYNC110 (as above)
            await asyncio.sleep(0.01)


async def test_one_that_is_dropped_while_it_comes_to_rest_is_not_looked_into_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running() as (lab, api):
        universe = await forked(lab, api)
        worker, looks = universe.node.worker, list[str]()
        await until(lambda: worker.is_running)

        async def rest() -> bool:
            lab.drop(universe)
            await asyncio.sleep(0)  # its end begins
            return True

        async def next_due() -> None:
            looks.append(universe.id)

        monkeypatch.setattr(worker, "rest", rest)
        monkeypatch.setattr(worker, "next_due", next_due)
        await until(lambda: universe.life.ended)
        await asyncio.sleep(0.1)
        assert looks == []


async def test_a_universe_that_is_only_read_rests() -> None:
    async with running() as (lab, api):
        universe = await forked(lab, api)
        await until(lambda: universe.node.worker.is_running)  # it looks once what it begins with
        await until_at_rest(universe.life)
        for _ in range(20):
            assert (await api.get("/organizations")).status_code == 200
            assert not universe.node.worker.is_running
            await asyncio.sleep(0.01)
        assert lab.main.node.worker.is_running


async def test_what_is_written_wakes_it_and_is_seen_to_at_once() -> None:
    async with running() as (lab, api):
        universe = await forked(lab, api)
        for _ in range(2):
            domain_id = await domain_in(api)
            assert universe.node.worker.is_running
            await until_checked(api, domain_id, 1)
            await until_at_rest(universe.life)
            await api.delete(f"/organization_domains/{domain_id}")
            organization = (await api.get("/organizations")).json()["data"][0]
            await api.delete(f"/organizations/{organization['id']}")
            await until_at_rest(universe.life)


async def test_what_falls_due_meanwhile_wakes_it() -> None:
    async with running() as (lab, api):
        universe = await forked(lab, api)
        domain_id = await domain_in(api)
        await until_checked(api, domain_id, 1)
        await until_at_rest(universe.life)
        universe.clock.move(universe.clock() + 2 * 60_000)  # past the second check, which nobody asks for
        await until_checked(api, domain_id, 2)


async def test_what_a_fork_begins_with_is_due_in_it_too() -> None:
    async with running() as (lab, api):
        parent = await forked(lab, api, frozen=True)
        domain_id = await domain_in(api)
        await until_checked(api, domain_id, 1)
        child = await forked(lab, api, **{"from": parent.id})
        child.clock.move(child.clock() + 2 * 60_000)
        await until_checked(api, domain_id, 2)


async def test_a_drop_in_the_midst_of_an_advance_ends_it_with_an_answer_that_says_so() -> None:
    async with running() as (lab, api):
        universe = await forked(lab, api)
        await domain_in(api)
        before = universe.clock()
        advancing = asyncio.create_task(api.post("/tenantry/lab/clock/advance", json={"by": "3000d"}, timeout=60))
        # It holds the universe before, until the work that is under way there has come to its end.
        await until(lambda: universe.clock() - before > _HOUR)
        another = asyncio.create_task(api.post("/tenantry/lab/clock/advance", json={"by": "1d"}, timeout=60))
        await asyncio.sleep(0)
        lab.drop(universe)
        answer = await advancing
        assert (answer.status_code, answer.json()["code"]) == (409, "too_much_falls_due")
        assert (await another).status_code in {401, 404}
        await lab.left()
