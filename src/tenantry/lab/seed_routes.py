"""The route that shows what a universe holds as a seed."""

import asyncio

from tenantry.core.endpoints import Endpoint, Response
from tenantry.lab import hooks
from tenantry.lab.routes import Visit, route
from tenantry.lab.seeding import exported, plain, written
from tenantry.lab.seeds import MAIN_ENVIRONMENT

_MEDIA = "application/yaml; charset=utf-8"


async def _read(visit: Visit) -> Response:
    """Return all that is there. A universe is small enough to be held at once, as its seed was."""
    held = await visit.universe.node.database.read_soon(
        lambda tx: exported(tx, MAIN_ENVIRONMENT, others=True), scans=True
    )
    set_ = [plain(hooks.shown(fault)) for fault in visit.universe.faults.hooks()]
    if set_:
        held["errorHooks"] = [{name: value for name, value in hook.items() if name != "id"} for hook in set_]
    text = await asyncio.to_thread(written, held)
    return Response(200, text.encode(), _MEDIA)


ENDPOINTS: tuple[Endpoint, ...] = (
    route(
        _read,
        method="GET",
        path="/tenantry/lab/seed",
        name="seed.read",
        summary="Show what the universe holds as a seed, in YAML",
        media="application/yaml",
        answer=str,
    ),
)
