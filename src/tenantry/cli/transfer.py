"""`tenantry import`, `tenantry export`, `tenantry diff`."""

import asyncio
import gc
import importlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, get_args

import click
import msgspec

from tenantry.app import domain_rules
from tenantry.cli.common import migrated, owner, settings_options, told_plainly, without_password
from tenantry.core.caller import Caller
from tenantry.core.db import Database
from tenantry.settings import Settings, load
from tenantry.transfer import progress, service
from tenantry.transfer.difference import Difference, differences, sorted_by_id
from tenantry.transfer.files import STANDARD, ClaimedState, CsvSource, NdjsonSource
from tenantry.transfer.progress import Checkpoint, Counts
from tenantry.transfer.service import Batch, Format
from tenantry.transfer.sources import DatabaseSource, Source, SourceFailed

Command = TypeVar("Command", bound=Callable[..., None])

_ACCOUNT = "workos"
_DATABASES = ("sqlite://", "postgresql://", "postgres://")
_SERVERS = ("http://", "https://")
_DOES_NOT_WORK = 2
_NEW_OBJECTS = 500_000  # between two looks for garbage: a batch has fewer

_PLACES = """\
  FILE.ndjson, FILE.csv   a file; - is standard input, as NDJSON
  workos                  a WorkOS account, opened by --key
  https://HOST            a server that speaks its API, as Tenantry does, by --key
  sqlite:///FILE#NAME     environment NAME of a database, also postgresql://…#NAME"""
_IMPORT = f"""\
Take organizations in from SOURCE, with their ids, times, domains, metadata and external ids.

\b
SOURCE is one of
{_PLACES}

Run it again at any time: what is the same stays as it is, and of two states the later counts. After an
interruption the same command goes on where it stopped. Every change makes its events, as a request does.
"""
_DIFF = f"""\
Tell which organizations of A and B are not the same, by id.

\b
Each is one of
{_PLACES}

A line for each: - is in A alone, + in B alone, ~ in both with other fields, which follow. What a CSV does not say
is not compared. Ends with 0 when all are the same, with 1 when not, with 2 when one cannot be read.
"""


class _Reading(msgspec.Struct, frozen=True):
    """How sources are read."""

    rate: float
    columns: dict[str, str]
    state: ClaimedState


def _reading_options(command: Command) -> Command:
    for option in reversed(
        (
            click.option(
                "--map",
                "columns",
                multiple=True,
                metavar="FIELD=COLUMN",
                help="CSV: the column of a field: name=Company, metadata.tier=Plan. Once for each.",
            ),
            click.option(
                "--domain-state",
                "state",
                type=click.Choice(get_args(ClaimedState)),
                default="pending",
                show_default=True,
                help="CSV: what new domains are: to be proved by DNS, or taken at your word.",
            ),
            click.option(
                "--requests-per-second",
                "rate",
                type=click.FloatRange(0.1, 1000),
                default=50.0,
                show_default=True,
                help="Most requests that a server is sent. WorkOS allows 100.",
            ),
        )
    ):
        command = option(command)
    return command


def _key_option(name: str, help_text: str) -> Callable[[Command], Command]:
    return click.option(name, envvar="WORKOS_API_KEY", show_envvar=True, help=help_text)


