"""What every command needs: options from settings, a database, errors as one clear line."""

import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from tenantry.core.caller import Caller
from tenantry.core.db import Database, InvalidDatabaseUrl, Transaction, migrate
from tenantry.core.db.migrate import SchemaTooNew
from tenantry.core.errors import ApiError, ValidationFailed
from tenantry.environments import service as environments
from tenantry.server import AddressInUse, connect
from tenantry.settings import InvalidSettings, Settings, describe

_PASSWORD = re.compile(r"(?<=:)[^:/@]+(?=@)|(?<=password=)[^&]+")

_NO_UTF8 = "surrogates not allowed"
"""Why text cannot be encoded that Python made of an argument's bytes which are no text."""

Command = TypeVar("Command", bound=Callable[..., Any])

_NO_TERMINAL = (1 << 16, 24)
"""What is read by a program, not on a terminal, is as wide as it needs."""

_EXPECTED = (
    AddressInUse,
    ApiError,
    InvalidDatabaseUrl,
    InvalidSettings,
    SchemaTooNew,
    environments.EnvironmentExists,
    environments.InvalidSecret,
    environments.InvalidSlug,
    environments.UnknownEnvironment,
    environments.UnknownKey,
)


def settings_options(*names: str) -> Callable[[Command], Command]:
    """Give a command an option for each named setting."""
    described = {setting.name: setting for setting in describe()}

    def add(command: Command) -> Command:
        for name in reversed(names):
            setting = described[name]
            command = click.option(
                f"--{name.replace('_', '-')}",
                name,
                type=click.Choice(setting.choices) if setting.choices else str,
                help=f"{setting.help}  [{setting.variable}; default: {setting.default}]",
            )(command)
        return command

    return add


@contextmanager
def told_plainly() -> Iterator[None]:
    """Turn what can be expected to go wrong into one line on standard error and exit code 1."""
    try:
        yield
    except ValidationFailed as error:
        raise click.ClickException("; ".join(each.code for each in error.errors)) from error
    except _EXPECTED as error:
        raise click.ClickException(str(error)) from error
    except UnicodeEncodeError as error:
        if error.reason != _NO_UTF8:
            raise
        raise click.ClickException("An argument is not text in UTF-8.") from error


@contextmanager
def migrated(settings: Settings) -> Iterator[Database]:
    """Yield the database of `settings`. Ends the command when it is not migrated."""
    database = connect(settings)
    try:
        check_migrated(settings, database)
        yield database
    finally:
        database.close()


def check_migrated(settings: Settings, database: Database) -> None:
    """End the command, saying how to mend it, unless the database has had all migrations."""
    try:
        behind = migrate.pending(database)
    except ApiError as error:
        raise click.ClickException(f"{error} If the database is new, run: {_mend(settings)}") from error
    if behind:
        names = ", ".join(f"{step.number:04d} {step.name}" for step in behind)
        raise click.ClickException(f"The database lacks migrations: {names}. Run: {_mend(settings)}")


def _mend(settings: Settings) -> str:
    return f"tenantry migrate --database {shlex.quote(without_password(settings.database))}"


def owner(tx: Transaction, environment: str) -> Caller:
    """Return who acts in an environment by a command: its owner."""
    row = environments.get_environment(tx, environment)
    return Caller(row.id, row.slug, row.domain_policy, "command_line", "command line", read_only=False)


def without_password(address: str) -> str:
    """Return a database's address as it may be shown."""
    return _PASSWORD.sub("…", address)


def table(columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    """Print rows under their columns; on a terminal too narrow for that, each row as a block of lines."""
    lines = [columns, *(tuple(str(cell) for cell in row) for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    if sum(widths) + 2 * (len(widths) - 1) > shutil.get_terminal_size(fallback=_NO_TERMINAL).columns:
        _blocks(columns, lines[1:])
        return
    for line in lines:
        _aligned(line, widths)


def _blocks(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    width = max(len(column) for column in columns)
    for index, row in enumerate(rows):
        if index:
            click.echo()
        for line in zip(columns, row, strict=True):
            _aligned(line, [width, 0])


def _aligned(cells: tuple[str, ...], widths: list[int]) -> None:
    click.echo("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
