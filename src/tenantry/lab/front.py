"""The one application of `tenantry dev`: it finds the universe that a request is for, by its key."""

from typing import Any

from tenantry.audit_logs.exports import export_of
from tenantry.core.endpoints import Answer, Request
from tenantry.core.faces import ReadBody, serve_asgi, serve_rsgi
from tenantry.core.http import Api
from tenantry.lab.connections import Broken, break_off
from tenantry.lab.inbox_routes import is_delivery, receive
from tenantry.lab.universes import Lab

OWN_PATHS = ("/tenantry/lab", "/_emulate")
"""What begins so is the lab's own; the second is where the vendor's emulator has what it adds to the API."""

_WITHOUT_KEY = "/_emulate"  # tests that were written for it send none
_LONGEST = max(map(len, OWN_PATHS))


class Front:
    """What a server calls: the lab's own routes at its `desk`, any other request in the universe of its key."""

    def __init__(self, lab: Lab, desk: Api, max_body_bytes: int) -> None:
        self._lab = lab
        self._desk = desk
        self._max_body_bytes = max_body_bytes

    def stop_waiting(self) -> None:
        """Answer the requests that wait: the server is about to stop."""
        self._desk.stop_waiting()
        self._lab.stop_waiting()

    async def answer(self, request: Request, read_body: ReadBody) -> Answer:
        """Answer one request, whatever happens. Raises Broken where its connection is to end instead."""
        if request.authorization is None and request.path.startswith(_WITHOUT_KEY):
            request.authorization = f"Bearer {self._lab.key_of(self._lab.main)}"
        if is_delivery(request):
            return await receive(self._lab, request, read_body)
        if request.authorization is None and (export_id := export_of(request.path)) is not None:
            holder = await self._lab.holder_of(export_id)
            return await holder.answer(request, read_body)
        found = self._lab.find(request.authorization)
        # A key of a universe that is gone is refused by the desk, which says so.
        if found is None or request.path[:_LONGEST].lower().startswith(OWN_PATHS):
            return await self._desk.answer(request, read_body)
        universe, request.authorization = found
        return await universe.answer(request, read_body)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve one ASGI connection."""
        await serve_asgi(self.answer, self._max_body_bytes, scope, receive, send)

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Serve one RSGI request."""
        try:
            await serve_rsgi(self.answer, self._max_body_bytes, scope, protocol)
        except Broken as broken:
            await break_off(broken, scope)
