"""`python -m bench.audit_reads`: pages and exports of one organization's audit log, in two steps.

`fill` makes a database that stays, since that takes minutes; `measure` reads from it.
"""

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Self

import click
import httpx
import msgspec

from bench import audit_events, audit_fill, measure, server
from bench.kept import warm
from bench.load import SEED
from bench.operations import Operation, Request
from bench.report import table, verdict
from tenantry.core.caller import Caller
from tenantry.core.clock import milliseconds_of, system_clock, timestamp
from tenantry.core.db import Transaction, open_database
from tenantry.environments import service as environments
from tenantry.server import system_world

_SHOWN_EVERY = 500_000
_PAGE_CLIENTS = 4
_OTHER_CLIENTS = 4
_MOST_PAGE_MS = 30.0
_MOST_EXPORT_SECONDS = 60.0
_MOST_SLOWDOWN = 2.0
_EXPORT_SECONDS = 600.0
_BESIDE_SECONDS = 3
_RUNS_BEFORE = 5
_MEBIBYTE = 1 << 20
_ENVIRONMENT = "bench"
_ORGANIZATION = "Audited"


class _Trail(msgspec.Struct, frozen=True):
    """An organization whose events are read, from the first to the last time of one."""

    organization_id: str
    first: int
    last: int


@click.group()
def main() -> None:
    """Pages and exports of one organization's audit log."""


@main.command()
@click.argument("database")
@click.option("--count", default=1_000_000, show_default=True, type=click.IntRange(10_000))
def fill(database: str, count: int) -> None:
    """Migrate DATABASE, an empty one, and write events of the last 300 days to it, sealed."""
    server.prepare(database)
    started = time.monotonic()
    with contextlib.closing(open_database(database, system_world())) as opened:
        caller = opened.read(_caller)
        for there in audit_fill.fill(opened, database, caller, _ORGANIZATION, count):
            if there % _SHOWN_EVERY == 1:
                click.echo(f"{there:,} events after {time.monotonic() - started:.0f} s")
    click.echo(f"{count:,} events, sealed, in {time.monotonic() - started:.0f} s")
    server.settle(database)


def _caller(tx: Transaction) -> Caller:
    row = environments.get_environment(tx, _ENVIRONMENT)
    return Caller(row.id, row.slug, row.domain_policy, "bench", "bench", read_only=False)


@main.command("measure")
@click.argument("database")
@click.option("--seconds", default=4, show_default=True, type=click.IntRange(1, 60), help="Length of each run.")
@click.option("--exports/--no-exports", default=True, show_default=True)
def measure_(database: str, seconds: int, *, exports: bool) -> None:
    """Time filtered pages of the events in DATABASE, and an export of all beside other requests."""
    key = server.new_key(database, _ENVIRONMENT)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        with server.serving(database, folder) as running:
            trail = _trail(database)
            warm(database)
            click.echo(_pages(running, key, trail, seconds, folder))
            if exports:
                click.echo(_export(running, database, key, trail, folder))


def _trail(database: str) -> _Trail:
    with contextlib.closing(open_database(database, system_world())) as opened:
        row = opened.read(
            lambda tx: tx.one(
                "SELECT id FROM organizations WHERE name = :name ORDER BY id LIMIT 1", name=_ORGANIZATION
            )
        )
    assert row is not None
    now = system_clock()()
    return _Trail(row[0], now - audit_fill.DAYS * audit_fill.DAY, now)


def _page(trail: _Trail, **query: str) -> Request:
    parts = {"organization_id": trail.organization_id, "limit": "50", "order": "desc"} | query
    return Request("GET", f"/tenantry/audit_logs/events?{httpx.QueryParams(parts)}")


def _moment(trail: _Trail, random: Random) -> str:
    return timestamp(random.randrange(trail.first, trail.last))


def _actor(random: Random) -> str:
    return f"user_{random.randrange(audit_events.ACTORS)}"


def _target(random: Random) -> str:
    return f"target_{random.randrange(audit_events.TARGETS)}"


_PAGES: dict[str, tuple[Callable[[_Trail, Random], Request], int]] = {
    "the newest": (lambda t, _r: _page(t), 50),
    "up to any time": (lambda t, r: _page(t, range_end=_moment(t, r)), 1),
    "an action, up to any time": (
        lambda t, r: _page(t, actions=r.choice(audit_events.ACTIONS), range_end=_moment(t, r)),
        1,
    ),
    "an actor": (lambda t, r: _page(t, actor_id=_actor(r)), 1),
    "a target": (lambda t, r: _page(t, target_id=_target(r)), 1),
    "a type of target": (lambda t, r: _page(t, target_type="team", range_end=_moment(t, r)), 1),
    "an actor's action on a type of target": (
        lambda t, r: _page(t, actor_id=_actor(r), actions="role.changed", target_type="team"),
        0,
    ),
    "a target and an actor": (lambda t, r: _page(t, target_id=_target(r), actor_id=_actor(r)), 0),
    "a name of an actor": (lambda t, r: _page(t, actor_name="Alpha Bravo", range_end=_moment(t, r)), 0),
    "a word": (lambda t, r: _page(t, search="FOXTROT", range_end=_moment(t, r)), 1),
    "a text that is nowhere": (lambda t, r: _page(t, search="nowhere", range_end=_moment(t, r)), 0),
}


