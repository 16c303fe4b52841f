"""`tenantry import`, `tenantry export`, `tenantry diff`."""

import asyncio
import errno
import gc
import importlib
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, get_args

import click
import msgspec

from tenantry.app import domain_rules
from tenantry.cli.common import migrated, owner, settings_options, told_plainly, without_password
from tenantry.cli.interruption import Interruptible
from tenantry.core.caller import Caller
from tenantry.core.db import Database
from tenantry.core.db.connect import sqlite_path
from tenantry.organizations import service as organizations
from tenantry.settings import Settings, load
from tenantry.transfer import output, progress, service
from tenantry.transfer.difference import Difference, differences, sorted_by_id
from tenantry.transfer.files import FIELDS, METADATA, STANDARD, ClaimedState, CsvSource, NdjsonSource, is_field
from tenantry.transfer.progress import Checkpoint, Counts, NotACheckpoint, Report
from tenantry.transfer.service import Batch, Format
from tenantry.transfer.sources import DatabaseSource, Item, Source, SourceFailed

Command = TypeVar("Command", bound=Callable[..., None])

_ACCOUNT = "workos"
_DATABASES = ("sqlite://", "postgresql://", "postgres://")
_SERVERS = ("http://", "https://")
_DOES_NOT_WORK = 2
_REPORT = Path("tenantry-import-report.ndjson")
_DRY_REPORT = Path("tenantry-import-dry-run.ndjson")
_TOLD_EVERY = 500
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
                help="CSV: what new domains are: to be proved by DNS, or taken at your word.  [default: pending]",
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
    type=click.Path(path_type=Path),
    help="Where to write what could not come, a line each, with the reason."
    f"  [default: {_REPORT}; of a dry run {_DRY_REPORT}]",
)
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
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
    report: Path | None,
    checkpoint: Path,
    rate: float,
    columns: tuple[str, ...],
    state: ClaimedState | None,
    **options: str | None,
) -> None:
    """Take organizations in from a source."""
    reading = _reading(rate, columns, state, source)
    told = report or (_DRY_REPORT if dry_run else _REPORT)
    # The program itself is not garbage, and what a batch is made of goes with the batch: to look through either
    # as batches come and go took a tenth of the time.
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
    with _told(), ExitStack() as stack:
        settings = load(options)
        _check_outputs(
            {"the source": _file_of(source), "the database": _file_of(settings.database)},
            {"--report": told, "--checkpoint": checkpoint},
        )
        database = stack.enter_context(migrated(settings))
        caller = _caller(database, environment)
        opened = Interruptible(stack.enter_context(_open(source, key, reading)))
        # A database that was made anew has other environments.
        target = f"{without_password(settings.database)}#{caller.environment_id}"
        point = Checkpoint(source=opened.name, target=target, report=str(told.resolve()))
        kept = None if dry_run or not opened.lasts else checkpoint
        if dry_run:
            _check_report(told, checkpoint)
        elif kept is not None:
            point = _held(kept, point)
        rules = domain_rules(settings)
        batches = service.take_all(database, caller, opened, rules, after=point.cursor, dry_run=dry_run)
        lines = Report(told, goes_on=point.cursor is not None)
        try:
            with opened.heard(), lines:
                _consume(batches, opened, point, lines, kept)
        except BaseException:
            _tell_so_far(point, lines, told, dry_run=dry_run, goes_on=kept is not None)
            raise
        if kept is not None:
            progress.remove(kept)
    if dry_run:
        click.echo("Nothing was changed. This would come of it:")
    _tell(point.counts)
    _name(told, lines)


def _check_outputs(read: dict[str, Path | None], to_write: dict[str, Path]) -> None:
    """End the command when something cannot be written, or would be over what is read or is written besides."""
    taken = [(name, path) for name, path in read.items() if path is not None]
    for name, path in to_write.items():
        output.check_writable(path)
        if output.is_stream(path):
            continue
        places = [path, output.part_of(path)]
        for other, place in taken:
            if any(_is_same(each, place) for each in places):
                raise click.ClickException(f"{name} {path} would be written over {other}. Name another file.")
        taken += [(name, place) for place in places]


