"""`tenantry keys`."""

import click

from tenantry.cli.common import migrated, settings_options, table, told_plainly
from tenantry.core.db import Transaction
from tenantry.environments import service
from tenantry.environments.store import KeyRow
from tenantry.settings import load


@click.group()
def keys() -> None:
    """API keys: each opens one environment."""


@keys.command("create")
@click.option("--environment", required=True, help="The environment that the key opens.")
@click.option("--name", required=True, help="What the key is for; log lines and events show it.")
@click.option("--read-only", is_flag=True, help="Refuse everything that changes something (403).")
@settings_options("database")
def create(environment: str, name: str, *, read_only: bool, **options: str | None) -> None:
    """Create a key and print it, this once."""

    def work(tx: Transaction) -> tuple[KeyRow, str]:
        return service.create_key(tx, service.get_environment(tx, environment), name, read_only=read_only)

    with told_plainly(), migrated(load(options)) as database:
        row, secret = database.write(work)
    click.echo(secret)
    click.echo(f"This is {row.id}. The key above is not kept and cannot be shown again.", err=True)


@keys.command("list")
@settings_options("database")
def list_all(**options: str | None) -> None:
    """Show all keys, without their secrets."""
    with told_plainly(), migrated(load(options)) as database:
        rows = database.read(service.list_keys)
    table(
        ("ID", "ENVIRONMENT", "NAME", "KEY", "ACCESS", "CREATED", "LAST USED", "REVOKED"),
        [_cells(row) for row in rows],
    )


def _cells(row: KeyRow) -> tuple[object, ...]:
    access = "read-only" if row.read_only else "full"
    shown = f"{row.prefix}…"
    used, revoked = row.last_used_at or "never", row.revoked_at or "no"
    return (row.id, row.environment, row.name, shown, access, row.created_at, used, revoked)


@keys.command("revoke")
@click.argument("key_id", metavar="ID")
@settings_options("database")
def revoke(key_id: str, **options: str | None) -> None:
    """Revoke the key ID: the next request with it is refused."""
    with told_plainly(), migrated(load(options)) as database:
        database.write(lambda tx: service.revoke_key(tx, key_id))
    click.echo(f"Revoked {key_id}.")
