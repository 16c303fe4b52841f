"""However many endpoints stop answering, those that answer get what they are owed."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from hooks import fan_out
from support import caller_in, grant
from tenantry.core.db import Database, Transaction
from tenantry.core.outgoing import Outcome
from tenantry.core.targets import TargetPolicy
from tenantry.organizations import service as organizations
from tenantry.organizations.wire import CreateOrganization
from tenantry.webhooks import service
from tenantry.webhooks.dispatch import Dispatcher, Options
from tenantry.webhooks.wire import CreateWebhookEndpoint

OPTIONS = Options(waits=(60.0,), timeout=60.0, concurrency=64)
SECONDS = 30.0


class Receivers:
    """Take what is sent to them at once, but for those at `silent` URLs, which never answer."""

    def __init__(self) -> None:
        self.silent: set[str] = set()
        self.taken: Counter[str] = Counter()
        self.kept: Counter[str] = Counter()
        self._changed = asyncio.Event()

    async def send(self, url: str, _body: object, _headers: object, _method: str = "POST") -> Outcome:
        await asyncio.sleep(0)
        self._changed.set()
        if url in self.silent:
            self.kept[url] += 1
            await asyncio.Event().wait()
        self.taken[url] += 1
        return Outcome(200, 1)

    async def close(self) -> None:
        pass

    async def until(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not happened():
                await self._changed.wait()
                self._changed.clear()


class Tenant:
    """An environment, what happens in it, and who is told."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.caller = caller_in(grant(database).environment_id)
        self.is_asked = False

    def subscribe(self, *urls: str) -> None:
        def work(tx: Transaction) -> None:
            for url in urls:
                body = CreateWebhookEndpoint(endpoint_url=url, events=["organization.created"])
                service.create(tx, self.caller, body, TargetPolicy())

        self.database.write(work)

    def happen(self, count: int) -> None:
        def work(tx: Transaction) -> None:
            for number in range(count):
                organizations.create(tx, self.caller, CreateOrganization(name=f"Org {number}"))

        self.database.write(work)
        fan_out(self.database, self.caller.environment_id)


@pytest.fixture
def tenant(database: Database) -> Tenant:
    return Tenant(database)


@asynccontextmanager
async def delivering(tenant: Tenant, receivers: Receivers) -> AsyncIterator[None]:
    async def connect() -> Receivers:
        return receivers

    dispatcher = Dispatcher(
        tenant.database, lambda: 1_800_000_000_000, lambda: 0.5, OPTIONS, connect, lambda: tenant.is_asked
    )
    running = asyncio.create_task(dispatcher.run())
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        for task in dispatcher._tasks:
            task.cancel()
        await dispatcher.stop()


def urls(name: str, count: int) -> list[str]:
    return [f"https://{name}{number}.invalid" for number in range(count)]


async def test_more_silent_endpoints_than_there_are_places_delay_none_that_is_known(tenant: Tenant) -> None:
    receivers, silent = Receivers(), urls("silent", 600)
    receivers.silent = set(silent)
    tenant.subscribe("https://quick.invalid")
    tenant.happen(1)
    async with delivering(tenant, receivers):
        await receivers.until(lambda: receivers.taken["https://quick.invalid"] == 1)
        tenant.subscribe(*silent)
        tenant.happen(20)
        await receivers.until(lambda: receivers.taken["https://quick.invalid"] == 21)
        assert set(receivers.taken) == {"https://quick.invalid"}
        assert max(receivers.kept.values()) == 1


async def test_busy_endpoints_that_fall_silent_together_leave_places_for_another(tenant: Tenant) -> None:
    receivers, busy = Receivers(), urls("busy", 20)
    tenant.subscribe(*busy)
    tenant.happen(70)
    async with delivering(tenant, receivers):
        await receivers.until(lambda: all(receivers.taken[url] == 70 for url in busy))
        receivers.silent = set(busy)
        tenant.happen(70)
        await receivers.until(lambda: all(receivers.kept[url] > 0 for url in busy))
        tenant.subscribe("https://other.invalid")
        tenant.happen(20)
        await receivers.until(lambda: receivers.taken["https://other.invalid"] == 20)
        assert all(receivers.taken[url] == 70 for url in busy)


async def test_what_was_claimed_ahead_for_one_that_falls_silent_is_due_again_as_if_never_claimed(
    tenant: Tenant,
) -> None:
    receivers, url = Receivers(), "https://busy.invalid"
    tenant.subscribe(url)
    tenant.happen(70)
    async with delivering(tenant, receivers):
        await receivers.until(lambda: receivers.taken[url] == 70)
        receivers.silent = {url}
        tenant.happen(200)
        await receivers.until(lambda: receivers.kept[url] == OPTIONS.concurrency)
    attempts = tenant.database.read(
        lambda tx: tx.all("SELECT attempts, COUNT(*) FROM webhook_deliveries WHERE due_at IS NOT NULL GROUP BY 1")
    )
    assert sorted(attempts) == [(0, 200 - OPTIONS.concurrency), (1, OPTIONS.concurrency)]


async def test_beside_requests_everything_is_delivered_too(tenant: Tenant) -> None:
    receivers, url = Receivers(), "https://quick.invalid"
    tenant.is_asked = True
    tenant.subscribe(url)
    tenant.happen(300)
    async with delivering(tenant, receivers):
        await receivers.until(lambda: receivers.taken[url] == 300)
