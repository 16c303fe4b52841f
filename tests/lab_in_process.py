"""The lab in the test's own process and event loop; no name server is asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import msgspec

from tenantry.core.clock import Clock
from tenantry.dev import IN_MEMORY, compose, prepared
from tenantry.domains.examine import Asker
from tenantry.domains.questions import Question
from tenantry.lab.front import Front
from tenantry.lab.universes import Lab
from tenantry.settings import Settings

BASE_URL = "http://lab.invalid"
KEY = "sk_test_default"


class _Nowhere:
    """Stands for the real DNS, in which there is no name."""

    async def ask(self, name: str, type_: str, **_: object) -> Question:
        return Question(name=name, type=type_, rcode="NXDOMAIN")


async def _connect() -> Asker:
    return _Nowhere()


@asynccontextmanager
async def running(
    settings: Settings | None = None, time: Clock | None = None
) -> AsyncIterator[tuple[Lab, httpx.AsyncClient]]:
    """Yield a lab, and an HTTP client of its main environment. `time` stands for the machine's clock."""
    with prepared(settings or Settings(database=IN_MEMORY), None) as ready:
        timed = ready if time is None else msgspec.structs.replace(ready, time=time)
        lab, front = compose(timed, BASE_URL, _connect)
        lab.start()
        try:
            async with client(front, KEY) as main:
                yield lab, main
        finally:
            await lab.stop()


def client(front: Front, key: str) -> httpx.AsyncClient:
    """Return an HTTP client of `front` that sends `key`."""
    transport = httpx.ASGITransport(app=front)  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url=BASE_URL, headers={"authorization": f"Bearer {key}"})
