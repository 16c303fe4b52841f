"""`tenantry webhooks listen`."""

import asyncio
import contextlib
import importlib
import signal
import sys
import time
from collections.abc import Coroutine
from types import ModuleType
from typing import Any

import click

from tenantry.cli.common import settings_options, told_plainly
from tenantry.core.addresses import networks
from tenantry.core.outgoing import Outcome, http_sender
from tenantry.core.signature import HEADER, signature
from tenantry.core.targets import RefusedTarget, TargetPolicy, check_url
from tenantry.server import system_world
from tenantry.settings import load

# As with a probe: whoever types a command can reach anything from here anyway.
_ANYWHERE = TargetPolicy(http=True, networks=networks("0.0.0.0/0, ::/0"))


@click.command(short_help="Send a server's events on to a receiver here.")
@click.option(
    "--forward-to", "target", required=True, metavar="URL", help="The receiver: http://localhost:3000/hook"
)
@click.option(
    "--url",
    "base_url",
    default="http://127.0.0.1:4100",
    show_default=True,
    help="The server whose events are meant.",
)
@click.option("--events", default="", help="Names of events, comma-separated; all when not given.")
@click.option("--secret", help="What to sign with; made from the key when not given, so that it stays the same.")
@settings_options("api_key", "webhook_timeout_seconds")
def listen(target: str, base_url: str, events: str, secret: str | None, **options: str | None) -> None:
    """Send every event of a server on to a receiver, signed as a webhook is, and print what it answers.

    The server need not reach the receiver: this command follows its feed, from now on. The key opens an
    environment, or a universe of `tenantry dev`. Each event is sent once. Ctrl+C ends it.
    """
    with told_plainly():
        settings = load(options)
    try:
        check_url(target, _ANYWHERE)
    except RefusedTarget as error:
        raise click.ClickException(f"Cannot send to {target}: {error}.") from error
    following = importlib.import_module("tenantry.webhooks.listen")
    secret = secret or following.secret_of(base_url, settings.api_key)
    names = [name.strip() for name in events.split(",") if name.strip()]
    feed = following.Feed(base_url, settings.api_key, names)
    click.echo(f"Sends the events of {base_url} to {target}, signed with {secret}")
    try:
        asyncio.run(_until_stopped(_forward(following, feed, target, secret, settings.webhook_timeout_seconds)))
    except following.FeedRefused as error:
        raise click.ClickException(f"{error}.") from error


async def _until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` until SIGINT or SIGTERM. What is being sent is through first."""
    loop = asyncio.get_running_loop()
    working = loop.create_task(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, working.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await working


async def _forward(following: ModuleType, feed: Any, target: str, secret: str, seconds: float) -> None:
    """Send each event on, one after the other, and print what came of it. Raises FeedRefused."""
    clock = system_world().clock
    sender = await http_sender(_ANYWHERE, seconds)()
    try:
        async with contextlib.aclosing(feed.follow()) as happened:
            async for each in happened:
                if isinstance(each, following.Event):
                    headers = {HEADER: signature(secret, clock(), each.body)}
                    outcome = await asyncio.shield(sender.send(target, each.body, headers))
                    _show(each.event, each.id, outcome)
                elif isinstance(each, following.Found):
                    _say("Ready.")
                else:
                    _say(f"Waits for the server: {each.reason}.")
    finally:
        await sender.close()


def _show(event: str, identity: str, outcome: Outcome) -> None:
    came = outcome.error if outcome.status is None else f"{outcome.status} in {outcome.latency_ms} ms"
    _say(f"{event}  {identity}  {click.style(came, fg='green' if outcome.delivered else 'red')}")


def _say(line: str) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')}  {line}")
    sys.stdout.flush()