def _is_same(one: Path, other: Path) -> bool:
    return output.real(one) == output.real(other) or (one.exists() and other.exists() and one.samefile(other))


def _file_of(place: str) -> Path | None:
    """Return the file that a place is, if it is one."""
    if place == STANDARD:
        return Path("/dev/stdin")
    if place.startswith(_DATABASES):
        return sqlite_path(place) if place.startswith("sqlite") else None
    return None if _is_remote(place) else Path(place)


def _held(checkpoint: Path, new: Checkpoint) -> Checkpoint:
    """Return the checkpoint that is there, when it is of the same import; else the new one."""
    held = progress.load(checkpoint)
    if held is None or held.cursor is None or (held.source, held.target) != (new.source, new.target):
        return new
    click.echo(f"Going on after {held.counts.records:,} that are done. From the start: rm {checkpoint}")
    held.report = new.report
    return held


def _check_report(report: Path, checkpoint: Path) -> None:
    """End a dry run that would write over the report of an import that is not done."""
    try:
        held = progress.load(checkpoint)
    except NotACheckpoint:
        return
    if held is not None and held.report == str(report.resolve()):
        raise click.ClickException(f"{report} is of an import that is not done. Name another with --report.")


def _consume(
    batches: Iterator[Batch], source: Source, point: Checkpoint, report: Report, checkpoint: Path | None
) -> None:
    """Take note of each batch as it becomes durable."""
    with _meter("importing", source.total, point.counts.records) as advance:
        for batch in batches:
            point.counts.add(batch)
            point.cursor = batch.cursor
            report.add(batch)
            if checkpoint is not None:
                progress.save(checkpoint, point)
            advance(len(batch.items), source.position())


def _tell_so_far(point: Checkpoint, lines: Report, report: Path, *, dry_run: bool, goes_on: bool) -> None:
    """Tell what came of an import that ends before its end, and what to do."""
    if point.cursor is None:
        return
    click.echo("Nothing was changed. So far this would come of it:" if dry_run else "So far:")
    _tell(point.counts)
    _name(report, lines)
    if goes_on:
        click.echo("Run the same command to go on.")
    elif not dry_run:
        click.echo("Run the same command to begin again: what came stays as it is.")


def _name(report: Path, lines: Report) -> None:
    if lines.holds_lines:
        click.echo(f"{report} says what could not come, and why.")


def _tell(counts: Counts) -> None:
    for label, number in (
        ("created", counts.created),
        ("updated", counts.updated),
        ("unchanged", counts.unchanged),
        ("kept, changed here later", counts.kept),
        ("refused", counts.refused),
    ):
        click.echo(f"{number:>12,}  {label}")
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
    with _told():
        settings = load(options)
        if file != STANDARD:
            _check_outputs({"the database": _file_of(settings.database)}, {"FILE": Path(file)})
        with migrated(settings) as database:
            written = _export(database, _caller(database, environment), chosen, file)
    click.echo(
        f"{written:,} organizations written to {'standard output' if file == STANDARD else file}.", err=True
    )


def _export(database: Database, caller: Caller, form: Format, file: str) -> int:
    total = partial(database.read, partial(organizations.count, caller=caller))
    with _meter("exporting", total, 0) as advance, _written(file) as opened:
        scan = database.read_soon(lambda tx: service.export(tx, caller, form, opened, advance), scans=True)
        written: int = asyncio.run(_awaited(scan))
    return written


async def _awaited(work: Any) -> Any:
    return await work


