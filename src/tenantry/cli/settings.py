"""`tenantry settings`."""

import shutil
import textwrap

import click

from tenantry.cli.common import told_plainly, without_password
from tenantry.settings import Described, Settings, describe, load

_WIDEST = 100
_INDENT = "    "


@click.command()
def settings() -> None:
    """Show every setting: its variable and value, what it is for."""
    with told_plainly():
        current = load()
    click.echo("\n\n".join(_block(setting, current) for setting in describe()))


def _block(setting: Described, current: Settings) -> str:
    """Return a setting as a line that an environment file could hold, over its help."""
    value = str(getattr(current, setting.name))
    explained = setting.help if value == setting.default else f"{setting.help} Default: {setting.default}"
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    lines = textwrap.wrap(
        explained,
        width,
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join([f"{setting.variable}={without_password(value)}", *lines])
