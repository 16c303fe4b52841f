"""`tenantry webhooks`: what a person does when deliveries went wrong, with or without a server running."""

import subprocess
from collections.abc import Callable, Iterator

import pytest

from hooks import fan_out
from support import caller_in, open_migrated
from tenantry.core.db import Database
from tenantry.core.targets import TargetPolicy
from tenantry.environments import service as environments
from tenantry.organizations import service as organizations
from tenantry.organizations.wire import CreateOrganization
from tenantry.webhooks import service
from tenantry.webhooks.wire import CreateWebhookEndpoint, WebhookEndpoint

Tenantry = Callable[..., subprocess.CompletedProcess[str]]

ALWAYS = "2020-01-01T00:00:00Z"


class Setup:
    """An environment with an endpoint and two events, of which no delivery is made yet."""

    def __init__(self, database: Database) -> None:
        self.database = database
        row = database.write(lambda tx: environments.create_environment(tx, "Production"))
        self.caller = caller_in(row.id)
        self.endpoint = self.subscribe("https://receiver.invalid")
        bodies = [CreateOrganization(name=name) for name in ("One", "Two")]
        database.write(lambda tx: [organizations.create(tx, self.caller, body) for body in bodies])

    def subscribe(self, url: str) -> WebhookEndpoint:
        body = CreateWebhookEndpoint(endpoint_url=url, events=["organization.created"])
        return self.database.write(lambda tx: service.create(tx, self.caller, body, TargetPolicy()))

    def fail(self) -> None:
        """Make the deliveries, and let them have failed for good."""

        fan_out(self.database, self.caller.environment_id)
        self.database.write(lambda tx: tx.run("UPDATE webhook_deliveries SET status = 'failed', due_at = NULL"))

    def deliveries(self) -> list[tuple[str, str, str]]:
        """Return id, endpoint and status of each delivery."""
        rows = self.database.read(
            lambda tx: tx.all("SELECT id, endpoint_id, status FROM webhook_deliveries ORDER BY id")
        )
        return [(row[0], row[1], row[2]) for row in rows]


@pytest.fixture
def setup(database_url: str) -> Iterator[Setup]:
    database = open_migrated(database_url)
    yield Setup(database)
    database.close()


@pytest.fixture
def webhooks(tenantry: Tenantry, database_url: str, setup: Setup) -> Callable[..., str]:
    """Runs `tenantry webhooks` and returns what it prints."""

    def run(*arguments: str) -> str:
        done = tenantry("webhooks", *arguments, "--environment", "Production", "--database", database_url)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_endpoints_are_listed_without_their_secrets(webhooks: Callable[..., str], setup: Setup) -> None:
    printed = webhooks("list")
    assert setup.endpoint.id in printed
    assert setup.endpoint.endpoint_url in printed
    assert "whsec_" not in printed


def test_a_range_is_replayed(webhooks: Callable[..., str], setup: Setup) -> None:
    fan_out(setup.database, setup.caller.environment_id)
    assert webhooks("replay", setup.endpoint.id, "--from", ALWAYS) == "2 deliveries are due now.\n"
    assert [state for _, _, state in setup.deliveries()] == ["pending"] * 2
    assert webhooks("deliveries", setup.endpoint.id).count("pending") == 2
    assert webhooks("replay", setup.endpoint.id, "--from", ALWAYS, "--to", ALWAYS).startswith("0 ")


def test_what_failed_is_recovered_to_another_endpoint(webhooks: Callable[..., str], setup: Setup) -> None:
    setup.fail()
    other = setup.subscribe("https://other.invalid")
    printed = webhooks("recover", other.id, "--since", ALWAYS, "--source", setup.endpoint.id)
    assert printed == "2 deliveries are due now.\n"
    assert [state for _, endpoint, state in setup.deliveries() if endpoint == other.id] == ["pending"] * 2


def test_one_is_sent_again(webhooks: Callable[..., str], setup: Setup) -> None:
    setup.fail()
    identity = setup.deliveries()[0][0]
    assert identity in webhooks("resend", identity)
    assert [state for _, _, state in setup.deliveries()] == ["pending", "failed"]
    assert webhooks("attempts", identity).startswith("TIME")


def test_a_secret_is_rotated_and_a_test_is_sent(webhooks: Callable[..., str], setup: Setup) -> None:
    printed = webhooks("rotate-secret", setup.endpoint.id, "--overlap-seconds", "60").strip()
    row = setup.database.read(lambda tx: service.get_row(tx, setup.caller, setup.endpoint.id))
    assert (row.secret, row.previous_secret) == (printed, setup.endpoint.secret)
    assert setup.deliveries() == []
    assert "tenantry webhooks attempts whd_" in webhooks("test", setup.endpoint.id)
    assert [state for _, _, state in setup.deliveries()] == ["pending"]


def test_what_is_wrong_is_told_in_a_line(tenantry: Tenantry, database_url: str, setup: Setup) -> None:
    for arguments, line in (
        (("deliveries", "we_1"), "Webhook endpoint not found: 'we_1'."),
        (("attempts", "whd_1"), "Webhook delivery not found: 'whd_1'."),
        (("replay", setup.endpoint.id, "--from", "yesterday"), "range_start must be an ISO 8601 time in UTC"),
        (
            ("rotate-secret", setup.endpoint.id, "--overlap-seconds", "-1"),
            "overlap_seconds must not be less than 0",
        ),
    ):
        done = tenantry("webhooks", *arguments, "--environment", "Production", "--database", database_url)
        assert done.returncode == 1
        assert done.stderr.startswith(f"Error: {line}")
