"""`tenantry seed`: files that `tenantry dev` begins with. Named by `dev` and here, never by `serve`."""

import importlib
from pathlib import Path

import click

from tenantry.cli.common import migrated, settings_options, told_plainly
from tenantry.settings import load


@click.group(short_help="Seeds: what `tenantry dev` begins with.")
def seed() -> None:
    """Seeds: files of organizations, webhook endpoints, keys and faults that `tenantry dev` begins with."""


@seed.command("check")
@click.argument("file", default="")
def check(file: str) -> None:
    """Read FILE, or else the one that `dev` would find, and tell what is wrong with it."""
    dev = importlib.import_module("tenantry.dev")
    with told_plainly():
        found, left_out = dev.read_seed(file, Path())
    if found is None:
        raise click.ClickException("There is no seed in this folder. Name a file.")
    for warning in left_out:
        click.echo(f"Warning: {warning}.", err=True)
    click.echo(f"{found.file} can be used.")


@seed.command("export")
@click.option("--environment", help="Only this environment; all, with Development at the top, when not given.")
@settings_options("database")
def export(environment: str | None, **options: str | None) -> None:
    """Write what a database holds as a seed, to standard output.

    API keys are not in it, since only their hashes are kept.
    """
    main = importlib.import_module("tenantry.lab.seeds").MAIN_ENVIRONMENT
    seeding = importlib.import_module("tenantry.lab.seeding")
    with told_plainly(), migrated(load(options)) as database:
        exported = database.read(lambda tx: seeding.exported(tx, environment or main, others=environment is None))
    click.echo(seeding.written(exported), nl=False)
