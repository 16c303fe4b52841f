"""`tenantry migrate`."""

import click

from tenantry.cli.common import settings_options, told_plainly
from tenantry.core.db import migrate as migrations
from tenantry.server import connect
from tenantry.settings import load


@click.command()
@settings_options("database")
def migrate(**options: str | None) -> None:
    """Bring the database's schema up to date."""
    with told_plainly():
        database = connect(load(options))
        try:
            applied = migrations.apply(database)
        finally:
            database.close()
    for step in applied:
        click.echo(f"applied {step.number:04d} {step.name}")
    click.echo("The database is up to date.")
