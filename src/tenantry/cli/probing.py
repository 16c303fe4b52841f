"""`tenantry webhooks probe`."""

import asyncio
import shutil
import sys
from functools import partial

import click

from tenantry.cli.common import settings_options, told_plainly
from tenantry.core.addresses import networks
from tenantry.core.outgoing import Outcome, http_sender
from tenantry.core.targets import RefusedTarget, TargetPolicy, check_url
from tenantry.server import system_world
from tenantry.settings import load
from tenantry.webhooks.probe import Failure, Probe, Prober, Result, probes

# The policy keeps those who call a server from reaching through it what they cannot reach themselves.
# Whoever types a command can reach it anyway.
_ANYWHERE = TargetPolicy(http=True, networks=networks("0.0.0.0/0, ::/0"))

_WIDEST = 80
_INDENT = " " * 8
_LONGEST_SENT = 32
_LONGEST_ANSWER = 50
_ERASE = "\r\x1b[K"


@click.command(short_help="Check whether a receiver is right.")
@click.argument("url")
@click.option(
    "--secret",
    prompt="Secret",
    hide_input=True,
    help="What the receiver verifies signatures with. Asked for when not given.",
)
@settings_options("webhook_timeout_seconds")
def probe(url: str, secret: str, **options: str | None) -> None:
    """Check whether the receiver of webhooks at URL is right, and say how to mend it.

    Sends from here, without a server, what a receiver gets sooner or later: good events, wrong signatures, one
    event twice, two in the wrong order, a new name, awkward, large and slow bodies. The exit code is 0 when
    every answer is right.

    The events are about two organizations made up for it, each named "Tenantry probe" or the like. An app that
    keeps organizations will have them: probe one that is not in production.
    """
    with told_plainly():
        seconds = load(options).webhook_timeout_seconds
    try:
        check_url(url, _ANYWHERE)
    except RefusedTarget as error:
        raise click.ClickException(f"{url} cannot be probed: {error}.") from error
    results = asyncio.run(_probe(url, secret, seconds))
    if any(result.failure for result in results):
        sys.exit(1)


async def _probe(url: str, secret: str, seconds: float) -> list[Result]:
    world = system_world()
    sender = await http_sender(_ANYWHERE, seconds)()
    try:
        prober = Prober(sender, url, secret, world.clock, seconds)
        return await _run_all(prober, url, probes(world.clock(), world.entropy))
    finally:
        await sender.close()


async def _run_all(prober: Prober, url: str, planned: tuple[Probe, ...]) -> list[Result]:
    """Run the probes and print what comes of each; only the first when that fails."""
    results: list[Result] = []
    for each in planned:
        _show_progress(each, 0)
        result = await prober.run(each, partial(_show_progress, each))
        if not results:
            _begin(url, result)
        results.append(result)
        _show(result)
        if results[0].failure:
            break
    _end(results, planned)
    return results


def _show_progress(each: Probe, share: float) -> None:
    """Say on a terminal what is under way; the line of the result takes its place."""
    if sys.stdout.isatty():
        done = f"{share:.0%} sent" if share else ""
        click.echo(_ERASE + _line("...", each, done), nl=False)


def _begin(url: str, first: Result) -> None:
    """Print the columns. Ends the command when there was no answer at all."""
    if sys.stdout.isatty():
        click.echo(_ERASE, nl=False)
    (outcome,) = first.outcomes
    if outcome.status is None:
        raise click.ClickException(f"No answer from {url}: {outcome.error}.")
    click.echo(f"{_INDENT}{'SENT'.ljust(_LONGEST_SENT)}  WANTED  CAME BACK")


def _show(result: Result) -> None:
    failure = result.failure
    erased = _ERASE if sys.stdout.isatty() else ""
    came = ", ".join(_told(outcome) for outcome in result.outcomes)
    click.echo(erased + _line("FAIL" if failure else "pass", result.probe, came))
    if failure:
        _explain(failure)


def _line(mark: str, each: Probe, came: str) -> str:
    return f"  {mark:<4}  {each.sent:<{_LONGEST_SENT}}  {each.wanted:<6}  {came}".rstrip()


def _told(outcome: Outcome) -> str:
    return f"{outcome.status or 'none'} in {outcome.latency_ms} ms"


def _explain(failure: Failure) -> None:
    """Print beneath a line what the receiver said, and the mend."""
    outcome = failure.outcome
    if outcome.error:
        _print_wrapped(f"{outcome.error}.")
    if not outcome.delivered and (said := _readable(outcome.answer)):
        _print_wrapped(f"It said: {said}")
    _print_wrapped(failure.mend)


def _readable(answer: bytes) -> str:
    """Return the beginning of an answer on one line, without what a terminal would obey."""
    text = "".join(each if each.isprintable() else " " for each in answer.decode("utf-8", "replace"))
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_ANSWER else f"{line[:_LONGEST_ANSWER]}…"


def _end(results: list[Result], planned: tuple[Probe, ...]) -> None:
    """Print the score, and what is left to be looked up."""
    right = sum(result.failure is None for result in results)
    click.echo(f"\n{right} of {len(planned)}.")
    if len(results) < len(planned):
        click.echo("The others were not sent: they say little until a good event is taken.")
        return
    click.echo("\nAn answer does not tell what became of an event. Look in your app:")
    for each in planned:
        if each.unseen:
            _print_wrapped(each.unseen, "  ")


def _print_wrapped(text: str, indent: str = _INDENT) -> None:
    width = min(_WIDEST, shutil.get_terminal_size().columns)
    click.echo(click.wrap_text(text, width, initial_indent=indent, subsequent_indent=indent))