@click.command(
    "import", help=_IMPORT, short_help="Take organizations in from a file, an account or another server."
)
@click.argument("source", metavar="SOURCE")
@click.option("--environment", required=True, help="The environment that takes them in.")
@_key_option("--key", "The key of the account or server.")
@click.option("--dry-run", is_flag=True, help="Say what would come of it, and change nothing.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    default="tenantry-import-report.ndjson",
    show_default=True,
    help="Where to write what could not come, a line each, with the reason.",
)
@click.option(
    "--checkpoint",
    type=click.Path(dir_okay=False, path_type=Path),
    default="tenantry-import.checkpoint",
    show_default=True,
    help="Where to keep meanwhile how far it has come. Gone at the end.",
)
@_reading_options
@settings_options("database", "refuse_consumer_domains")
def import_(
    source: str,
    environment: str,
    key: str | None,
    *,
    dry_run: bool,
    report: Path,
    checkpoint: Path,
    rate: float,
    columns: tuple[str, ...],
    state: ClaimedState,
    **options: str | None,
) -> None:
    """Take organizations in from a source."""
    reading = _Reading(rate, _mapped(columns), state)
    # The program itself is not garbage, and what a batch is made of goes with the batch: to look through either
    # as batches come and go took a tenth of the time.
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
    with _told(), ExitStack() as stack:
        settings = load(options)
        database = stack.enter_context(migrated(settings))
        caller = _caller(database, environment)
        opened = stack.enter_context(_open(source, key, reading))
        target = f"{without_password(settings.database)}#{environment}"
        point = progress.load(checkpoint, opened.name, target)
        kept = None if dry_run or source == STANDARD else checkpoint
        if kept is None:
            point = Checkpoint(source=opened.name, target=target)
        elif point.cursor is not None:
            click.echo(f"Going on after {point.counts.records:,} that are done. From the start: rm {checkpoint}")
        rules = domain_rules(settings)
        batches = service.take_all(database, caller, opened, rules, after=point.cursor, dry_run=dry_run)
        written = _consume(batches, opened, point, report, kept)
    if kept is not None:
        kept.unlink(missing_ok=True)
    _tell(point.counts, dry_run=dry_run)
    if written:
        click.echo(f"{report} says what could not come, and why.")


def _consume(
    batches: Iterator[Batch], source: Source, point: Checkpoint, report: Path, checkpoint: Path | None
) -> bool:
    """Take note of each batch as it becomes durable; return whether there is a report."""
    goes_on = point.cursor is not None
    if not goes_on:
        report.unlink(missing_ok=True)
    with _meter("importing", source.total(), point.counts.records) as advance:
        for batch in batches:
            point.counts.add(batch)
            point.cursor = batch.cursor
            if lines := progress.report_of(batch):
                with report.open("ab") as file:
                    file.writelines(lines)
            if checkpoint is not None:
                progress.save(checkpoint, point)
            advance(len(batch.items))
    return report.exists()


def _tell(counts: Counts, *, dry_run: bool) -> None:
    if dry_run:
        click.echo("Nothing was changed. This would come of it:")
    for label, count in (
        ("created", counts.created),
        ("updated", counts.updated),
        ("unchanged", counts.unchanged),
        ("kept, changed here later", counts.kept),
        ("refused", counts.refused),
    ):
        click.echo(f"{count:>12,}  {label}")
    click.echo(f"{counts.records:>12,}  in all")
    if counts.domains_left_out:
        click.echo(f"{counts.domains_left_out:>12,}  domains left out")


@click.command(short_help="Write all organizations to a file.")
@click.argument("file")
@click.option("--environment", required=True, help="The environment to write.")
@click.option(
    "--format",
    "form",
    type=click.Choice(get_args(Format)),
    help="What to write. By the name of the file when not given; to standard output, ndjson.",
)
@settings_options("database")
def export(file: str, environment: str, form: Format | None, **options: str | None) -> None:
    """Write all organizations of an environment, as they are at one moment, to FILE; - is standard output.

    NDJSON holds everything, as the API shows it. CSV is for spreadsheets: of domains it has the names alone.
    """
    chosen = form or ("csv" if file.endswith(".csv") else "ndjson")
    with _told(), migrated(load(options)) as database:
        caller = _caller(database, environment)
        with _meter("exporting", None, 0) as advance, _written(file) as output:
            scan = database.read_soon(lambda tx: service.export(tx, caller, chosen, output, advance), scans=True)
            count = asyncio.run(_awaited(scan))
    click.echo(f"{count:,} organizations written to {'standard output' if file == STANDARD else file}.", err=True)


async def _awaited(work: Any) -> Any:
    return await work


@contextmanager
def _written(path: str) -> Iterator[BinaryIO]:
    """Yield a file that takes its name when it is whole."""
    if path == STANDARD:
        yield sys.stdout.buffer
        return
    beside = Path(path + ".part")
    with beside.open("wb") as file:
        yield file
    beside.replace(path)


