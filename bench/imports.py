"""`python -m bench imports`: files taken in, written, compared by the commands that a user types; bulk creates."""

import http.client
import os
import statistics
import subprocess
import time
from collections.abc import Sequence
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import click
import msgspec

from bench import command, generate, server
from bench.command import Place
from bench.load import SEED
from bench.measure import MeasurementFailed
from bench.report import NAMES, Conditions, machine, rate_of, table, verdict
from tenantry.core.clock import timestamp
from tenantry.core.ids import ulid

_BEGINNING = 1_735_689_600_000  # 2025-01-01
_encode = msgspec.json.Encoder().encode
_DOMAINS_AT_MOST = 8
_BARS = {"sqlite": {"import": 20.0, "export": 10.0}, "postgres": {"import": 30.0, "export": 10.0}}
_BAR_COUNT = 100_000
_REQUESTS = 20
_IN_A_REQUEST = 1_000


class _Run(msgspec.Struct, frozen=True):
    """A command: how long it took from its start to its end, of that in its process, and its memory at most."""

    seconds: float
    processor_seconds: float
    kibibytes: int


class _Result(msgspec.Struct, frozen=True):
    """What the commands took on one engine, by what they did, and seconds of each request of many creates."""

    engine: str
    engine_version: str
    runs: dict[str, _Run]
    requests: list[float]


@click.command()
@click.option("--organizations", "count", default=_BAR_COUNT, show_default=True, type=click.IntRange(100))
@command.places
def imports(count: int, **given: Any) -> None:
    """Importing organizations from a file, the same file again, exporting and comparing them; bulk creates."""
    conditions = command.conditions("imports", {"organizations": count}, given)
    results = command.on_each_engine(given, lambda place: _measured(place, count))
    command.publish(_report(results, count, conditions), f"imports-{count}.md")


def _measured(place: Place, count: int) -> _Result:
    key = server.prepare(place.database)
    given, written = place.folder / "given.ndjson", place.folder / "written.ndjson"
    with given.open("wb") as file:
        _write(file, count)
    into = ("--environment", server.ENVIRONMENT, "--database", place.database)
    runs = {
        "import": _run(place, "import", str(given), *into),
        "import again": _run(place, "import", str(given), *into),
        "export": _run(place, "export", str(written), *into),
        # Fails where anything is not the same.
        "diff": _run(place, "diff", str(written), f"{place.database}#{server.ENVIRONMENT}"),
    }
    with written.open("rb") as file:
        found = sum(1 for _ in file)
    if found != count:
        raise MeasurementFailed(f"{found:,} of {count:,} organizations were there at the end")
    return _Result(place.engine, server.version(place.engine), runs, _requests(place, key, count))


def _write(file: BinaryIO, count: int) -> None:
    """Write organizations as an export has them, one made a millisecond."""
    file.writelines(_encode(_exported(index)) + b"\n" for index in range(count))


def _exported(index: int) -> dict[str, Any]:
    """Return what `bench.load` makes, as another directory has it."""
    made = generate.organization(SEED, index)
    milliseconds = _BEGINNING + index
    organization_id = f"org_{ulid(milliseconds, index)}"
    times = {"created_at": timestamp(milliseconds), "updated_at": timestamp(milliseconds)}
    return {
        "object": "organization",
        "id": organization_id,
        "name": made.name,
        "allow_profiles_outside_organization": False,
        "domains": [
            {
                "object": "organization_domain",
                "id": f"org_domain_{ulid(milliseconds, index * _DOMAINS_AT_MOST + place)}",
                "organization_id": organization_id,
                "domain": each.domain,
                "state": each.state,
                "verification_strategy": "dns" if each.state == "pending" else "manual",
                **times,
            }
            for place, each in enumerate(made.domain_data)
        ],
        "metadata": made.metadata,
        "external_id": made.external_id,
        **times,
    }


def _run(place: Place, *arguments: str) -> _Run:
    """Run a command as a user does, and return what it took. Raises ServerFailed."""
    log = place.folder / "command.log"
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen([server.TENANTRY, *arguments], stdout=output, stderr=output, cwd=place.folder)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise server.ServerFailed(f"tenantry {arguments[0]}: {log.read_text()}")
    return _Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)


def _requests(place: Place, key: str, first: int) -> list[float]:
    """Return how many seconds each of some requests took that create many, one after the other."""
    with server.serving(place.database, place.folder) as running:
        client = http.client.HTTPConnection(urlsplit(running.base_url).netloc)
        starts = range(first, first + _REQUESTS * _IN_A_REQUEST, _IN_A_REQUEST)
        return [_create_some(client, key, range(start, start + _IN_A_REQUEST)) for start in starts]


def _create_some(client: http.client.HTTPConnection, key: str, indexes: Sequence[int]) -> float:
    """Create organizations by one request; return how many seconds it took. Raises MeasurementFailed."""
    body = _encode({"organizations": [generate.organization(SEED, index) for index in indexes]})
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    started = time.perf_counter()
    client.request("POST", "/tenantry/organizations/bulk", body, headers)
    answer = client.getresponse()
    done = answer.read()
    seconds = time.perf_counter() - started
    if answer.status != 200 or not done.startswith(b'{"object":"bulk","failed":0,'):
        raise MeasurementFailed(f"a request of many creates was answered {answer.status}: {done[:200]!r}")
    return seconds


def _report(results: Sequence[_Result], count: int, conditions: Conditions) -> str:
    parts = [
        f"# Import and export of {count:,} organizations",
        machine([result.engine_version for result in results], conditions),
        _note(conditions),
        f"Make it again: `{conditions.command}`",
    ]
    header = ["", "seconds", "organizations/s", "processor seconds", "MiB at most", "bar", ""]
    for result in results:
        rows = [
            [name, *_cells(run, count), *_bar(result.engine, name, run, count)]
            for name, run in result.runs.items()
        ]
        parts += [f"## {NAMES[result.engine]}", table(header, rows), _bulk(result.requests)]
    return "\n\n".join(parts) + "\n"


def _note(conditions: Conditions) -> str:
    return (
        "Each is a command as a user types it, from its start to its end, once. The file holds the generator's"
        " organizations with ids and times, as an export has them. Memory is that of the command's process, and so"
        " is the processor time: a PostgreSQL server is another, on the same machine, whose load average was"
        f" {conditions.load_average:.1f} before."
    )


def _bulk(requests: Sequence[float]) -> str:
    rate = rate_of(len(requests) * _IN_A_REQUEST / sum(requests))
    return (
        f"{len(requests)} requests to `/tenantry/organizations/bulk` after that, one after the other, of"
        f" {_IN_A_REQUEST:,} creates each: {statistics.median(requests):.2f} s a request in the median,"
        f" {max(requests):.2f} s the slowest, {rate} organizations/s."
    )


def _cells(run: _Run, count: int) -> list[str]:
    return [
        f"{run.seconds:.1f}",
        rate_of(count / run.seconds),
        f"{run.processor_seconds:.1f}",
        f"{run.kibibytes / 1024:.0f}",
    ]


def _bar(engine: str, name: str, run: _Run, count: int) -> list[str]:
    seconds = _BARS[engine].get(name)
    if seconds is None or count != _BAR_COUNT:
        return ["", ""]
    return [f"{seconds:g} s", verdict(met=run.seconds < seconds)]
