"""Organizations from a server that speaks the wire, a WorkOS account or a Tenantry, through the official SDK.

Imported when there is first such a source: the SDK comes with `pip install tenantry[workos]`.
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import msgspec
from workos import WorkOSClient
from workos._errors import (
    RateLimitExceededError,
    ServerError,
    WorkOSConnectionError,
    WorkOSError,
    WorkOSTimeoutError,
)

from tenantry.core.retry import backoff, retry_after_seconds
from tenantry.transfer.sources import Item, SourceFailed, item_of_value

_PAGE = 100
_MOST_RETRIES = 8
# A server that has not answered once is rather down, or not there, than busy.
_FIRST_RETRIES = 2
_LONGEST_WAIT = 60.0
_PASSING = (RateLimitExceededError, ServerError, WorkOSConnectionError, WorkOSTimeoutError)
_KEY = re.compile("[!-~]+")


class RemoteSource:
    """The organizations that a key opens, by age. A cursor is the id of the last one.

    At most `rate` requests a second are sent. A 429, a 5xx and a lost connection are tried again, after the time
    that the server asks for or ever longer; `tell` is given a sentence each time. Raises SourceFailed for an
    address or a key that cannot be one.
    """

    def __init__(self, key: str, base_url: str | None, rate: float, tell: Callable[[str], None]) -> None:
        key = key.strip()
        if not _KEY.fullmatch(key):
            raise SourceFailed("The key has characters that no key has. Copy it again.")
        self._client = WorkOSClient(api_key=key, base_url=base_url, max_retries=0)
        _check(self._client.base_url)
        self._tell = tell
        self._seconds = 1 / rate
        self._next = 0.0
        self._answered = False
        self.name = f"{self._client.base_url} {hashlib.sha256(key.encode()).hexdigest()[:16]}"
        self.lasts = True

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def total(self) -> int | None:
        return None

    def position(self) -> int | None:
        return None

    def items(self, after: str | None) -> Iterator[Item]:
        while True:
            page = self._page(after)
            for each in page.data:
                yield item_of_value(str(each.get("id")), each, whole=True)
            following = page.following()
            if following is None:
                return
            if following == after:
                raise SourceFailed(f"{self._client.base_url} gives the page after {after} again and again.")
            after = following

    def _page(self, after: str | None) -> "_Page":
        query = {"limit": _PAGE, "order": "asc"} | ({} if after is None else {"after": after})
        try:
            page = msgspec.convert(self._answer(query), _Page)
        except (WorkOSError, msgspec.ValidationError) as error:
            raise SourceFailed(f"{self._client.base_url} does not give its organizations: {error}") from error
        self._answered = True
        return page

    def _answer(self, query: dict[str, Any]) -> object:
        for attempt in count(1):
            self._wait()
            try:
                return self._client.request(method="get", path=("organizations",), params=query)
            except WorkOSError as error:
                most = _MOST_RETRIES if self._answered else _FIRST_RETRIES
                if attempt > most or not _passes(error):
                    raise
                seconds = _wait_after(error, attempt)
                self._tell(f"{self._client.base_url}: {error} Trying again in {seconds:.0f} s.")
                time.sleep(seconds)
        raise AssertionError("unreachable")

    def _wait(self) -> None:
        now = time.monotonic()
        if now < self._next:
            time.sleep(self._next - now)
        self._next = max(now, self._next) + self._seconds


def _check(base_url: str) -> None:
    """Raise SourceFailed for what is not the address of a server."""
    try:
        parts = urlsplit(base_url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment or not base_url.isprintable() or " " in base_url:
        raise SourceFailed(f"'{base_url}' is not the address of a server. Give https://HOST or https://HOST:PORT.")


def _passes(error: WorkOSError) -> bool:
    """Return whether it may go better the next time. A connection that is cut is an error without a kind."""
    return isinstance(error, _PASSING) or type(error) is WorkOSError


def _wait_after(error: WorkOSError, attempt: int) -> float:
    """Return the seconds after which to try again: what the server asks for, else ever longer."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    asked = retry_after_seconds(headers.get("Retry-After"), int(time.time() * 1000))
    return backoff(attempt, 0.0, base=2.0, ceiling=_LONGEST_WAIT) if asked is None else min(asked, _LONGEST_WAIT)


class _Metadata(msgspec.Struct):
    after: str | None = None


class _Page(msgspec.Struct):
    data: list[dict[str, Any]]
    list_metadata: _Metadata | None = None

    def following(self) -> str | None:
        """Return the cursor of the next page; where a server gives none, a full page has one after its last."""
        if self.list_metadata is not None:
            return self.list_metadata.after
        return str(self.data[-1].get("id")) if len(self.data) >= _PAGE else None