@click.command(help=_DIFF, short_help="Tell where two places differ.")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@_key_option("--key-a", "The key of A, where that is an account or server.")
@_key_option("--key-b", "The key of B, likewise.")
@_reading_options
def diff(
    a: str,
    b: str,
    key_a: str | None,
    key_b: str | None,
    rate: float,
    columns: tuple[str, ...],
    state: ClaimedState,
) -> None:
    """Tell which organizations of two places are not the same."""
    reading = _Reading(rate, _mapped(columns), state)
    try:
        with _told(), ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tenantry-diff-")))
            sides = [
                stack.enter_context(sorted_by_id(stack.enter_context(_open(place, key, reading)), folder))
                for place, key in ((a, key_a), (b, key_b))
            ]
            differing = _show_all(differences(*sides))
    except click.ClickException as error:
        error.show()
        sys.exit(_DOES_NOT_WORK)
    sys.exit(1 if differing else 0)


def _show_all(found: Iterator[Difference | None]) -> int:
    counts = {"a": 0, "b": 0, "both": 0, "same": 0}
    for each in found:
        counts["same" if each is None else each.side] += 1
        if each is not None:
            _show(each)
    click.echo(
        f"{counts['same']:,} the same, {counts['both']:,} differ,"
        f" {counts['a']:,} only in A, {counts['b']:,} only in B.",
        err=True,
    )
    return counts["a"] + counts["b"] + counts["both"]


def _show(difference: Difference) -> None:
    mark = {"a": "-", "b": "+", "both": "~"}[difference.side]
    click.echo(f"{mark} {difference.id}")
    for field, (left, right) in difference.fields.items():
        click.echo(f"    {field}: {_json(left)} | {_json(right)}")


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


@contextmanager
def _told() -> Iterator[None]:
    """Turn what can be expected to go wrong into one line."""
    try:
        with told_plainly():
            yield
    except SourceFailed as error:
        raise click.ClickException(str(error)) from error


def _mapped(columns: tuple[str, ...]) -> dict[str, str]:
    pairs = [each.partition("=") for each in columns]
    for field, equals, column in pairs:
        if not (field and equals and column):
            raise click.BadParameter(f"'{field}{equals}{column}' is not FIELD=COLUMN.", param_hint="--map")
    return {field: column for field, _, column in pairs}


def _caller(database: Database, environment: str) -> Caller:
    return database.read(lambda tx: owner(tx, environment))


@contextmanager
def _open(place: str, key: str | None, reading: _Reading) -> Iterator[Source]:
    """Yield the source at a place. Ends the command when there is no such place."""
    if place.startswith(_DATABASES):
        address, _, environment = place.rpartition("#")
        if not address:
            raise click.ClickException(f"Say which environment: {without_password(place)}#NAME")
        with migrated(msgspec.structs.replace(Settings(), database=address)) as database:
            yield DatabaseSource(database, _caller(database, environment), without_password(place))
    elif place == _ACCOUNT or place.startswith(_SERVERS):
        with _remote(place, key, reading.rate) as source:
            yield source
    elif place.endswith(".csv"):
        yield CsvSource(place, reading.columns, reading.state)
    else:
        yield NdjsonSource(place)


@contextmanager
def _remote(place: str, key: str | None, rate: float) -> Iterator[Source]:
    if not key:
        raise click.ClickException(f"Give the key of {place} with --key or WORKOS_API_KEY.")
    try:
        # Named, not imported above: the SDK is installed by those who need it.
        remote = importlib.import_module("tenantry.transfer.remote")
    except ModuleNotFoundError as error:
        raise click.ClickException(
            "Reading from a server takes the SDK: pip install 'tenantry[workos]'"
        ) from error
    with closing(remote.RemoteSource(key, None if place == _ACCOUNT else place, rate)) as source:
        yield source


def _meter(label: str, total: int | None, done: int) -> Any:
    # Named, not imported above: no server needs it.
    return importlib.import_module("tenantry.cli.meter").meter(label, total, done)
