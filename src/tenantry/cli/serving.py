"""`tenantry dev` and `tenantry serve`."""

import importlib
import os
import signal
import sys
import threading
from pathlib import Path

import click
import msgspec

from tenantry import server
from tenantry.app import signing_key, target_policy, webhook_options
from tenantry.cli.common import migrated, settings_options, told_plainly, without_password
from tenantry.settings import Settings, load

_IN_MEMORY = "sqlite://"
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (what such an address is on this machine)
_THIS_MACHINE = "127.0.0.0/8, ::1/128"


@click.command(short_help="Serve for development, with a known key.")
@settings_options(
    *("database", "host", "port", "workers", "api_key", "log_format", "rate_limit"),
    *("seed", "dns_port", "profile", "universes", "universe_idle_seconds"),
)
@click.option(
    "--stop-with-stdin", is_flag=True, help="Stop when standard input ends: with the program that holds it."
)
def dev(*, stop_with_stdin: bool, **options: str | None) -> None:
    """Serve for development: migrates by itself, has a known key, and the lab (docs/lab.md)."""
    with told_plainly():
        if stop_with_stdin:
            threading.Thread(target=_stop_when_stdin_ends, daemon=True).start()
        settings = _reaching_this_machine(load(options))
        _check_settings(settings)
        if settings.workers > 1:
            raise click.ClickException(
                "`tenantry dev` is one process, which holds the lab: use --workers 1. `tenantry serve` takes more."
            )
        server.check_address(settings)
        server.check_dns_address(settings)
        # Named, not imported above: `tenantry serve` has nothing of the lab.
        lab = importlib.import_module("tenantry.dev")
        seed, left_out = lab.read_seed(settings.seed, Path())
        for warning in left_out:
            click.echo(f"Warning: {warning}.", err=True)
        with lab.prepared(settings, seed) as prepared:
            click.echo(_welcome(prepared.settings, None if seed is None else seed.file, prepared.ahead))
            lab.run(prepared, _reached_at(settings), readable_log=_readable(settings))


@click.command(short_help="Serve for production.")
@settings_options("database", "host", "port", "workers", "log_format", "rate_limit", "max_body_bytes")
def serve(**options: str | None) -> None:
    """Serve for production: the database is migrated and has keys already."""
    with told_plainly():
        settings = load(options)
        if settings.database == _IN_MEMORY:
            raise click.ClickException(
                "sqlite:// keeps nothing; only `tenantry dev` takes it. Give sqlite:///path."
            )
        _check_settings(settings)
        _check_workers(settings)
        with migrated(settings):
            server.check_address(settings)
        click.echo(f"Tenantry serves {_base_url(settings)}", err=True)
        server.run(settings, readable_log=_readable(settings))


def _stop_when_stdin_ends() -> None:
    """Stop as a signal would. A program that is killed stops nothing itself, but its end of a pipe is closed."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _check_workers(settings: Settings) -> None:
    if settings.workers > 1 and settings.database.startswith("sqlite:"):
        raise click.ClickException("SQLite has one writer: use --workers 1, or a postgresql:// database.")


def _check_settings(settings: Settings) -> None:
    signing_key(settings)
    target_policy(settings)
    webhook_options(settings)


def _reaching_this_machine(settings: Settings) -> Settings:
    """Return the settings with webhooks allowed to where a developer's receiver runs."""
    networks = ",".join(filter(None, (settings.webhook_allowed_networks, _THIS_MACHINE)))
    return msgspec.structs.replace(settings, webhook_http=True, webhook_allowed_networks=networks)


def _welcome(settings: Settings, seed: str | None, days_ahead: int) -> str:
    base_url = _reached_at(settings)
    shown = {
        "base URL": base_url,
        "API key": settings.api_key,
        "data": without_password(settings.database),
        "seed": seed,
        "profile": settings.profile if settings.profile != "open" else None,
        "clock": f"{days_ahead} days ahead, as the data is" if days_ahead else None,
        "reference": f"{base_url}/docs",
    }
    lines = "".join(f"    {name:<9} {value}\n" for name, value in shown.items() if value)
    key = f'-H "Authorization: Bearer {settings.api_key}"'
    return (
        f"\n  Tenantry for development\n\n{lines}\n"
        f"    curl {base_url}/organizations {key}\n\n"
        f"  A universe, with data and a clock of its own, for each test:\n\n"
        f"    curl -X POST {base_url}/tenantry/lab/universes {key}\n"
    )


def _base_url(settings: Settings) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}"


def _reached_at(settings: Settings) -> str:
    """Return where the server is reached from this machine, also when it listens at every address."""
    return _base_url(msgspec.structs.replace(settings, host=_EVERYWHERE.get(settings.host, settings.host)))


def _readable(settings: Settings) -> bool:
    return settings.log_format == "console" or (settings.log_format == "auto" and sys.stdout.isatty())
