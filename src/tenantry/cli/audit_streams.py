"""`tenantry audit streams`."""

from collections.abc import Callable
from typing import Any, BinaryIO, TypeVar

import click
import msgspec
from msgspec import UNSET

from tenantry.app import target_policy
from tenantry.audit_logs.streams import service
from tenantry.audit_logs.streams.wire import (
    AuditLogStream,
    CreateAuditLogStream,
    ListAuditLogStreams,
    UpdateAuditLogStream,
)
from tenantry.cli.common import migrated, owner, settings_options, table, told_plainly
from tenantry.core import validation
from tenantry.core.caller import Caller
from tenantry.core.db import Transaction
from tenantry.core.errors import ValidationFailed
from tenantry.core.page import Order
from tenantry.core.targets import TargetPolicy
from tenantry.settings import load

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)
Command = TypeVar("Command", bound=Callable[..., None])
_Options = dict[str, str | None]

_SHOWN = 100
_DESTINATIONS = ("generic_https", "datadog", "splunk", "s3")


@click.group(short_help="Log streams: where events are sent, and how that goes.")
def streams() -> None:
    """Log streams: where an organization's events are sent, and how that goes.

    A running server sends. What holds credentials is read from a file, or with - from standard input,
    since other users of a machine can see the arguments of a command.
    """


def _in_environment(*settings: str) -> Callable[[Command], Command]:
    """Give a command the options that say where it works, and `settings`."""

    def add(command: Command) -> Command:
        with_settings = settings_options("database", *settings)(command)
        return click.option("--environment", required=True, help="The environment of the organization.")(
            with_settings
        )

    return add


_SENDING = ("webhook_http", "webhook_allowed_networks")
"""The settings that say where streams may lead."""


def _work(options: _Options, environment: str, work: Callable[[Transaction, Caller, TargetPolicy], T]) -> T:
    """Return what `work` returns, as if the environment's owner had called. Tells each field that is wrong."""
    with told_plainly():
        settings = load(options)
        policy = target_policy(settings)
        with migrated(settings) as database:
            try:
                return database.write(lambda tx: work(tx, owner(tx, environment), policy))
            except ValidationFailed as error:
                raise _told(error) from error


def _told(error: ValidationFailed) -> click.ClickException:
    return click.ClickException("; ".join(each.code for each in error.errors) + ".")


def _body(given: dict[str, Any], kind: type[S]) -> S:
    """Return the body that a request with these values would have. Ends the command when one is wrong."""
    try:
        return validation.convert(given, kind, strict=True)
    except ValidationFailed as error:
        raise _told(error) from error


def _json(file: BinaryIO) -> dict[str, Any]:
    try:
        return msgspec.json.decode(file.read(), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file.name} is not a JSON object: {error}.") from error


@streams.command("list")
@click.argument("organization_id", metavar="ORGANIZATION")
@_in_environment()
def list_all(organization_id: str, environment: str, **options: str | None) -> None:
    """Show the streams of ORGANIZATION, without their credentials."""
    query = ListAuditLogStreams(limit=_SHOWN, order=Order.DESC)
    page = _work(options, environment, lambda tx, caller, _: service.list_page(tx, caller, organization_id, query))
    table(
        ("ID", "TYPE", "TO", "STATE", "LAST SYNCED", "FAILURES"),
        [
            (each.id, each.type, _place(each), each.state, each.last_synced_at or "never", each.failures)
            for each in page.data
        ],
    )


def _place(stream: AuditLogStream) -> str:
    """Return where a stream leads, in a word."""
    shown = next(each for each in (getattr(stream, name) for name in _DESTINATIONS) if each is not UNSET)
    places = (getattr(shown, name, None) for name in ("url", "bucket", "site"))
    return str(next(place for place in places if place))


@streams.command("add")
@click.argument("organization_id", metavar="ORGANIZATION")
@click.argument("file", type=click.File("rb"))
@_in_environment(*_SENDING)
def add(organization_id: str, file: BinaryIO, environment: str, **options: str | None) -> None:
    """Send the events of ORGANIZATION to where FILE says; print the stream.

    FILE is the body of POST /tenantry/organizations/{id}/audit_log_streams: a type and its destination.
    A signing secret that is made is shown here, and not again.
    """
    body = _body(_json(file), CreateAuditLogStream)
    _show(
        _work(
            options,
            environment,
            lambda tx, caller, policy: service.create(tx, caller, organization_id, body, policy),
        )
    )


@streams.command("update")
@click.argument("stream_id", metavar="STREAM")
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--state", type=click.Choice(["active", "inactive"]), help="Whether to send.")
@click.option("--batch-seconds", type=int, help="How long an event may wait for others.")
@_in_environment(*_SENDING)
def update(
    stream_id: str,
    file: BinaryIO | None,
    state: str | None,
    batch_seconds: int | None,
    environment: str,
    **options: str | None,
) -> None:
    """Change what is given of STREAM; print it. It is tried again at once.

    FILE holds a new destination, credentials too: {"splunk": {"url": …, "token": …}}.
    """
    chosen = {"state": state, "batch_seconds": batch_seconds}
    given = _json(file) if file else {}
    body = _body(given | {key: value for key, value in chosen.items() if value is not None}, UpdateAuditLogStream)
    _show(
        _work(options, environment, lambda tx, caller, policy: service.update(tx, caller, stream_id, body, policy))
    )


@streams.command("show")
@click.argument("stream_id", metavar="STREAM")
@_in_environment()
def show(stream_id: str, environment: str, **options: str | None) -> None:
    """Print STREAM: its state, what the receiver last answered, when it is tried again."""
    _show(_work(options, environment, lambda tx, caller, _: service.get(tx, caller, stream_id)))


@streams.command("test")
@click.argument("stream_id", metavar="STREAM")
@_in_environment()
def test(stream_id: str, environment: str, **options: str | None) -> None:
    """Have an event sent to the receiver of STREAM that stands for nothing."""
    _work(options, environment, lambda tx, caller, _: service.test(tx, caller, stream_id))
    click.echo(f"{stream_id} is tested now. What came of it: tenantry audit streams show {stream_id}")


@streams.command("remove")
@click.argument("stream_id", metavar="STREAM")
@_in_environment()
def remove(stream_id: str, environment: str, **options: str | None) -> None:
    """Delete STREAM with its credentials. What it had not sent by now is not sent."""
    _work(options, environment, lambda tx, caller, _: service.delete(tx, caller, stream_id))
    click.echo(f"{stream_id} is deleted.")


def _show(stream: AuditLogStream) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(stream)).decode())
