"""`python -m bench audit`: audit log events a second, how soon they are sealed, and whether the chain is right."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

import click
import httpx
import msgspec

from bench import audit_events, command, measure, server
from bench.command import Place
from bench.load import SEED
from bench.measure import Figures
from bench.operations import Operation, Request
from bench.report import NAMES, Conditions, circumstances, rate_of, table, verdict
from tenantry.audit_logs import sealing
from tenantry.core.db import open_database
from tenantry.server import system_world

_CLIENTS = 64
_ORGANIZATIONS = 100
_BARS = {"sqlite": 4000, "postgres": 2000}
_SEALED_SECONDS = 60.0
_POLL_SECONDS = 0.05
_NOTE = (
    "Each event has an actor, one or two targets and metadata, and is checked by its action's schema. It is on"
    " disk when it is answered; the worker seals meanwhile."
)


class _Written(NamedTuple):
    """Whose events are written."""

    organizations: list[str]


def _write(written: _Written, random: Random) -> Request:
    event = audit_events.event(random, time.time_ns() // 1_000_000)
    body = {"organization_id": random.choice(written.organizations), "event": event}
    return Request("POST", "/audit_logs/events", msgspec.json.encode(body))


_WRITE = Operation("write", _write, writes=True)


class _Result(msgspec.Struct, frozen=True):
    """What was measured on one engine."""

    engine: str
    engine_version: str
    spread: Figures
    one: Figures
    seal_seconds: float
    verify_rate: float


@click.command()
@command.options
def audit(**given: Any) -> None:
    """Audit log events written by 64 clients, to many organizations and to one; their seals."""
    conditions = command.conditions("audit", {}, given)
    results = command.on_each_engine(given, lambda place: _measured(place, conditions))
    command.publish(_report(results, conditions), "audit.md")


def _measured(place: Place, conditions: Conditions) -> _Result:
    key = server.prepare(place.database)
    with server.serving(place.database, place.folder) as running:
        organizations = prepare(running, key, _ORGANIZATIONS)
        spread = _figures(running, key, organizations, conditions, place)
        click.echo(f"{place.engine:8}  to {_ORGANIZATIONS} organizations  {spread.rate:9,.0f}/s")
        one = _figures(running, key, organizations[:1], conditions, place)
        click.echo(f"{place.engine:8}  to one organization  {one.rate:9,.0f}/s")
        seal_seconds = _until_sealed(place.database)
    verify_rate = _verify(place.database)
    click.echo(f"{place.engine:8}  verified  {verify_rate:9,.0f}/s")
    return _Result(place.engine, server.version(place.engine), spread, one, seal_seconds, verify_rate)


def prepare(running: server.Server, key: str, count: int) -> list[str]:
    """Give each action its schema, and make organizations, without a domain to check; return their ids."""
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    with httpx.Client(base_url=running.base_url, headers=headers) as api:
        for action in audit_events.ACTIONS:
            path = f"/audit_logs/actions/{action}/schemas"
            api.post(path, content=audit_events.SCHEMA).raise_for_status()
        made = [api.post("/organizations", json={"name": f"Organization {index}"}) for index in range(count)]
    return [answer.raise_for_status().json()["id"] for answer in made]


def _figures(
    running: server.Server, key: str, organizations: list[str], conditions: Conditions, place: Place
) -> Figures:
    target = measure.Target(running.base_url, key, _Written(organizations))
    return measure.measure(
        target, _WRITE, _CLIENTS, conditions.seconds, conditions.repeats, place.folder, Random(SEED)
    )


def _until_sealed(database: str) -> float:
    """Return how many seconds it takes until everything is sealed, counted from the end of the last run."""
    started = time.monotonic()
    with contextlib.closing(open_database(database, system_world())) as opened:
        while opened.read(sealing.pending):
            if time.monotonic() - started > _SEALED_SECONDS:
                raise measure.MeasurementFailed("Events were not sealed in time.")
            time.sleep(_POLL_SECONDS)
    return time.monotonic() - started


def _verify(database: str) -> float:
    """Return how many events a second `tenantry audit verify` checks. Raises MeasurementFailed if one is wrong."""
    with contextlib.closing(open_database(database, system_world())) as opened:
        row = opened.read(lambda tx: tx.one("SELECT COUNT(*) FROM audit_log_seals"))
    assert row is not None
    started = time.monotonic()
    line = [sys.executable, "-m", "tenantry", "audit", "verify", "--database", database]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise measure.MeasurementFailed(f"{done.stdout}{done.stderr}")
    return int(row[0]) / (time.monotonic() - started)


def _report(results: Sequence[_Result], conditions: Conditions) -> str:
    parts = ["# Audit log events"]
    parts.append(circumstances([result.engine_version for result in results], conditions, _NOTE))
    for result in results:
        parts += [f"## {NAMES[result.engine]}", _table(result)]
        parts.append(
            f"All were sealed {result.seal_seconds:.1f} s after the last was written;"
            f" `tenantry audit verify` then found the chains right, {rate_of(result.verify_rate)} events a second."
        )
    parts += [f"## Bars: one worker, {_CLIENTS} clients", _bars(results)]
    return "\n\n".join(parts) + "\n"


def _table(result: _Result) -> str:
    rows = []
    for name, each in ((f"to {_ORGANIZATIONS} organizations", result.spread), ("to one organization", result.one)):
        rows.append([name, rate_of(each.rate), f"{each.p50_ms:.2f}", f"{each.p99_ms:.2f}"])
    return table(["written", "events/s", "p50", "p99"], rows)


def _bars(results: Sequence[_Result]) -> str:
    rows = []
    for result in results:
        bar = _BARS[result.engine]
        slower = min(result.spread.rate, result.one.rate)
        met = verdict(met=slower >= bar)
        rows.append([f"{NAMES[result.engine]}: durable events", f"≥ {bar:,}/s", f"{rate_of(slower)}/s", met])
    return table(["", "bar", "measured", ""], rows)
