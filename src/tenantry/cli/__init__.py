"""The command line: one file per command group; a command only calls a service."""

import click

from tenantry import __version__
from tenantry.cli.audit import audit
from tenantry.cli.database import migrate
from tenantry.cli.domains import domains
from tenantry.cli.environments import environments
from tenantry.cli.keys import keys
from tenantry.cli.metadata import metadata
from tenantry.cli.seed import seed
from tenantry.cli.serving import dev, serve
from tenantry.cli.settings import settings
from tenantry.cli.transfer import diff, export, import_
from tenantry.cli.webhooks import webhooks


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tenantry")
def main() -> None:
    """Tenantry: the organization directory that speaks the WorkOS wire protocol."""


for command in (
    *(dev, serve, migrate, environments, keys, domains, metadata, audit, webhooks),
    *(import_, export, diff, seed, settings),
):
    main.add_command(command)
