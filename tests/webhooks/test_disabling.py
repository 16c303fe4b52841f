"""An endpoint that only fails for five days is disabled; the rules of deliveries, with time as a value."""

import json
from typing import Any

import pytest

from hooks import fan_out
from support import caller_in, events_of, grant
from tenantry.core.db import Database, Transaction
from tenantry.core.outgoing import Outcome
from tenantry.core.targets import TargetPolicy
from tenantry.organizations import service as organizations
from tenantry.organizations.wire import CreateOrganization
from tenantry.webhooks import delivery, service
from tenantry.webhooks.delivery import Parcel, Result
from tenantry.webhooks.wire import CreateWebhookEndpoint, UpdateWebhookEndpoint, WebhookEndpoint

DAY = 24 * 60 * 60 * 1000
WAITS = (60.0,) * 10_000
LEASE = 20_000


class Deliveries:
    """An environment with one endpoint, and what the loop does, step by step."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.caller = caller_in(grant(database).environment_id)
        body = CreateWebhookEndpoint(endpoint_url="https://receiver.invalid", events=["organization.created"])
        self.endpoint = database.write(lambda tx: service.create(tx, self.caller, body, TargetPolicy()))

    def happen(self, count: int = 1) -> None:
        def work(tx: Transaction) -> None:
            for number in range(count):
                organizations.create(tx, self.caller, CreateOrganization(name=f"Org {number}"))

        self.database.write(work)
        fan_out(self.database, self.caller.environment_id)

    def claim(self, most: int = 100) -> list[Parcel]:
        owed = self.database.read(delivery.waiting).endpoints
        return self.database.write(lambda tx: delivery.claim(tx, dict.fromkeys(owed, most), LEASE))

    def end(self, parcels: list[Parcel], status: int | None) -> None:
        results = [Result(parcel, Outcome(status, 5), 0.5) for parcel in parcels]
        self.database.write(lambda tx: delivery.record(tx, results, WAITS))

    def status(self) -> str:
        row = self.database.read(lambda tx: service.get_row(tx, self.caller, self.endpoint.id))
        return row.status

    def update(self, **changes: Any) -> WebhookEndpoint:
        body = UpdateWebhookEndpoint(**changes)
        return self.database.write(
            lambda tx: service.update(tx, self.caller, self.endpoint.id, body, TargetPolicy())
        )


@pytest.fixture
def deliveries(database: Database) -> Deliveries:
    return Deliveries(database)


def test_an_endpoint_that_only_fails_for_five_days_is_disabled_with_an_event(
    deliveries: Deliveries, now: list[int]
) -> None:
    deliveries.happen()
    for _ in range(5):
        deliveries.end(deliveries.claim(), 500)
        assert deliveries.status() == "enabled"
        now[0] += DAY
    deliveries.end(deliveries.claim(), None)
    assert deliveries.status() == "disabled"
    (event,) = [
        each
        for each in events_of(deliveries.database, deliveries.caller.environment_id)
        if each["event"] == "webhook_endpoint.disabled"
    ]
    assert event["data"]["reason"] == "Every attempt of the last five days has failed."  # type: ignore[index]
    assert event["context"]["actor"] == {"id": "tenantry", "source": "system", "name": None}  # type: ignore[index]
    assert "secret" not in json.dumps(event)


def test_one_success_begins_the_five_days_anew(deliveries: Deliveries, now: list[int]) -> None:
    deliveries.happen(2)
    for day in range(12):
        parcels = deliveries.claim()
        deliveries.end(parcels[:1], 200 if day == 4 else 500)
        deliveries.end(parcels[1:], 500)
        assert deliveries.status() == ("enabled" if day < 9 else "disabled"), day
        now[0] += DAY


def test_enabling_an_endpoint_forgets_how_long_it_failed(deliveries: Deliveries, now: list[int]) -> None:
    deliveries.happen(2)
    first = deliveries.claim()
    deliveries.end(first, 500)
    now[0] += 5 * DAY
    deliveries.update(status="enabled")
    deliveries.end(deliveries.claim(), 500)
    assert deliveries.status() == "enabled"


def test_what_is_claimed_is_due_again_when_the_lease_ends(deliveries: Deliveries, now: list[int]) -> None:
    deliveries.happen(3)
    first = deliveries.claim()
    assert len(first) == 3
    assert deliveries.claim() == []
    now[0] += LEASE
    again = deliveries.claim()
    assert [each.delivery_id for each in again] == [each.delivery_id for each in first]
    assert {each.attempts for each in again} == {2}


def test_a_late_failure_does_not_touch_what_another_has_claimed(deliveries: Deliveries, now: list[int]) -> None:
    deliveries.happen()
    late = deliveries.claim()
    now[0] += LEASE
    current = deliveries.claim()
    deliveries.end(late, 500)
    deliveries.end(current, 200)
    now[0] += DAY
    assert deliveries.claim() == []


def test_a_late_success_counts_whoever_has_the_lease(deliveries: Deliveries, now: list[int]) -> None:
    deliveries.happen()
    late = deliveries.claim()
    now[0] += LEASE
    current = deliveries.claim()
    deliveries.end(late, 200)
    deliveries.end(current, 500)
    now[0] += DAY
    assert deliveries.claim() == []


def test_what_is_due_to_an_endpoint_that_is_disabled_or_gone_is_owed_no_longer(
    deliveries: Deliveries,
) -> None:
    deliveries.happen(3)
    deliveries.update(status="disabled")
    assert deliveries.claim() == []
    assert deliveries.database.read(delivery.waiting) == delivery.Waiting([], [])
    deliveries.update(status="enabled")
    deliveries.happen(2)
    deliveries.database.write(lambda tx: service.delete(tx, deliveries.caller, deliveries.endpoint.id))
    assert deliveries.claim() == []
    assert deliveries.database.read(delivery.waiting).endpoints == []


def test_an_event_is_passed_once_however_often_the_feed_is_looked_at(deliveries: Deliveries) -> None:
    deliveries.happen(450)
    for _ in range(4):
        deliveries.database.write(lambda tx: delivery.fan_out(tx, deliveries.caller.environment_id))
    assert len(deliveries.claim(1000)) == 450


def test_old_deliveries_are_pruned_with_their_attempts_but_not_what_is_owed(
    deliveries: Deliveries, now: list[int]
) -> None:
    deliveries.happen(2)
    deliveries.end(deliveries.claim(1), 200)
    now[0] += 90 * DAY + 1
    database = deliveries.database
    assert database.write(lambda tx: delivery.prune(tx, 90)) == 1
    assert database.write(lambda tx: delivery.prune(tx, 90)) == 0
    assert database.read(lambda tx: tx.all("SELECT * FROM webhook_attempts")) == []
    assert len(deliveries.claim()) == 1
