"""A database being served: the application that answers for it, and the work beside its requests."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache, partial

from tenantry import __version__
from tenantry.app import (
    RESOURCES,
    build_checker,
    build_router,
    pages,
    signing_key,
    target_policy,
    webhook_options,
)
from tenantry.audit_logs.exporter import Exporter
from tenantry.audit_logs.following import chosen_by
from tenantry.audit_logs.streams.shipping import Shipper
from tenantry.core import openapi
from tenantry.core.clock import Clock
from tenantry.core.db import Database, World
from tenantry.core.endpoints import Resource
from tenantry.core.http import Api
from tenantry.core.outgoing import http_sender
from tenantry.core.throttle import Throttle
from tenantry.domains.examine import Asker
from tenantry.environments.service import KeyUses
from tenantry.settings import Settings
from tenantry.webhooks.dispatch import Dispatcher
from tenantry.worker import Worker

# As the hosted service limits a key (wire.md section 1.10).
_HOSTED_PER_MINUTE = 6000
_HOSTED_OF_OPERATIONS = {"organizations.delete": 50}


@dataclass(frozen=True)
class Node:
    """One database being served."""

    database: Database
    app: Api
    worker: Worker

    def start(self) -> None:
        """Begin the work beside the requests, on the running event loop."""
        self.worker.start()

    async def stop(self) -> None:
        """End that work, and let go of the database."""
        await self.worker.stop()
        await asyncio.to_thread(self.database.close)


class Nodes:
    """Opens databases for serving, all in one process, as the settings have it. What they share is made once.

    Raises InvalidSettings.
    """

    def __init__(self, settings: Settings, time: Clock, resources: tuple[Resource, ...] = RESOURCES) -> None:
        """`time` is what requests are counted by; `resources` are what the reference shows."""
        hosted = settings.profile == "hosted"
        self._per_minute = settings.rate_limit or (_HOSTED_PER_MINUTE if hosted else 0)
        self._of_operations = _HOSTED_OF_OPERATIONS if hosted else {}
        self._settings = settings
        self._time = time
        self._router = build_router(settings)
        self._document = cache(partial(openapi.document, resources, __version__))
        self._webhooks = webhook_options(settings)
        self._signing_key = signing_key(settings)
        self._send = http_sender(target_policy(settings), settings.webhook_timeout_seconds)
        self._ship = http_sender(target_policy(settings), settings.audit_stream_timeout_seconds)

    def open(self, database: Database, world: World, ask: Callable[[], Awaitable[Asker]] | None = None) -> Node:
        """Return `database` ready to be served. `ask` makes what asks the DNS instead of the resolver."""
        settings, uses = self._settings, KeyUses()
        app = Api(
            database=database,
            router=self._router,
            pages=pages(database, self._document),
            authenticate=uses.authenticate,
            throttle=Throttle(self._time, self._per_minute, self._of_operations),
            max_body_bytes=settings.max_body_bytes,
        )
        worker = Worker(
            database,
            uses,
            # Receivers hold the time in a signature against their own clock, whatever that of the data shows.
            Dispatcher(database, self._time, random.random, self._webhooks, self._send, app.is_asked),
            build_checker(settings, database, world, random.random, ask),
            Exporter(database, settings.audit_log_export_days, self._signing_key, app.is_asked),
            Shipper(database, world.clock, random.random, settings.audit_stream_timeout_seconds, self._ship),
            event_retention_days=settings.event_retention_days,
            attempt_retention_days=settings.domain_attempt_retention_days,
            signing_key=self._signing_key,
            own_changes=chosen_by(settings.audit_own_changes),
        )
        return Node(database, app, worker)
