"""`tenantry environments`."""

import click

from tenantry.cli.common import migrated, settings_options, table, told_plainly
from tenantry.environments import service
from tenantry.settings import load


@click.group(short_help="Environments: nothing crosses them.")
def environments() -> None:
    """Environments: spaces of their own, each with its keys; nothing crosses them."""


@environments.command("create")
@click.argument("name")
@click.option("--slug", help="The app's name in its customers' DNS records; made from NAME when not given.")
@click.option("--exclusive-domains", is_flag=True, help="Let a domain belong to one organization only (409).")
@settings_options("database")
def create(name: str, slug: str | None, *, exclusive_domains: bool, **options: str | None) -> None:
    """Create an environment called NAME."""
    with told_plainly(), migrated(load(options)) as database:
        row = database.write(
            lambda tx: service.create_environment(tx, name, slug=slug, exclusive_domains=exclusive_domains)
        )
    click.echo(f"Created {row.id}. Make it a key: tenantry keys create --environment '{row.name}' --name NAME")


@environments.command("list")
@settings_options("database")
def list_all(**options: str | None) -> None:
    """Show all environments."""
    with told_plainly(), migrated(load(options)) as database:
        rows = database.read(service.list_environments)
    table(
        ("ID", "NAME", "SLUG", "DOMAINS", "CREATED"),
        [
            (row.id, row.name, row.slug, "exclusive" if row.exclusive_domains else "shared", row.created_at)
            for row in rows
        ],
    )
