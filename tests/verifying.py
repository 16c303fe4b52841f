"""A receiver as an app has one, which verifies with the official SDK, and wrong ones, each with one fault.

python verifying.py PORT THREADED

What is posted to / is received as it should be, to /FAULT with that fault. GET of the same
path returns what has become of it: how often each event took effect, the name of each
organization.
"""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import Any

import httpx
import workos

from support import free_port

SECRET = "whsec_0FWAiVGkEfGBqqsJH4aNAGBJ4"

_A_YEAR = 365 * 24 * 60 * 60
_LIMIT = 100_000
_KNOWN = {"organization.created", "organization.updated", "organization.deleted"}
_START_SECONDS = 20.0


class Verifying:
    """The process of such receivers; one that is not `threaded` answers one request after the other."""

    def __init__(self, *, threaded: bool = True) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.process = subprocess.Popen([sys.executable, __file__, str(self.port), str(int(threaded))])
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(self.url)
                return
            time.sleep(0.02)
        raise AssertionError("the receiver did not start")

    def kept(self) -> dict[str, Any]:
        """Return what has become of the events posted to /."""
        kept: dict[str, Any] = httpx.get(self.url).json()
        return kept

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class App:
    """What an app does with events: it keeps a copy of organizations."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.lock = threading.Lock()
        self.effects: Counter[str] = Counter()
        self.organizations: dict[str, Any] = {}

    def receive(self, body: bytes, signed: str | None) -> int:
        """Return the status that answers a request."""
        if self.fault == "takes-100-kB" and len(body) > _LIMIT:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        if self.fault == "is-moved":
            return HTTPStatus.TEMPORARY_REDIRECT
        try:
            if self.is_verified(signed):
                self.verify(body, signed)
        except ValueError:
            return (
                HTTPStatus.INTERNAL_SERVER_ERROR if self.fault == "crashes-on-forged" else HTTPStatus.UNAUTHORIZED
            )
        with self.lock:
            return self.apply(json.loads(body))

    def is_verified(self, signed: str | None) -> bool:
        """Return whether this receiver verifies what is signed so."""
        if self.fault == "takes-unsigned":
            return signed is not None
        return self.fault != "verifies-nothing"

    def verify(self, body: bytes, signed: str | None) -> None:
        if self.fault == "verifies-what-it-parsed":
            body = json.dumps(json.loads(body), separators=(",", ":")).encode()
        workos.WorkOSClient(api_key="sk_unused").webhooks.verify_header(
            event_body=body,
            event_signature=signed or "",
            secret="whsec_another" if self.fault == "has-another-secret" else SECRET,
            tolerance=_A_YEAR if self.fault == "takes-old" else None,
        )

    def apply(self, event: dict[str, Any]) -> int:
        if event["id"] in self.effects:
            return HTTPStatus.CONFLICT if self.fault == "refuses-repeated" else HTTPStatus.OK
        if event["event"] not in _KNOWN:
            return HTTPStatus.INTERNAL_SERVER_ERROR if self.fault == "crashes-on-new-names" else HTTPStatus.OK
        self.effects[event["id"]] += 1
        organization = event["data"]
        before = self.organizations.get(organization["id"])
        if before is None and event["event"] == "organization.updated" and self.fault == "needs-order":
            return HTTPStatus.NOT_FOUND
        if before is None or before["updated_at"] < organization["updated_at"]:
            self.organizations[organization["id"]] = organization
        return HTTPStatus.OK


APPS: dict[str, App] = {}


class Handler(BaseHTTPRequestHandler):
    def app(self) -> App:
        return APPS.setdefault(self.path, App(self.path[1:]))

    def do_GET(self) -> None:
        app = self.app()
        names = {identity: kept["name"] for identity, kept in app.organizations.items()}
        self.answer(HTTPStatus.OK, {"effects": app.effects, "names": names})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        status = self.app().receive(body, self.headers["workos-signature"])
        self.answer(status, {"message": HTTPStatus(status).phrase})

    def answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    kind = ThreadingHTTPServer if sys.argv[2] == "1" else HTTPServer
    kind(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
