"""`tenantry domains`."""

import asyncio
import shutil
import textwrap
from functools import partial

import click

from tenantry.app import resolver_options
from tenantry.cli.common import migrated, settings_options, table, told_plainly
from tenantry.core.clock import system_clock
from tenantry.core.db import Transaction
from tenantry.domains import ownership
from tenantry.domains.checker import dns_asker
from tenantry.domains.examine import Examination, ResolverOptions, examine
from tenantry.domains.names import InvalidDomain, spelling
from tenantry.domains.ownership import Provable
from tenantry.domains.questions import Question
from tenantry.domains.records import Expected
from tenantry.environments import service as environments
from tenantry.settings import load

_LONGEST_ANSWER = 60
# A record to publish is copied from here: it must stay on one line.
_WRAPPED = partial(
    textwrap.TextWrapper,
    initial_indent="  ",
    subsequent_indent="  ",
    break_on_hyphens=False,
    break_long_words=False,
)
_WIDEST = 100


@click.group(short_help="Domains: why one is not verified.")
def domains() -> None:
    """Domains: what the DNS says about one, and what to do."""


@domains.command("doctor")
@click.argument("domain")
@click.option("--environment", help="Only claims in this environment.")
@settings_options("database", "dns_servers", "dns_timeout_seconds", "dns_allowed_networks")
def doctor(domain: str, environment: str | None, **options: str | None) -> None:
    """Ask the DNS about DOMAIN now, and say what is so and what to do.

    Changes nothing. Ends with 1 unless every claim to the domain is proved.
    """
    with told_plainly():
        settings = load(options)
        asking = resolver_options(settings)
        with migrated(settings) as database:
            claims = database.read(lambda tx: _claims(tx, _named(domain), environment))
    if not claims:
        raise click.ClickException(f"No organization has {domain} to prove. Create the domain first.")
    examinations = asyncio.run(_examine_all(asking, [each.expected for _, each in claims]))
    for (name, claim), examination in zip(claims, examinations, strict=True):
        _show(name, claim, examination)
    if not all(examination.found for examination in examinations):
        raise SystemExit(1)


def _named(text: str) -> str:
    try:
        return spelling(text)
    except InvalidDomain as error:
        raise click.ClickException(f"DOMAIN {error}.") from error


def _claims(tx: Transaction, domain: str, environment: str | None) -> list[tuple[str, Provable]]:
    rows = environments.list_environments(tx)
    chosen = [environments.get_environment(tx, environment)] if environment else rows
    return [(row.name, each) for row in chosen for each in ownership.list_provable(tx, row.id, row.slug, domain)]


async def _examine_all(options: ResolverOptions, wanted: list[Expected]) -> list[Examination]:
    asker = await dns_asker(options)()
    return [await examine(asker, expected, system_clock()) for expected in wanted]


def _show(environment: str, claim: Provable, examination: Examination) -> None:
    verdict, expected = examination.verdict, claim.expected
    width = min(_WIDEST, shutil.get_terminal_size().columns)
    click.echo(f"{expected.domain}  {claim.domain.state}, of {claim.domain.organization_id} in '{environment}'\n")
    for text in (verdict.sentence, verdict.mend):
        click.echo(_WRAPPED(width=width).fill(text))
    click.echo()
    table(
        ("ASKED", "OF", "ANSWER"),
        [(f"{each.name} {each.type}", _server(each), _answer(each)) for each in examination.questions],
    )
    click.echo()


def _server(question: Question) -> str:
    of = f" ({question.authority})" if question.authority else ""
    return f"{question.server or '-'}{of}"


def _answer(question: Question) -> str:
    if question.rcode is None:
        return question.error or "-"
    values = "; ".join(f"{each.type} {each.value}" for each in question.answers)
    shown = values if len(values) <= _LONGEST_ANSWER else values[:_LONGEST_ANSWER] + "…"
    return f"{question.rcode}{': ' + shown if shown else ''}"
