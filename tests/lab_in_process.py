"""The lab in the test's own process and event loop, with a DNS of the test's own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import msgspec

from tenantry.core.clock import Clock
from tenantry.dev import IN_MEMORY, compose, prepared
from tenantry.domains.examine import Authority
from tenantry.domains.questions import Answer, Question
from tenantry.lab.front import Front
from tenantry.lab.universes import Lab
from tenantry.settings import Settings

BASE_URL = "http://lab.invalid"
KEY = "sk_test_default"


class Dns:
    """Answers at once: the TXT records that a test puts in `records`, and that there is no other name."""

    def __init__(self) -> None:
        self.records: dict[str, str] = {}
        self.asked = 0

    async def connect(self) -> "Dns":
        return self

    async def ask(
        self, name: str, type_: str, *, authority: Authority | None = None, checking_disabled: bool = False
    ) -> Question:
        self.asked += 1
        value = self.records.get(name)
        if value is None or type_ != "TXT":
            return Question(name=name, type=type_, rcode="NXDOMAIN", checking_disabled=checking_disabled)
        return Question(
            name=name, type=type_, rcode="NOERROR", answers=(Answer(name, "TXT", 60, value, f'"{value}"'),)
        )


@asynccontextmanager
async def running(
    settings: Settings | None = None, dns: Dns | None = None, time: Clock | None = None
) -> AsyncIterator[tuple[Lab, httpx.AsyncClient]]:
    """Yield a lab, and an HTTP client of its main environment. `time` stands for the machine's clock."""
    with prepared(settings or Settings(database=IN_MEMORY), None) as ready:
        timed = ready if time is None else msgspec.structs.replace(ready, time=time)
        lab, front = compose(timed, BASE_URL, (dns or Dns()).connect)
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
