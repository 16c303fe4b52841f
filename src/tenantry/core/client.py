"""Sending over HTTP. Loaded only when there is something to send: it costs some 20 MiB."""

import asyncio
import ipaddress
import socket
import ssl
import time
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from tenantry import __version__
from tenantry.core.outgoing import Method, Outcome
from tenantry.core.targets import RefusedTarget, TargetPolicy, check_address, check_url

Resolve = Callable[[str], Awaitable[list[str]]]
"""Returns the addresses of a name. Raises OSError when it has none."""

_KEPT_BYTES = 4096
_KEEPALIVE_SECONDS = 30.0
_LOOKUPS_AT_ONCE = 32
_KNOWN_URLS = 1024


class RefusedAddress(OSError):
    """The name leads to an address that nothing may be sent to."""


def system_resolver() -> Resolve:
    """Return the machine's own way to look up names, in threads, so that a slow name server blocks nobody."""
    threads = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, "tenantry-resolve")

    def look_up(name: str) -> list[str]:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    async def resolve(name: str) -> list[str]:
        return await asyncio.get_running_loop().run_in_executor(threads, look_up, name)

    return resolve


class Client:
    """Sends over kept-alive connections, only to addresses that the policy allows.

    The address is checked on the socket that is about to be connected: whatever a name
    answered before, and whoever looked it up, what is connected to is what was checked.
    """

    def __init__(self, policy: TargetPolicy, timeout: float, resolve: Resolve) -> None:
        self._policy = policy
        self._check_url = lru_cache(_KNOWN_URLS)(partial(check_url, policy=policy))
        connector = aiohttp.TCPConnector(
            limit=0,
            resolver=_Resolver(resolve),
            use_dns_cache=False,
            keepalive_timeout=_KEEPALIVE_SECONDS,
            socket_factory=self._open,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=timeout),
            auto_decompress=False,
            headers={"content-type": "application/json", "user-agent": f"Tenantry/{__version__}"},
        )

    async def send(
        self,
        url: str,
        body: bytes | AsyncIterable[bytes],
        headers: Mapping[str, str],
        method: Method = "POST",
    ) -> Outcome:
        """Send a body once with these headers beside or over our own, following no redirect.

        A body in parts goes out as they come; `headers` then say its length. Whatever goes
        wrong is in the outcome.
        """
        started = time.perf_counter()
        status, answer, retry_after, error = None, b"", None, None
        try:
            self._check_url(url)
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                status, retry_after = response.status, response.headers.get("retry-after")
                answer = await _beginning(response)
        except TimeoutError:
            error = "no answer in time" if status is None else "the answer did not end in time"
        except RefusedTarget as refused:
            error = f"refused: {refused}"
        except (aiohttp.ClientError, OSError, ValueError) as failure:
            error = _told(failure)
        return Outcome(status, round((time.perf_counter() - started) * 1000), answer, error, retry_after)

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    def _open(self, info: Any) -> socket.socket:
        family, kind, protocol, _, address = info
        try:
            check_address(ipaddress.ip_address(str(address[0])), self._policy)
        except ValueError as error:
            raise RefusedAddress(f"refused: {error}") from error
        return socket.socket(family, kind, protocol)


def _told(failure: Exception) -> str:
    """Return what went wrong as a line for people: what the system said, where that is known."""
    cause = failure.os_error if isinstance(failure, aiohttp.ClientConnectorError) else failure
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {cause.verify_message}"
    return f"{type(cause).__name__}: {cause}"


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """Return the first bytes of an answer. One that is longer costs its connection."""
    kept = b""
    while len(kept) < _KEPT_BYTES and (chunk := await response.content.read(_KEPT_BYTES - len(kept))):
        kept += chunk
    return kept


class _Resolver(AbstractResolver):
    """aiohttp's form of a resolver that was passed in."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = [ipaddress.ip_address(address.partition("%")[0]) for address in await self._resolve(host)]
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
            if family == socket.AF_UNSPEC or (family == socket.AF_INET) == (address.version == 4)
        ]

    async def close(self) -> None:
        pass
