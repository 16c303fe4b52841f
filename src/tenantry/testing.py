"""Tenantry in the tests of an app, by plain HTTP: a server of `tenantry dev`, and universes of it.

The fixtures of `tenantry.pytest_plugin` are made of this. It uses nothing but the standard library, and talks to
this machine alone.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

_KEY = "sk_test_default"
_ATTEMPTS = 5
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_ANSWER_SECONDS = 60.0
_CONFLICT = 409
_NOBODY = "127.0.0.1:1"
# A proxy that the environment names is for the world outside.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Refused(AssertionError):
    """A request of the test itself was answered with an error; `status` and `body` are the answer."""

    def __init__(self, method: str, url: str, status: int, body: str) -> None:
        super().__init__(f"{method} {url} was answered {status}: {body}")
        self.status = status
        self.body = body


class Universe:
    """A universe: a fork of the seeded environment, with data, a clock and a DNS of its own.

    Give `base_url` and `api_key` to the client of the app.
    """

    def __init__(self, base_url: str, api_key: str, identity: str) -> None:
        self.base_url = base_url
        self.api_key = api_key
        self.id = identity

    def request(self, method: str, path: str, body: object = None, **query: object) -> Any:
        """Return the JSON that a request in this universe is answered; None when that is empty. Raises Refused.

        A list in `query` is a parameter given several times.
        """
        url = self.base_url + path
        if query:
            url += "?" + urllib.parse.urlencode(query, doseq=True)
        headers = {"Authorization": f"Bearer {self.api_key}"}
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 (our own server)
        try:
            with _opener.open(request, timeout=_ANSWER_SECONDS) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(method, url, error.code, error.read().decode("utf-8", "replace")) from None
        return json.loads(text) if text else None

    def advance(self, by: str) -> str:
        """Put the clock forward by `30d`, `36h`, `90s`, and do what falls due; return the time that it shows."""
        shown = self.request("POST", "/tenantry/lab/clock/advance", {"by": by})
        return str(shown["now"])

    def freeze(self) -> str:
        """Let the clock stand still; return the time that it shows."""
        return str(self.request("POST", "/tenantry/lab/clock/freeze")["now"])

    def set_dns(self, name: str, **rule: object) -> None:
        """Set what a name answers: `txt=["…"]`, `cname="…"`, `fails="servfail"`, `delay_ms=…` (docs/lab.md)."""
        self.request("PUT", f"/tenantry/lab/dns/{urllib.parse.quote(name)}", rule)

    def add_fault(self, **rule: object) -> str:
        """Let requests go wrong as a rule says (docs/lab.md); return the fault's id."""
        return str(self.request("POST", "/tenantry/lab/faults", rule)["id"])

    def assert_requested(self, **expected: object) -> None:
        """Say which requests the app made, how often: `operation="organizations.create"`, `body={…}`, `times=1`.

        `times=0` is never; without a number it is once or more (docs/lab.md). Raises AssertionError with what was
        made instead, Refused for a condition that nothing can meet.
        """
        try:
            self.request("POST", "/tenantry/lab/requests/assert", expected)
        except Refused as refused:
            if refused.status != _CONFLICT:
                raise
            raise AssertionError(json.loads(refused.body)["message"]) from None

    def requests(self, **filters: object) -> list[dict[str, Any]]:
        """Return the first hundred requests of the app with their answers, or of those that `filters` mean."""
        if "body" in filters:
            filters["body"] = json.dumps(filters["body"])
        page = self.request("GET", "/tenantry/lab/requests", order="asc", limit=100, **filters)
        entries: list[dict[str, Any]] = page["data"]
        return entries

    @property
    def inbox_url(self) -> str:
        """Where webhooks can be sent to that `inbox` then returns."""
        return f"{self.base_url}/tenantry/lab/inbox/{self.id}"

    def inbox(self, *, wait: int = 0, count: int = 1, **query: object) -> list[dict[str, Any]]:
        """Return the webhooks that the inbox has got, after up to `wait` seconds, when they are `count`."""
        page = self.request("GET", "/tenantry/lab/inbox", wait=wait, count=count, **query)
        messages: list[dict[str, Any]] = page["data"]
        return messages

    def reset(self) -> None:
        """Give it the state that it had at first."""
        self.request("POST", f"/tenantry/lab/universes/{self.id}/reset")

    def drop(self) -> None:
        """End it. One that is gone already is no matter."""
        with contextlib.suppress(Refused):
            self.request("DELETE", f"/tenantry/lab/universes/{self.id}")


class LabServer:
    """A server of `tenantry dev`, in a process of its own, in memory. It listens on this machine alone."""

    def __init__(self, *arguments: str, folder: Path | None = None) -> None:
        """Start one with further `arguments` of `tenantry dev`, in a folder whose seed it takes.

        Raises RuntimeError, with what it said, when it does not start.
        """
        self.api_key = _KEY
        said = "Cannot listen"
        for _ in range(_ATTEMPTS):
            self._begin(_free_port(), arguments, folder)
            if self._answers():
                return
            said = self._end()
            if "Cannot listen" not in said:
                break
        raise RuntimeError(f"tenantry dev did not start:\n{said}")

    def _begin(self, port: int, arguments: tuple[str, ...], folder: Path | None) -> None:
        self.base_url = f"http://127.0.0.1:{port}"
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (it is closed when the server has stopped)
        line = [sys.executable, "-m", "tenantry", "dev", "--database", "sqlite://", "--port", str(port)]
        self._process = subprocess.Popen(  # noqa: S603 (Tenantry itself)
            [*line, "--api-key", _KEY, "--stop-with-stdin", *arguments],
            cwd=folder,
            stdin=subprocess.PIPE,  # closed when this process ends, however it does
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env=_environment(),
        )

    def _answers(self) -> bool:
        """Wait until the server answers; return whether it does."""
        deadline = time.monotonic() + _START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                _opener.open(f"{self.base_url}/ready", timeout=_ANSWER_SECONDS).close()
                return self._process.poll() is None
            time.sleep(0.02)
        return False

    @property
    def main(self) -> Universe:
        """The main environment, which universes are forks of; every test sees it."""
        return Universe(self.base_url, self.api_key, "main")

    def fork(self, **options: object) -> Universe:
        """Return a new universe: `frozen=True`, `clock="2030-01-01T00:00:00Z"`, `name="…"` (docs/lab.md)."""
        made = self.main.request("POST", "/tenantry/lab/universes", options)
        return Universe(self.base_url, made["api_key"], made["id"])

    def stop(self) -> None:
        """End it, by force when it does not end by itself."""
        self._end()

    def _end(self) -> str:
        """End the process; return the last of what it has said."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._output.seek(0)
        said = self._output.read().decode("utf-8", "replace")
        self._output.close()
        return "\n".join(said.splitlines()[-20:])


def _environment() -> dict[str, str]:
    """Return the environment without settings, so that a run is the same everywhere, and with no DNS to ask."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TENANTRY_")}
    return kept | {"TENANTRY_DNS_SERVERS": _NOBODY}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
