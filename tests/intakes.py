"""Intakes of logs, strict about their protocols as published, in processes of their own.

python intakes.py KIND FILE PORT CREDENTIAL FAILING

KIND is `splunk` or `datadog`. FILE gets a JSON line for each request: its status, the events that were taken.
A share of FAILING in 0 to 1 of the requests that are right is answered as by a busy service.
Splunk: «HTTP Event Collector REST API endpoints» and its table of status codes. Datadog: «Send logs», version 2.
"""

import gzip
import json
import signal
import subprocess
import sys
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from support import free_port, wait_for_port

_HEC_KEYS = {"time", "host", "source", "sourcetype", "index", "event", "fields"}
_HEC_MOST_BYTES = 1_000_000 + (1 << 20)
_HEC_INDEXES = {"main", "audit"}
_DATADOG_MOST_BYTES = 5_000_000
_DATADOG_MOST_LOG_BYTES = 1_000_000
_DATADOG_MOST_LOGS = 1000


class Intake:
    """An intake in a process of its own; `events` are those that it has taken, in order."""

    def __init__(self, folder: Path, kind: str, credential: str, *, failing: float = 0.0) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._file = folder / f"{kind}-{self.port}.jsonl"
        self._file.touch()
        line = [sys.executable, __file__, kind, str(self._file), str(self.port), credential, str(failing)]
        self.process = subprocess.Popen(line)
        wait_for_port(self.port)

    def answers(self) -> list[dict[str, Any]]:
        """Return each request so far: its status, and the events that were taken."""
        return [json.loads(line) for line in self._file.read_text("utf-8").splitlines()]

    def events(self) -> list[dict[str, Any]]:
        """Return every event that was taken, with what it came in."""
        return [event for answer in self.answers() for event in answer["events"]]

    def wait_for(self, count: int, seconds: float = 20.0) -> list[dict[str, Any]]:
        """Return what was taken once that are at least `count`."""
        deadline = time.monotonic() + seconds
        while len(events := self.events()) < count:
            assert time.monotonic() < deadline, (
                f"{len(events)} of {count} within {seconds} s: {self.answers()[-3:]}"
            )
            time.sleep(0.05)
        return events

    def kill(self) -> None:
        """End the process as a power cut would."""
        self.process.kill()
        self.process.wait()


class Refused(Exception):
    """The request is not as the protocol has it; with the answer's status and body."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(status, body)
        self.status, self.body = status, body


def _hec(status: int, code: int, text: str, **more: object) -> Refused:
    return Refused(status, {"text": text, "code": code, **more})


def splunk(path: str, headers: dict[str, str], body: bytes, token: str) -> list[Any]:
    """Return the events of a request to an HTTP Event Collector."""
    if path not in {"/services/collector/event", "/services/collector", "/services/collector/event/1.0"}:
        raise _hec(404, 404, "The requested URL was not found on this server.")
    authorization = headers.get("authorization")
    if authorization is None:
        raise _hec(401, 2, "Token is required")
    scheme, _, given = authorization.partition(" ")
    if scheme != "Splunk":
        raise _hec(401, 3, "Invalid authorization")
    if given != token:
        raise _hec(403, 4, "Invalid token")
    if len(body) > _HEC_MOST_BYTES:
        raise Refused(413, "Request Entity Too Large")
    events = list(_concatenated(body.decode()))
    if not events:
        raise _hec(400, 5, "No data")
    for number, event in enumerate(events):
        _check_hec_event(event, number)
    return events


def _check_hec_event(event: Any, number: int) -> None:
    at = {"invalid-event-number": number}
    if not isinstance(event, dict) or not event.keys() <= _HEC_KEYS:
        raise _hec(400, 6, "Invalid data format", **at)
    if "event" not in event:
        raise _hec(400, 12, "Event field is required", **at)
    if event["event"] in ("", {}, None):
        raise _hec(400, 13, "Event field cannot be blank", **at)
    if event.get("index", "main") not in _HEC_INDEXES:
        raise _hec(400, 7, "Incorrect index", **at)
    if not isinstance(event.get("time", 0), int | float):
        raise _hec(400, 6, "Invalid data format", **at)


def _concatenated(text: str) -> Any:
    decoder, at, number = json.JSONDecoder(), 0, 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        try:
            event, at = decoder.raw_decode(text, at)
        except ValueError as error:
            raise _hec(400, 6, "Invalid data format", **{"invalid-event-number": number}) from error
        yield event
        number += 1


def _datadog_error(status: int, title: str, detail: str = "") -> Refused:
    return Refused(status, {"errors": [{"status": str(status), "title": title, "detail": detail}]})


def datadog(path: str, headers: dict[str, str], body: bytes, api_key: str) -> list[Any]:
    """Return the logs of a request to Datadog's intake."""
    if path != "/api/v2/logs":
        raise _datadog_error(404, "Not Found")
    given = headers.get("dd-api-key")
    if given is None:
        raise _datadog_error(401, "Unauthorized")
    if given != api_key:
        raise _datadog_error(403, "Forbidden")
    if headers.get("content-type") != "application/json":
        raise _datadog_error(400, "Bad Request", "content type")
    try:
        payload = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        logs = json.loads(payload)
    except (OSError, zlib.error, ValueError) as error:
        raise _datadog_error(400, "Bad Request", str(error)) from error
    if len(payload) > _DATADOG_MOST_BYTES or not isinstance(logs, list) or len(logs) > _DATADOG_MOST_LOGS:
        raise _datadog_error(413, "Request Entity Too Large")
    for log in logs:
        if len(json.dumps(log)) > _DATADOG_MOST_LOG_BYTES:
            raise _datadog_error(413, "Request Entity Too Large")
        texts = [log.get(name) for name in ("message", "ddsource", "ddtags", "service")]
        if not all(isinstance(text, str) for text in texts) or not log["message"]:
            raise _datadog_error(400, "Bad Request", "an attribute is missing or no text")
    return logs


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    kind: ClassVar[str]
    file: ClassVar[Path]
    credential: ClassVar[str]
    failing: ClassVar[float]
    right: ClassVar[int] = 0

    def do_POST(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers["content-length"]))
        events: list[Any] = []
        try:
            read = splunk if self.kind == "splunk" else datadog
            found = read(self.path, headers, body, self.credential)
            _Handler.right += 1
            if int(self.right * self.failing) > int((self.right - 1) * self.failing):
                raise _busy(self.kind)
            events = found
            status: int = 200 if self.kind == "splunk" else 202
            answer: object = {"text": "Success", "code": 0} if self.kind == "splunk" else {}
        except Refused as refused:
            status, answer = refused.status, refused.body
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"status": status, "events": events, "headers": headers}) + "\n")
        told = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_: object) -> None:
        pass


def _busy(kind: str) -> Refused:
    return _hec(503, 9, "Server is busy") if kind == "splunk" else _datadog_error(503, "Service Unavailable")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _Handler.kind, file, port, _Handler.credential, failing = sys.argv[1:]
    _Handler.file, _Handler.failing = Path(file), float(failing)
    ThreadingHTTPServer(("127.0.0.1", int(port)), _Handler).serve_forever()
