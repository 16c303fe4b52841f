"""The inbox of a universe: a receiver of webhooks that keeps what it gets, with what its signature says."""

import asyncio
import hmac
from collections import deque
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from tenantry.core.signature import signature

MOST_MESSAGES = 1000
MOST_BYTES = 16 << 20
_PREFIX = "inbox_message"

Verdict = Literal["valid", "wrong", "missing"]


class Signature(msgspec.Struct, frozen=True):
    """What the signature of a message says: by which endpoint's secret it is `valid`, and how old it was."""

    verdict: Verdict
    webhook_endpoint_id: str | None = None
    age_ms: int | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="inbox_message"):
    """A request that the inbox got. `path` is what stands behind the inbox's URL, `data` the body if it is JSON.

    `event` and `event_id` are those of an event in it.
    """

    id: str
    method: str
    path: str
    headers: dict[str, str]
    body: str
    data: Any
    event: str | None
    event_id: str | None
    signature: Signature
    received_at: str


class Arrival(msgspec.Struct, frozen=True):
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Inbox:
    """The latest messages of one universe. Used from the event loop alone."""

    def __init__(self) -> None:
        self._messages: deque[tuple[int, Message]] = deque()
        self._bytes = 0
        self._made = 0
        self._news = asyncio.Event()
        self._stopped = False

    def add(self, arrival: Arrival, verdict: Signature, received_at: str) -> Message:
        """Keep a message; the oldest are forgotten to stay in bounds."""
        self._made += 1
        data = _json(arrival.body)
        event = data if isinstance(data, dict) else {}
        message = Message(
            id=f"{_PREFIX}_{self._made:010d}",
            method=arrival.method,
            path=arrival.path,
            headers=arrival.headers,
            body=arrival.body.decode("utf-8", "replace"),
            data=data,
            event=_text(event.get("event")),
            event_id=_text(event.get("id")),
            signature=verdict,
            received_at=received_at,
        )
        self._messages.append((len(arrival.body), message))
        self._bytes += len(arrival.body)
        while len(self._messages) > MOST_MESSAGES or (self._bytes > MOST_BYTES and len(self._messages) > 1):
            size, _ = self._messages.popleft()
            self._bytes -= size
        self._tell()
        return message

    def messages(self, events: list[str], after: str | None) -> Iterator[Message]:
        """Yield what came after the message with an id, of `events` if any are named, oldest first."""
        for _, message in self._messages:
            if (not events or message.event in events) and (after is None or message.id > after):
                yield message

    async def wait(self, events: list[str], after: str | None, count: int, seconds: float) -> None:
        """Return when there are as many such messages as `count`, or after `seconds`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not self._stopped and sum(1 for _ in self.messages(events, after)) < count:
            news, left = self._news, deadline - loop.time()
            if left <= 0:
                return
            await asyncio.wait({asyncio.ensure_future(news.wait())}, timeout=left)

    def clear(self) -> None:
        """Forget every message. Their ids are not given again."""
        self._messages.clear()
        self._bytes = 0

    def stop(self) -> None:
        """Let nobody wait any longer."""
        self._stopped = True
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def judge(header: str | None, body: bytes, secrets: list[tuple[str, str]], now: int) -> Signature:
    """Return what a signature header says, given `secrets` of endpoints by their ids, at `now` in milliseconds."""
    if header is None:
        return Signature("missing")
    signed_at = _time_in(header)
    if signed_at is not None:
        for endpoint_id, secret in secrets:
            if hmac.compare_digest(signature(secret, signed_at, body).encode(), header.encode()):
                return Signature("valid", endpoint_id, now - signed_at)
    return Signature("wrong")


def _time_in(header: str) -> int | None:
    digits = header.partition(",")[0].removeprefix("t=")
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 16 else None
