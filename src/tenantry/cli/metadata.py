"""`tenantry metadata`."""

import time
from functools import partial

import click

from tenantry.cli.common import migrated, owner, settings_options, table, told_plainly
from tenantry.core import validation
from tenantry.core.db import Database
from tenantry.organizations import metadata_keys
from tenantry.organizations.wire import DeclareMetadataKey, MetadataKey
from tenantry.settings import load

_WAIT_SECONDS = 0.5
_WAITING = "Waiting for transactions that began before the key was declared. pg_stat_activity shows them."


@click.group(short_help="Metadata: keys to query by, and their rules.")
def metadata() -> None:
    """Metadata: keys that lists are queried by, and the rules that their values keep to."""


@metadata.command("declare")
@click.argument("key")
@click.option("--environment", required=True, help="The environment whose organizations have the key.")
@click.option("--unique", is_flag=True, help="No two organizations may have the same value.")
@click.option("--value", "values", multiple=True, help="A value allowed, once for each; any if not given.")
@settings_options("database")
def declare(key: str, environment: str, *, unique: bool, values: tuple[str, ...], **options: str | None) -> None:
    """Have KEY indexed, and its values keep to a rule; check all organizations first.

    Where some break the rule they are shown, the rule is off, and the command ends with 1: mend them
    and declare the key again.
    """
    with told_plainly(), migrated(load(options)) as database:
        given = {"unique": unique, "values": list(values) or None}
        body = validation.convert(given, DeclareMetadataKey, strict=True)
        database.write(lambda tx: metadata_keys.declare(tx, owner(tx, environment), key, body))
        declared = _checked(database, environment, key)
    if declared.state == "refused":
        _show_violations(declared)
        count = declared.violation_count
        raise click.ClickException(
            f"{count} organizations break the rule, so it is off. Mend them and declare again."
        )
    click.echo(f"'{key}' is ready: {declared.checked} organizations checked.")


def _checked(database: Database, environment: str, key: str) -> MetadataKey:
    """Check all organizations, or wait for a server that does; return what came of it."""
    caller = database.read(lambda tx: owner(tx, environment))
    advance = partial(metadata_keys.advance, environment_id=caller.environment_id, key=key)
    told = False
    while True:
        goes_on = database.write(advance)
        declared = database.read(lambda tx: metadata_keys.get(tx, caller, key))
        if declared.state != "checking":
            return declared
        if not goes_on:
            if not told:
                click.echo(_WAITING, err=True)
                told = True
            time.sleep(_WAIT_SECONDS)


def _show_violations(declared: MetadataKey) -> None:
    table(
        ("ORGANIZATION", "VALUE", "HAS IT ALREADY"),
        [(each.organization_id, each.value, each.holder_id or "") for each in declared.violations],
    )


@metadata.command("list")
@click.option("--environment", required=True, help="The environment whose keys are meant.")
@settings_options("database")
def list_all(environment: str, **options: str | None) -> None:
    """Show the declared keys."""
    with told_plainly(), migrated(load(options)) as database:
        page = database.read(lambda tx: metadata_keys.list_all(tx, owner(tx, environment)))
    table(
        ("KEY", "STATE", "UNIQUE", "VALUES", "CHECKED", "VIOLATIONS"),
        [
            (
                each.key,
                each.state,
                "yes" if each.unique else "no",
                "any" if each.values is None else ", ".join(each.values),
                each.checked,
                each.violation_count,
            )
            for each in page.data
        ],
    )


@metadata.command("remove")
@click.argument("key")
@click.option("--environment", required=True, help="The environment whose key is meant.")
@settings_options("database")
def remove(key: str, environment: str, **options: str | None) -> None:
    """Declare KEY no more. A running server takes its index down."""
    with told_plainly(), migrated(load(options)) as database:
        database.write(lambda tx: metadata_keys.remove(tx, owner(tx, environment), key))
    click.echo(f"'{key}' is declared no more.")
