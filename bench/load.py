"""Loads generated organizations into any server that speaks the wire: `python -m bench.load --help`."""

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from urllib.parse import SplitResult, urlsplit

import click
import msgspec
import uvloop
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench import generate

CONCURRENCY = 32
SEED = 1
_ANSWER_SECONDS = 30.0
_SHOWN_CHARACTERS = 300


class LoadFailed(Exception):
    """The server did not create an organization; the message holds what it answered."""


class _Created(msgspec.Struct):
    id: str


_decode = msgspec.json.Decoder(_Created).decode


class _Connection:
    """One kept-alive connection that creates organizations, one at a time.

    Written on bare streams: an HTTP library in Python takes more time for a request
    than the server does, and the two share a machine.
    """

    def __init__(self, base_url: str, key: str) -> None:
        self._url: SplitResult = urlsplit(base_url)
        self._head = (
            f"POST {self._url.path.rstrip('/')}/organizations HTTP/1.1\r\n"
            f"Host: {self._url.netloc}\r\nAuthorization: Bearer {key}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def create(self, organization: generate.Organization) -> str:
        """Create it and return its id. Raises LoadFailed."""
        body = msgspec.json.encode(organization)
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = await self._opened()
            writer.write(self._head + b"%d\r\n\r\n" % len(body) + body)
            head = await reader.readuntil(b"\r\n\r\n")
            headers = _headers(head)
            answer = await _body(reader, headers)
        if headers.get(b"connection", b"").lower() == b"close":
            self.close()
        status = head.split(b" ", 2)[1]
        if status != b"201":
            raise LoadFailed(f"{status.decode()}: {answer.decode(errors='replace')[:_SHOWN_CHARACTERS]}")
        return _decode(answer).id

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None:
            secure = ssl.create_default_context() if self._url.scheme == "https" else None
            port = self._url.port or (443 if secure else 80)
            self._reader, self._writer = await asyncio.open_connection(self._url.hostname, port, ssl=secure)
        return self._reader, self._writer

    def close(self) -> None:
        """Close it; the next create opens it again."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


def _headers(head: bytes) -> dict[bytes, bytes]:
    fields = (line.partition(b":") for line in head.split(b"\r\n")[1:] if line)
    return {name.lower(): value.strip() for name, _, value in fields}


async def _body(reader: asyncio.StreamReader, headers: dict[bytes, bytes]) -> bytes:
    if headers.get(b"transfer-encoding") != b"chunked":
        return await reader.readexactly(int(headers.get(b"content-length", b"0")))
    body = b""
    while length := int(await reader.readline(), 16):
        body += await reader.readexactly(length)
        await reader.readline()
    await reader.readline()
    return body


async def _create_all(
    base_url: str, key: str, seed: int, ids: list[str], concurrency: int, tell: Callable[[], object]
) -> None:
    indexes = iter(range(len(ids)))

    async def create_some(indexes: Iterator[int]) -> None:
        connection = _Connection(base_url, key)
        try:
            for index in indexes:
                ids[index] = await connection.create(generate.organization(seed, index))
                tell()
        finally:
            connection.close()

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(concurrency):
                tasks.create_task(create_some(indexes))
    except ExceptionGroup as group:
        error = group.exceptions[0]
        if isinstance(error, LoadFailed):
            raise error from None
        raise LoadFailed(f"no answer from {base_url}: {error!r}") from error


def load(base_url: str, key: str, count: int, *, seed: int = SEED, concurrency: int = CONCURRENCY) -> list[str]:
    """Create `count` organizations, showing how far it is; return their ids, by index. Raises LoadFailed."""
    ids = [""] * count
    columns = (
        TextColumn("loading"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}/s"),
        TimeRemainingColumn(),
    )
    started = time.monotonic()
    with Progress(*columns, refresh_per_second=4) as progress:
        task = progress.add_task("loading", total=count, rate="…")
        done = 0

        def tell() -> None:
            nonlocal done
            done += 1
            if done % 100 == 0 or done == count:
                progress.update(task, completed=done, rate=f"{done / (time.monotonic() - started):,.0f}")

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_create_all(base_url, key, seed, ids, concurrency, tell))
    return ids


@click.command()
@click.option("--base-url", required=True, help="The server, as http://127.0.0.1:4100.")
@click.option("--key", required=True, help="An API key of the environment to fill.")
@click.option("--count", default=100_000, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=SEED, show_default=True, help="Another seed makes other organizations.")
@click.option("--concurrency", default=CONCURRENCY, show_default=True, type=click.IntRange(1, 1024))
def main(base_url: str, key: str, count: int, seed: int, concurrency: int) -> None:
    """Create generated organizations on any server that speaks the wire."""
    started = time.monotonic()
    try:
        load(base_url, key, count, seed=seed, concurrency=concurrency)
    except LoadFailed as error:
        raise click.ClickException(str(error)) from error
    seconds = time.monotonic() - started
    click.echo(f"Created {count:,} organizations in {seconds:.1f} s: {count / seconds:,.0f}/s.")


if __name__ == "__main__":
    main()
