"""Organizations from a server that speaks the wire, a WorkOS account or a Tenantry, through the official SDK.

Imported when there is first such a source: the SDK comes with `pip install tenantry[workos]`.
"""

import time
from collections.abc import Iterator
from typing import Any

import msgspec
from workos import WorkOSClient
from workos._errors import WorkOSError

from tenantry.transfer.sources import Item, SourceFailed, item_of_value

_PAGE = 100
_MOST_RETRIES = 8


class RemoteSource:
    """The organizations that a key opens, by age. A cursor is the id of the last one.

    At most `rate` requests a second are sent. A 429, a 5xx and a lost connection are tried again,
    after the time that the server asks for or ever longer.
    """

    def __init__(self, key: str, base_url: str | None, rate: float) -> None:
        self._client = WorkOSClient(api_key=key, base_url=base_url, max_retries=_MOST_RETRIES)
        self._seconds = 1 / rate
        self._next = 0.0
        self.name = f"{self._client.base_url} {key[:10]}"

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def total(self) -> int | None:
        return None

    def items(self, after: str | None) -> Iterator[Item]:
        while True:
            objects = self._page(after)
            for each in objects:
                after = str(each.get("id"))
                yield item_of_value(after, each, whole=True)
            if len(objects) < _PAGE:
                return

    def _page(self, after: str | None) -> list[dict[str, Any]]:
        self._wait()
        query = {"limit": _PAGE, "order": "asc"} | ({} if after is None else {"after": after})
        try:
            answer = self._client.request(method="get", path=("organizations",), params=query)
            return msgspec.convert(answer, _Page).data
        except (WorkOSError, msgspec.ValidationError) as error:
            raise SourceFailed(f"{self._client.base_url} does not give its organizations: {error}") from error

    def _wait(self) -> None:
        now = time.monotonic()
        if now < self._next:
            time.sleep(self._next - now)
        self._next = max(now, self._next) + self._seconds


class _Page(msgspec.Struct):
    data: list[dict[str, Any]]