_EXPORTS: dict[str, dict[str, Any]] = {
    "csv of all": {"format": "csv"},
    "ndjson of all, a chain": {"format": "ndjson"},
    "ndjson of an action": {"format": "ndjson", "actions": audit_events.ACTIONS[:1]},
}


def _pages(running: server.Server, key: str, trail: _Trail, seconds: int, folder: Path) -> str:
    rows, random = [], Random(SEED)
    for name, (request, fewest) in _PAGES.items():
        operation = Operation(name, request, fewest)
        target = measure.Target(running.base_url, key, trail)
        each = measure.measure(target, operation, _PAGE_CLIENTS, seconds, 1, folder, random)
        met = verdict(met=each.p99_ms < _MOST_PAGE_MS)
        rows.append([name, f"{each.rate:,.0f}", f"{each.p50_ms:.2f}", f"{each.p99_ms:.2f}", met])
    return table(
        [f"pages of 50, {_PAGE_CLIENTS} clients", "pages/s", "p50", "p99", f"< {_MOST_PAGE_MS:.0f} ms"], rows
    )


def _export(running: server.Server, database: str, key: str, trail: _Trail, folder: Path) -> str:
    """Return how long exports take beside other requests, what they cost in memory, and them."""
    target = measure.Target(running.base_url, key, trail)
    get: Operation[_Trail] = Operation("get", lambda t, _r: Request("GET", f"/organizations/{t.organization_id}"))
    headers = {"authorization": f"Bearer {key}"}
    run = partial(measure.measure, target, get, _OTHER_CLIENTS, folder=folder, random=Random(SEED))
    rows = []
    for name, chosen in _EXPORTS.items():
        warm(database)
        before = run(seconds=_BESIDE_SECONDS, repeats=_RUNS_BEFORE)
        with (
            httpx.Client(base_url=running.base_url, headers=headers, timeout=60) as api,
            _Memory(running) as memory,
        ):
            body = {
                "organization_id": trail.organization_id,
                "range_start": "2000-01-01T00:00:00Z",
                "range_end": "2100-01-01T00:00:00Z",
                **chosen,
            }
            export_id = api.post("/audit_logs/exports", json=body).raise_for_status().json()["id"]
            during, made = _beside(api, export_id, lambda: run(seconds=_BESIDE_SECONDS, repeats=1))
            took = (milliseconds_of(made["updated_at"]) - milliseconds_of(made["created_at"])) / 1000
            started = time.monotonic()
            lines, size = _downloaded(made["url"])
            download = time.monotonic() - started
        met = verdict(met=took < _MOST_EXPORT_SECONDS and during.p99_ms <= _MOST_SLOWDOWN * before.p99_ms)
        rows.append(
            [
                name,
                f"{lines:,}",
                f"{took:.1f} s",
                f"{size / _MEBIBYTE:,.0f} MiB in {download:.1f} s",
                f"{memory.before / _MEBIBYTE:.0f} → {memory.most / _MEBIBYTE:.0f} MiB",
                f"{before.p99_ms:.2f} → {during.p99_ms:.2f} ms",
                f"{before.rate:,.0f} → {during.rate:,.0f}/s",
                met,
            ]
        )
    head = [
        "export",
        "lines",
        "ready after",
        "file",
        "memory",
        f"get, {_OTHER_CLIENTS} clients: p99",
        "gets",
        "",
    ]
    return table(head, rows)


def _beside(
    api: httpx.Client, export_id: str, run: Callable[[], measure.Figures]
) -> tuple[measure.Figures, dict[str, Any]]:
    """Return the medians of the runs that were made while an export was, one after the other, and the export."""
    runs: list[measure.Figures] = []
    deadline = time.monotonic() + _EXPORT_SECONDS
    while time.monotonic() < deadline:
        runs.append(run())
        made: dict[str, Any] = api.get(f"/audit_logs/exports/{export_id}").raise_for_status().json()
        if made["state"] == "ready":
            return measure.medians(runs[:-1] or runs), made  # the last is only in part beside it
    raise measure.MeasurementFailed("The export was not ready in time.")


def _downloaded(url: str) -> tuple[int, int]:
    """Return how many lines and bytes are behind a link."""
    lines = size = 0
    with httpx.stream("GET", url, timeout=60) as answer:
        answer.raise_for_status()
        for chunk in answer.iter_bytes():
            lines += chunk.count(b"\n")
            size += len(chunk)
    return lines, size


class _Memory:
    """Watches how much memory a server has."""

    def __init__(self, running: server.Server) -> None:
        self._running = running
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.before = self.most = running.memory()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self.most = max(self.most, self._running.memory())


if __name__ == "__main__":
    main()
