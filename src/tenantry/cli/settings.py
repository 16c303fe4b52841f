"""`tenantry settings`."""

import click

from tenantry.cli.common import table, told_plainly
from tenantry.settings import describe, load


@click.command()
def settings() -> None:
    """Show every setting: its environment variable, its value now, what it is for."""
    with told_plainly():
        current = load()
    rows: list[tuple[object, ...]] = [
        (setting.variable, getattr(current, setting.name), setting.help) for setting in describe()
    ]
    table(("VARIABLE", "VALUE", "WHAT IT IS"), rows)
