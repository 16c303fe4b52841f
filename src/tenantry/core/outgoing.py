"""Sending to receivers on the internet: what is sent with, and what comes of it.

The HTTP client is in `client`, which is loaded when there is first something to send.
"""

import asyncio
import importlib
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from typing import Literal, Protocol

import msgspec

from tenantry.core.targets import TargetPolicy

Method = Literal["POST", "PUT"]


class Outcome(msgspec.Struct, frozen=True):
    """What came of one attempt. `status` is None when there was no answer; `answer` is its beginning."""

    status: int | None
    latency_ms: int
    answer: bytes = b""
    error: str | None = None
    retry_after: str | None = None

    @property
    def delivered(self) -> bool:
        """Whether the receiver took it: any 2xx, with its whole answer or the beginning of it."""
        return self.error is None and self.status is not None and 200 <= self.status < 300


class Sender(Protocol):
    """What sends a body to a URL once."""

    async def send(
        self,
        url: str,
        body: bytes | AsyncIterable[bytes],
        headers: Mapping[str, str],
        method: Method = "POST",
    ) -> Outcome:
        """Return what came of it; never raises what the network did."""

    async def close(self) -> None:
        """Let go of every connection."""


def http_sender(policy: TargetPolicy, timeout: float) -> Callable[[], Awaitable[Sender]]:
    """Return what opens the HTTP client, whose library is loaded then: it would cost everybody 20 MiB."""

    async def connect() -> Sender:
        client = await asyncio.to_thread(importlib.import_module, "tenantry.core.client")
        sender: Sender = client.Client(policy, timeout, client.system_resolver())
        return sender

    return connect
