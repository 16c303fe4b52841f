"""`tenantry audit`."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import click

from tenantry.app import signing_key
from tenantry.audit_logs import keys, stored, verify
from tenantry.audit_logs.seals import TrailNumber
from tenantry.audit_logs.verify import Broken, Checked
from tenantry.cli.audit_streams import streams
from tenantry.cli.common import migrated, settings_options, told_plainly
from tenantry.cli.meter import meter
from tenantry.core.db import Database, Transaction
from tenantry.environments import service as environments
from tenantry.settings import load

_TOLD_EVERY = 1000


@click.group(short_help="Audit logs: prove that nothing was changed; log streams.")
def audit() -> None:
    """Audit logs: prove that nothing was changed, the keys to prove it by, and log streams."""


audit.add_command(streams)


@audit.command("keys")
@settings_options("database", "audit_signing_key_file")
def list_keys(**options: str | None) -> None:
    """Print the public key of every key that audit logs were or will be signed with, as PEM.

    Makes the key, if there is none yet. Keep the output where whoever can change the database cannot.
    """
    with told_plainly():
        settings = load(options)
        given = signing_key(settings)
        with migrated(settings) as database:
            database.write(lambda tx: keys.signing_key(tx, given))
            known = database.read(keys.list_keys)
    for key in known.data:
        click.echo(f"# {key.id}, first used {key.created_at}")
        click.echo(key.public_key, nl=False)


@audit.command("verify")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--key",
    "key_files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with public keys, as `tenantry audit keys` prints them. Once for each.",
)
@click.option("--environment", help="Only this environment's organizations.")
@click.option("--organization", help="Only the organization with this id.")
@settings_options("database")
def verify_(
    file: Path | None,
    key_files: tuple[Path, ...],
    environment: str | None,
    organization: str | None,
    **options: str | None,
) -> None:
    """Check FILE, an export as NDJSON, or without one the database.

    Every event must be as it was sealed, and none missing, added or moved. The first that is not is
    named, and the command ends with 1. Without --key the database's own keys are taken, which whoever
    can change it could have changed too; FILE needs no database, so it needs --key.
    """
    known = _keys_of(key_files)
    if file is not None:
        if not known:
            raise click.UsageError("FILE needs --key: the public key that it was signed with.")
        _verify_file(file, known)
        return
    with told_plainly(), migrated(load(options)) as database:
        known = known or database.read(stored.public_keys)
        chosen = database.read(lambda tx: _chosen(tx, environment, organization))
        broken = _verify_all(database, chosen, known)
    if broken:
        raise SystemExit(1)


def _keys_of(files: Iterable[Path]) -> dict[str, bytes]:
    found = {}
    for file in files:
        try:
            for public in keys.all_public_from_pem(file.read_bytes()):
                found[keys.id_of(public)] = public
        except ValueError as error:
            raise click.ClickException(f"{file} {error}.") from error
    return found


def _verify_file(file: Path, known: dict[str, bytes]) -> None:
    with file.open("rb") as lines:
        try:
            checkpoints = verify.checkpoints_in(lines, known)
            lines.seek(0)
            with meter("Checking", None) as tell:
                checked = verify.check(_told(lines, tell), checkpoints)
        except Broken as broken:
            raise click.ClickException(str(broken)) from broken
    click.echo(_summary(checked))
    if checked.signed is None and checked.last:
        raise click.ClickException("Nothing is signed: whoever made the file could have made up all of it.")


def _told(lines: Iterable[bytes], tell: Callable[[int], None]) -> Iterator[bytes]:
    for number, line in enumerate(lines, 1):
        yield line
        if number % _TOLD_EVERY == 0:
            tell(_TOLD_EVERY)


def _chosen(tx: Transaction, environment: str | None, organization: str | None) -> list[TrailNumber]:
    environment_id = environments.get_environment(tx, environment).id if environment else None
    chosen = stored.trails(tx, environment_id, organization)
    if organization is not None and not chosen:
        raise click.ClickException(f"Organization {organization} has no audit log here.")
    return chosen


def _verify_all(database: Database, chosen: list[TrailNumber], known: dict[str, bytes]) -> bool:
    """Check each trail and tell of it; return whether one is broken."""
    broken = False
    with meter("Checking", sum(trail.length for trail in chosen)) as tell:
        for trail in chosen:
            try:
                work = partial(stored.check_trail, trail=trail, known=known, tell=tell)
                click.echo(_summary(asyncio.run(database.read_soon(work, scans=True))))
            except Broken as error:
                broken = True
                click.echo(f"{trail.organization_id}: BROKEN. {error}")
    if not chosen:
        click.echo("There are no audit logs.")
    return broken


def _summary(checked: Checked) -> str:
    parts = [f"{checked.events} events are as they were sealed"]
    if checked.filtered:
        parts.append("chosen by a filter, so it cannot be told whether others are missing")
    elif checked.last:
        parts.append(f"none is missing from {checked.first} to {checked.last}")
    if checked.removed:
        parts.append(f"{checked.removed} removed by retention")
    if checked.unsealed:
        parts.append(f"{checked.unsealed} not sealed yet, which nothing proves")
    signed = checked.signed
    parts.append(
        f"signed up to {signed.sequence} at {signed.time} by {signed.key_id}" if signed else "not signed yet"
    )
    return f"{checked.trail.organization_id}: {'; '.join(parts)}."
