"""The smallest application, on the server that Tenantry runs on: what the edge costs is the difference to it.

It answers every request with what Tenantry answers at /health: the same status, header fields and body.
"""

from typing import Any

import click

from tenantry.server import run_here, serve_until_stopped
from tenantry.settings import Settings

_FIELDS = [
    ("content-type", "application/json; charset=utf-8"),
    ("x-request-id", "00000000-0000-4000-8000-000000000000"),
]
_BODY = b'{"status":"ok"}'


class _Bare:
    """An application without any work beside it."""

    async def __rsgi__(self, _scope: Any, protocol: Any) -> None:
        protocol.response_bytes(200, _FIELDS, _BODY)

    def stop_waiting(self) -> None:
        """Nothing waits."""

    def start(self) -> None:
        """There is no other work."""

    async def stop(self) -> None:
        """There is nothing to let go of."""


@click.command()
@click.option("--port", required=True, type=int)
def main(port: int) -> None:
    """Serve until SIGINT or SIGTERM."""
    bare = _Bare()
    run_here(serve_until_stopped(Settings(port=port), bare, bare), readable_log=False)


if __name__ == "__main__":
    main()
