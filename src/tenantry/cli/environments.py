"""`tenantry environments`."""

from collections.abc import Callable
from typing import TypeVar, get_args

import click

from tenantry.cli.common import migrated, settings_options, table, told_plainly
from tenantry.core.caller import DomainPolicy
from tenantry.environments import service
from tenantry.settings import load

Command = TypeVar("Command", bound=Callable[..., None])


def _domain_policy_option(*, required: bool) -> Callable[[Command], Command]:
    return click.option(
        "--domain-policy",
        type=click.Choice(get_args(DomainPolicy)),
        default=None if required else "exclusive",
        show_default=not required,
        required=required,
        help="Who may have a domain. unique: one organization, a second is refused (409). exclusive: any may"
        " claim it, one owns it, and a second that proves it opens a contest. shared: all that prove it.",
    )


@click.group(short_help="Environments: nothing crosses them.")
def environments() -> None:
    """Environments: spaces of their own, each with its keys; nothing crosses them."""


@environments.command("create")
@click.argument("name")
@click.option("--slug", help="The app's name in its customers' DNS records; made from NAME when not given.")
@_domain_policy_option(required=False)
@settings_options("database")
def create(name: str, slug: str | None, domain_policy: DomainPolicy, **options: str | None) -> None:
    """Create an environment called NAME."""
    with told_plainly(), migrated(load(options)) as database:
        row = database.write(
            lambda tx: service.create_environment(tx, name, slug=slug, domain_policy=domain_policy)
        )
    click.echo(f"Created {row.id}. Make it a key: tenantry keys create --environment '{row.name}' --name NAME")


@environments.command("update")
@click.argument("name")
@_domain_policy_option(required=True)
@settings_options("database")
def update(name: str, domain_policy: DomainPolicy, **options: str | None) -> None:
    """Change the environment called NAME; what its organizations have, they keep."""
    with told_plainly(), migrated(load(options)) as database:
        database.write(lambda tx: service.set_domain_policy(tx, name, domain_policy))
    click.echo(f"Domains in '{name}' are {domain_policy} from now on.")


@environments.command("list")
@settings_options("database")
def list_all(**options: str | None) -> None:
    """Show all environments."""
    with told_plainly(), migrated(load(options)) as database:
        rows = database.read(service.list_environments)
    table(
        ("ID", "NAME", "SLUG", "DOMAINS", "CREATED"),
        [(row.id, row.name, row.slug, row.domain_policy, row.created_at) for row in rows],
    )
