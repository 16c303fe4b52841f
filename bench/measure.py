"""Measures one operation of any server that speaks the wire, with wrk."""

import contextlib
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Generic

import httpx
import msgspec

from bench.operations import L, Operation, Request

_SCRIPT = Path(__file__).parent / "wrk" / "replay.lua"
_PREPARED_PER_SECOND = 20_000
_ANSWER_SECONDS = 30
GRACE_SECONDS = 30
_SHOWN_CHARACTERS = 300
_PACED_CLIENTS = 32
_LEAD_SECONDS = 0.5


class MeasurementFailed(Exception):
    """What was measured is not the operation: wrong answers, broken connections, too few requests."""


class WrkMissing(Exception):
    """The load client is not there."""

    def __init__(self) -> None:
        super().__init__("The benchmark needs wrk. Install it: apt-get install wrk")


class Figures(msgspec.Struct, frozen=True):
    """Answers a second, and how many milliseconds half and 99 in 100 of them took."""

    rate: float
    p50_ms: float
    p99_ms: float


class _Run(msgspec.Struct, frozen=True):
    """What the script prints at its end."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    refused: int
    broken: int
    timed_out: int


class Target(msgspec.Struct, Generic[L], frozen=True):
    """A server, a key, and what was loaded there."""

    base_url: str
    key: str
    loaded: L


def wrk() -> str:
    """Return the path of wrk. Raises WrkMissing."""
    path = shutil.which("wrk")
    if path is None:
        raise WrkMissing
    return path


def measure(
    target: Target[L],
    operation: Operation[L],
    connections: int,
    seconds: int,
    repeats: int,
    folder: Path,
    random: Random,
) -> Figures:
    """Return the medians of `repeats` runs. Raises MeasurementFailed."""
    return medians([once(target, operation, connections, seconds, folder, random) for _ in range(repeats)])


def once(
    target: Target[L],
    operation: Operation[L],
    connections: int,
    seconds: int,
    folder: Path,
    random: Random,
    meanwhile: contextlib.AbstractContextManager[object] | None = None,
) -> Figures:
    """Return the figures of one run, within `meanwhile` while the requests are sent. Raises MeasurementFailed."""
    _check(target, operation, random)
    requests = folder / "requests.tsv"
    prepared = seconds * _PREPARED_PER_SECOND
    _write(requests, (operation.request(target.loaded, random) for _ in range(prepared)))
    with meanwhile or contextlib.nullcontext():
        run = _run(target, operation.name, connections, seconds, requests)
    _accept(run, operation, connections, prepared)
    # An answer to one more says that those which wrk left behind are done with.
    _check(target, operation, random)
    return Figures(run.requests / run.seconds, run.p50_ms, run.p99_ms)


@contextlib.contextmanager
def paced(
    target: Target[L],
    operation: Operation[L],
    rate: float,
    seconds: int,
    folder: Path,
    random: Random,
    reached: list[float],
) -> Iterator[None]:
    """Send an operation at a steady rate meanwhile; `reached` is given the rate that there was.

    It begins half a second before, and ends half a second after what lasts `seconds`. Raises MeasurementFailed.
    """
    requests = folder / "paced.tsv"
    lasting = seconds + 1
    _write(requests, (operation.request(target.loaded, random) for _ in range(int(lasting * rate) + 1)))
    runs: list[_Run] = []
    sending = threading.Thread(
        target=lambda: runs.append(_run(target, operation.name, _PACED_CLIENTS, lasting, requests, rate))
    )
    sending.start()
    time.sleep(_LEAD_SECONDS)
    try:
        yield
    finally:
        sending.join()
    if not runs or runs[0].refused or runs[0].broken or runs[0].timed_out:
        raise MeasurementFailed(f"{operation.name}, {rate:.0f} a second: {runs}")
    reached.append(runs[0].requests / runs[0].seconds)


def medians(runs: Sequence[Figures]) -> Figures:
    """Return the median of each figure."""
    return Figures(
        statistics.median(run.rate for run in runs),
        statistics.median(run.p50_ms for run in runs),
        statistics.median(run.p99_ms for run in runs),
    )


def _check(target: Target[L], operation: Operation[L], random: Random) -> None:
    """Send one request and look at its answer."""
    request = operation.request(target.loaded, random)
    headers = {"authorization": f"Bearer {target.key}"}
    if request.body:
        headers["content-type"] = "application/json"
    url = target.base_url + request.path
    answer = httpx.request(
        request.method, url, content=request.body or None, headers=headers, timeout=_ANSWER_SECONDS
    )
    told = f"{operation.name}: {request.method} {request.path} gave {answer.status_code}"
    if not answer.is_success:
        raise MeasurementFailed(f"{told}: {answer.text[:_SHOWN_CHARACTERS]}")
    if operation.fewest and len(answer.json()["data"]) < operation.fewest:
        raise MeasurementFailed(f"{told} with fewer than {operation.fewest} objects.")


def _run(
    target: Target[L], name: str, connections: int, seconds: int, requests: Path, rate: float | None = None
) -> _Run:
    line = [wrk(), "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    line += ["--timeout", f"{_ANSWER_SECONDS}s", "--header", f"Authorization: Bearer {target.key}"]
    line += ["--script", str(_SCRIPT), target.base_url, "--", str(requests)]
    line += [] if rate is None else [str(rate)]
    done = subprocess.run(line, capture_output=True, timeout=seconds + GRACE_SECONDS, check=False)
    if done.returncode != 0:
        raise MeasurementFailed(f"{name}: wrk ended with {done.returncode}: {done.stderr.decode()}")
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=_Run)


def _write(file: Path, requests: Iterable[Request]) -> None:
    with file.open("wb") as lines:
        for request in requests:
            lines.write(b"%s\t%s\t%s\n" % (request.method.encode(), request.path.encode(), request.body))


def _accept(run: _Run, operation: Operation[L], connections: int, prepared: int) -> None:
    told = f"{operation.name}, {connections} clients, {run.requests} answers"
    if run.refused or run.broken or run.timed_out:
        raise MeasurementFailed(
            f"{told}: {run.refused} were errors, {run.broken} connections broke, {run.timed_out} had no answer."
        )
    if run.requests == 0:
        raise MeasurementFailed(f"{told}: measure for more seconds.")
    if operation.writes and run.requests > prepared:
        raise MeasurementFailed(f"{told}: only {prepared} different requests were prepared.")
