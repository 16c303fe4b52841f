"""The official Python SDK, unmodified, in many universes at once."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx
import pytest
import workos
from workos.common.models import OrganizationDomainDataState as State
from workos.organizations.models import OrganizationDomainData

from support import Server

MOST = 16
_NAMES = [f"Acme {number}" for number in range(12)]


def fork(main: httpx.Client, name: str) -> dict[str, Any]:
    made: dict[str, Any] = main.post("/tenantry/lab/universes", json={"name": name}).json()
    return made


def live(universe: dict[str, Any], all_there: Barrier) -> list[str]:
    """Use a universe as a test of an app does, at the same time as the others; return all names that are there."""
    with workos.WorkOSClient(
        api_key=universe["api_key"], base_url=universe["base_url"], max_retries=0, request_timeout=20
    ) as client:
        all_there.wait(20)
        return use(client, universe["name"])


def use(client: workos.WorkOSClient, own: str) -> list[str]:
    # The same names, domains and external ids in each: a leak would be a conflict.
    ids = [
        client.organizations.create_organization(
            name=f"{name} of {own}",
            external_id=name.replace(" ", "-"),
            domain_data=[OrganizationDomainData(f"{name.replace(' ', '')}.com".lower(), State.VERIFIED)],
        ).id
        for name in _NAMES
    ]
    client.organizations.delete_organization(ids[0])
    client.organizations.update_organization(ids[1], name=f"Renamed of {own}")
    for identity in ids[1:]:
        assert client.organizations.get_organization(identity).name.endswith(f" of {own}")
    created = client.events.list_events(events=["organization.created"], limit=100).data
    assert [event.data.id for event in created] == ids  # type: ignore[union-attr]
    return sorted(each.name for each in client.organizations.list_organizations(limit=100).auto_paging_iter())


def test_sixteen_universes_at_once_never_meet(dev: Server, main: httpx.Client) -> None:
    universes = [fork(main, f"universe {number}") for number in range(MOST)]
    all_there = Barrier(MOST)
    with ThreadPoolExecutor(MOST) as threads:
        found = list(threads.map(lambda universe: live(universe, all_there), universes))
    for universe, names in zip(universes, found, strict=True):
        own = universe["name"]
        assert names == sorted([f"{name} of {own}" for name in _NAMES[2:]] + [f"Renamed of {own}"])
        main.delete(f"/tenantry/lab/universes/{universe['id']}")


async def test_universes_are_forked_used_reset_and_dropped_while_others_are(dev: Server) -> None:
    async def one(number: int, main: httpx.AsyncClient) -> None:
        made = (await main.post("/tenantry/lab/universes", json={"name": str(number)})).json()
        async with workos.AsyncWorkOSClient(
            api_key=made["api_key"], base_url=made["base_url"], max_retries=0, request_timeout=20
        ) as client:
            await use_and_reset(client, main, made["id"], number)

    async def use_and_reset(
        client: workos.AsyncWorkOSClient, main: httpx.AsyncClient, identity: str, number: int
    ) -> None:
        for turn in range(3):
            await client.organizations.create_organization(name=f"{number}-{turn}", external_id="same")
            page = await client.organizations.list_organizations()
            assert [each.name for each in page.data] == [f"{number}-{turn}"]
            reset = await main.post(f"/tenantry/lab/universes/{identity}/reset", timeout=20)
            assert reset.status_code == 200
        assert (await main.delete(f"/tenantry/lab/universes/{identity}")).status_code == 204
        with pytest.raises(workos.AuthenticationError):
            await client.organizations.list_organizations()

    headers = {"authorization": "Bearer sk_test_default"}
    async with httpx.AsyncClient(base_url=dev.base_url, headers=headers, timeout=20) as main:
        await asyncio.gather(*(one(number, main) for number in range(MOST)))