@contextmanager
def _written(path: str) -> Iterator[BinaryIO]:
    """Yield a file that takes its name when it is whole."""
    if path == STANDARD:
        yield sys.stdout.buffer
        return
    with output.written(Path(path)) as file:
        yield file


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
    state: ClaimedState | None,
) -> None:
    """Tell which organizations of two places are not the same."""
    reading = _reading(rate, columns, state, a, b)
    try:
        with _told():
            differing = _compare((("A", a, key_a), ("B", b, key_b)), reading)
    except click.ClickException as error:
        error.show()
        sys.exit(_DOES_NOT_WORK)
    except BrokenPipeError:
        # Whoever read has seen enough; nothing is left to say, and the rest has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_DOES_NOT_WORK)
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        sys.exit(_DOES_NOT_WORK)
    except Exception:  # noqa: BLE001 (ended by it, the command would say that they differ)
        traceback.print_exc()
        sys.exit(_DOES_NOT_WORK)
    sys.exit(1 if differing else 0)


def _compare(places: tuple[tuple[str, str, str | None], ...], reading: _Reading) -> int:
    """Show how two places differ; return in how many organizations."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tenantry-diff-")))
        sides = []
        for name, place, key in places:
            source = _Watched(f"reading {name}", stack.enter_context(_open(place, key, reading)))
            sides.append(stack.enter_context(sorted_by_id(source, folder)))
        return _show_all(stack.enter_context(closing(differences(*sides))))


class _Watched:
    """A source that shows how far it is read."""

    def __init__(self, label: str, source: Source) -> None:
        self._label = label
        self._source = source
        self.name = source.name
        self.lasts = source.lasts
        self.total = source.total
        self.position = source.position

    def items(self, after: str | None) -> Iterator[Item]:
        with _meter(self._label, self.total, 0) as advance:
            for number, item in enumerate(self._source.items(after), 1):
                yield item
                if number % _TOLD_EVERY == 0:
                    advance(_TOLD_EVERY, self.position())


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
    except (SourceFailed, NotACheckpoint) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        where = "" if error.filename is None else f"{error.filename}: "
        raise click.ClickException(f"{where}{error.strerror or error}.") from error


def _reading(rate: float, columns: tuple[str, ...], state: ClaimedState | None, *places: str) -> _Reading:
    """Return how the places are read. Ends the command when an option is not said rightly, or without use."""
    if not any(_is_table(place) for place in places):
        none = f"is for CSV, and {' and '.join(places)} is none."
        if columns:
            raise _wrong_map(none)
        if state is not None:
            raise click.BadParameter(none, param_hint="--domain-state")
    return _Reading(rate, _mapped(columns), state or "pending")


def _mapped(columns: tuple[str, ...]) -> dict[str, str]:
    """Return the column of each field. Ends the command when one is not said rightly."""
    mapped: dict[str, str] = {}
    for each in columns:
        field, equals, column = each.partition("=")
        if not (field and equals and column):
            raise _wrong_map(f"'{each}' is not FIELD=COLUMN.")
        if not is_field(field):
            raise _wrong_map(f"there is no field '{field}'. There are {', '.join(FIELDS)} and {METADATA}KEY.")
        if field in mapped:
            raise _wrong_map(f"'{field}' is named twice: one column for each field.")
        mapped[field] = column
    return mapped


def _wrong_map(reason: str) -> click.BadParameter:
    return click.BadParameter(reason, param_hint="--map")


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
            caller = _caller(database, environment)
            yield DatabaseSource(database, caller, f"{without_password(address)}#{caller.environment_id}")
    elif _is_remote(place):
        with _remote(place, key, reading.rate) as source:
            yield source
    elif _is_table(place):
        yield CsvSource(place, reading.columns, reading.state)
    else:
        yield NdjsonSource(place)


def _is_remote(place: str) -> bool:
    return place == _ACCOUNT or place.lower().startswith(_SERVERS)


def _is_table(place: str) -> bool:
    return place.endswith(".csv") and not (place.startswith(_DATABASES) or _is_remote(place))


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
    address = None if place == _ACCOUNT else place
    with closing(remote.RemoteSource(key, address, rate, partial(click.echo, err=True))) as source:
        yield source


def _meter(label: str, total: Callable[[], int | None], done: int) -> Any:
    # Named, not imported above: no server needs it. To count takes its time, for a bar that nobody sees.
    return importlib.import_module("tenantry.cli.meter").meter(
        label, total() if sys.stderr.isatty() else None, done
    )
