"""Receivers of webhooks: real HTTP servers in processes of their own.

python receivers.py FILE PORT FAILING [SECONDS] [ANSWER]

FILE gets a JSON line for each request that is answered: its path, its signature, its body, the
answer's status. A share of FAILING in 0 to 1 is answered with 500, by turns, another with ANSWER
(200 when not given) after SECONDS. Headers that begin with `x-` of ANSWER's own are given as JSON
in the environment variable HEADERS. A body of more bytes than the variable LARGEST, if that is there, is
answered with 413. The variable CERTIFICATE names a file with a certificate and its
key: then it speaks https, and each line has the server name that the client asked for.
"""

import asyncio
import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from support import free_port

_START_SECONDS = 10.0


class Receiver:
    """A receiver that can be killed and started anew at the same port; what it got is kept in a file."""

    def __init__(
        self,
        folder: Path,
        *,
        failing: float = 0.0,
        seconds: float = 0.0,
        answer: int = 200,
        headers: dict[str, str] | None = None,
        certificate: Path | None = None,
        largest: int | None = None,
    ) -> None:
        self.port = free_port()
        self.url = f"{'http' if certificate is None else 'https'}://127.0.0.1:{self.port}"
        self._file = folder / f"received-{self.port}.jsonl"
        self._arguments = [str(self._file), str(self.port), str(failing), str(seconds), str(answer)]
        self._environment = os.environ | {"HEADERS": json.dumps(headers or {})}
        if largest is not None:
            self._environment["LARGEST"] = str(largest)
        if certificate is not None:
            self._environment["CERTIFICATE"] = str(certificate)
        self.start()

    def start(self) -> None:
        """Start, and wait until it answers."""
        self.process = subprocess.Popen([sys.executable, __file__, *self._arguments], env=self._environment)
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(self.url, verify=False)
                return
            time.sleep(0.02)
        raise AssertionError("the receiver did not start")

    def kill(self) -> None:
        """End the process as a power cut would."""
        self.process.kill()
        self.process.wait()

    def begun(self) -> int:
        """Return how many webhooks have come, answered yet or not."""
        return int(httpx.get(self.url, verify=False).text)

    def received(self) -> list[dict[str, Any]]:
        """Return all webhooks so far, in the order in which they came."""
        written = self._file.read_text("utf-8") if self._file.exists() else ""
        whole, _, _ = written.rpartition("\n")  # a long line is written in parts, and may be under way
        return [json.loads(line) for line in whole.splitlines()]

    def wait_for(self, count: int, seconds: float = 15.0) -> list[dict[str, Any]]:
        """Return what was received once that are at least `count`."""
        deadline = time.monotonic() + seconds
        while (found := self._count()) < count:
            assert time.monotonic() < deadline, f"{found} of {count} came within {seconds} s"
            time.sleep(0.05)
        return self.received()

    def _count(self) -> int:
        return self._file.read_bytes().count(b"\n") if self._file.exists() else 0


async def _serve(path: str, port: int, failing: float, seconds: float, answer: int) -> None:
    headers = "".join(f"{name}: {value}\r\n" for name, value in json.loads(os.environ["HEADERS"]).items())
    largest = int(os.environ.get("LARGEST", sys.maxsize))
    asked_for: dict[object, str | None] = {}
    count = 0
    with Path(path).open("a", encoding="utf-8", buffering=1) as file:  # noqa: ASYNC230 (once, before it serves)

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal count
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                    fields = {
                        name.lower(): value.strip()
                        for name, _, value in (line.partition(":") for line in head[1:] if line)
                    }
                    body = await reader.readexactly(int(fields.get("content-length", 0)))
                    if head[0].startswith("GET"):
                        told = str(count).encode()
                        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(told), told))
                        continue
                    count += 1
                    fails = int(count * failing) > int((count - 1) * failing)
                    await asyncio.sleep(seconds)
                    status = 413 if len(body) > largest else 500 if fails else answer
                    line = {
                        "path": head[0].split(" ")[1],
                        "headers": fields,
                        "body": body.decode(),
                        "status": status,
                        "at": time.time(),
                        "server_name": asked_for.get(writer.get_extra_info("ssl_object")),
                    }
                    file.write(json.dumps(line) + "\n")
                    writer.write(
                        f"HTTP/1.1 {status} Answer\r\n{headers}content-length: 6\r\n\r\nthanks".encode("latin-1")
                    )
                    await writer.drain()
            writer.close()

        tls = _tls(os.environ.get("CERTIFICATE"), asked_for)
        async with await asyncio.start_server(handle, "127.0.0.1", port, ssl=tls) as server:
            await server.serve_forever()


def _tls(certificate: str | None, asked_for: dict[object, str | None]) -> ssl.SSLContext | None:
    """Return what https is spoken with, which notes the server name that each connection asked for."""
    if certificate is None:
        return None

    def note(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        asked_for[connection] = name

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    context.sni_callback = note
    return context


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    name, port_text, *rest = sys.argv[1:]
    asyncio.run(_serve(name, int(port_text), float(rest[0]), float(rest[1]), int(rest[2])))
