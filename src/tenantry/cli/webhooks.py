"""`tenantry webhooks`."""

from collections.abc import Callable
from typing import TypeVar

import click
import msgspec

from tenantry.cli.common import migrated, owner, settings_options, table, told_plainly
from tenantry.cli.listening import listen
from tenantry.cli.probing import probe
from tenantry.core import validation
from tenantry.core.caller import Caller
from tenantry.core.db import Transaction
from tenantry.core.errors import ValidationFailed
from tenantry.core.page import Order
from tenantry.settings import load
from tenantry.webhooks import history, service
from tenantry.webhooks.wire import (
    ListAttempts,
    ListDeliveries,
    ListWebhookEndpoints,
    RecoverDeliveries,
    ReplayEvents,
    Requeued,
    RotateSecret,
)

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)
Command = TypeVar("Command", bound=Callable[..., None])

_SHOWN = 100


@click.group(short_help="Webhooks: what was sent, and sending it again.")
def webhooks() -> None:
    """Webhooks: endpoints, what was and is owed to them, and sending it again."""


def _in_environment(command: Command) -> Command:
    """Give a command the options that say where it works."""
    with_database = settings_options("database")(command)
    return click.option("--environment", required=True, help="The environment of the endpoint.")(with_database)


def _work(
    options: dict[str, str | None], environment: str, work: Callable[[Transaction, Caller], T], *, changes: bool
) -> T:
    """Return what `work` returns, as if the environment's owner had called."""

    def run(tx: Transaction) -> T:
        return work(tx, owner(tx, environment))

    with told_plainly(), migrated(load(options)) as database:
        return database.write(run) if changes else database.read(run)


def _body(kind: type[S], **values: str | int | None) -> S:
    """Return the body that a request with these values would have. Ends the command when one is wrong."""
    given = {name: value for name, value in values.items() if value is not None}
    try:
        return validation.convert(given, kind, strict=False)
    except ValidationFailed as error:
        raise click.ClickException("; ".join(each.code for each in error.errors) + ".") from error


def _through(again: Callable[[str | None], Requeued]) -> int:
    """Repeat what does a part at a time until it is through; return how many deliveries are due by it."""
    done = again(None)
    count = done.count
    while done.after is not None:
        done = again(done.after)
        count += done.count
    return count


@webhooks.command("list")
@_in_environment
def list_all(environment: str, **options: str | None) -> None:
    """Show the newest hundred endpoints of an environment, without their secrets."""
    query = ListWebhookEndpoints(limit=_SHOWN, order=Order.DESC)
    page = _work(options, environment, lambda tx, caller: service.list_page(tx, caller, query), changes=False)
    table(
        ("ID", "URL", "STATUS", "EVENTS", "CREATED"),
        [(each.id, each.endpoint_url, each.status, len(each.events), each.created_at) for each in page.data],
    )


@webhooks.command("deliveries")
@click.argument("endpoint_id", metavar="ENDPOINT")
@_in_environment
def deliveries(endpoint_id: str, environment: str, **options: str | None) -> None:
    """Show the newest hundred deliveries to ENDPOINT."""
    query = ListDeliveries(limit=_SHOWN, order=Order.DESC)
    page = _work(
        options,
        environment,
        lambda tx, caller: history.list_deliveries(tx, caller, endpoint_id, query),
        changes=False,
    )
    table(
        ("ID", "EVENT", "STATUS", "ATTEMPTS", "NEXT", "CREATED"),
        [
            (each.id, each.event, each.status, each.attempts, each.next_attempt_at or "never", each.created_at)
            for each in page.data
        ],
    )


@webhooks.command("attempts")
@click.argument("delivery_id", metavar="DELIVERY")
@_in_environment
def attempts(delivery_id: str, environment: str, **options: str | None) -> None:
    """Show the newest hundred attempts to make DELIVERY."""
    query = ListAttempts(limit=_SHOWN, order=Order.DESC)
    page = _work(
        options,
        environment,
        lambda tx, caller: history.list_attempts(tx, caller, delivery_id, query),
        changes=False,
    )
    table(
        ("TIME", "STATUS", "MILLISECONDS", "ERROR"),
        [
            (each.created_at, each.response_status or "none", each.latency_ms, each.error or "none")
            for each in page.data
        ],
    )


@webhooks.command("resend")
@click.argument("delivery_id", metavar="DELIVERY")
@_in_environment
def resend(delivery_id: str, environment: str, **options: str | None) -> None:
    """Make DELIVERY again; a running server sends it."""
    _work(options, environment, lambda tx, caller: history.resend(tx, caller, delivery_id), changes=True)
    click.echo(f"{delivery_id} is due now.")


@webhooks.command("replay")
@click.argument("endpoint_id", metavar="ENDPOINT")
@click.option("--from", "range_start", required=True, help="Earliest time, ISO 8601 in UTC.")
@click.option("--to", "range_end", help="Latest time, ISO 8601 in UTC; now when not given.")
@_in_environment
def replay(
    endpoint_id: str, range_start: str, range_end: str | None, environment: str, **options: str | None
) -> None:
    """Send ENDPOINT the events of a range of time that it is subscribed to."""

    def again(after: str | None) -> Requeued:
        body = _body(ReplayEvents, range_start=range_start, range_end=range_end, after=after)
        return _work(
            options, environment, lambda tx, caller: history.replay(tx, caller, endpoint_id, body), changes=True
        )

    click.echo(f"{_through(again)} deliveries are due now.")


@webhooks.command("recover")
@click.argument("endpoint_id", metavar="ENDPOINT")
@click.option("--since", required=True, help="Earliest time, ISO 8601 in UTC.")
@click.option("--source", help="The endpoint whose failed deliveries are meant, if another.")
@_in_environment
def recover(endpoint_id: str, since: str, source: str | None, environment: str, **options: str | None) -> None:
    """Send ENDPOINT what has failed since a time."""

    def again(after: str | None) -> Requeued:
        body = _body(RecoverDeliveries, since=since, source=source, after=after)
        return _work(
            options, environment, lambda tx, caller: history.recover(tx, caller, endpoint_id, body), changes=True
        )

    click.echo(f"{_through(again)} deliveries are due now.")


@webhooks.command("rotate-secret")
@click.argument("endpoint_id", metavar="ENDPOINT")
@click.option("--overlap-seconds", type=int, help="How long the old secret counts beside the new one; a day.")
@_in_environment
def rotate_secret(endpoint_id: str, overlap_seconds: int | None, environment: str, **options: str | None) -> None:
    """Give ENDPOINT a new secret and print it."""
    body = _body(RotateSecret, overlap_seconds=overlap_seconds)
    endpoint = _work(
        options, environment, lambda tx, caller: history.rotate_secret(tx, caller, endpoint_id, body), changes=True
    )
    click.echo(endpoint.secret)


@webhooks.command("test")
@click.argument("endpoint_id", metavar="ENDPOINT")
@_in_environment
def test(endpoint_id: str, environment: str, **options: str | None) -> None:
    """Send ENDPOINT an event that stands for nothing."""
    made = _work(options, environment, lambda tx, caller: history.send_test(tx, caller, endpoint_id), changes=True)
    click.echo(f"{made.id} is due now. What came of it: tenantry webhooks attempts {made.id}")


webhooks.add_command(probe)
webhooks.add_command(listen)
