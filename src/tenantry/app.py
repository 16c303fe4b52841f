"""The composition root: which resources there are, and how they become one application."""

import importlib
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from tenantry.audit_logs.api import resource as audit_logs
from tenantry.audit_logs.keys import private_from_pem
from tenantry.audit_logs.streams.api import resource as audit_log_streams
from tenantry.core import openapi
from tenantry.core.addresses import networks
from tenantry.core.addresses import servers as dns_servers
from tenantry.core.db import Database, World, migrate
from tenantry.core.endpoints import Call, Endpoint, Resource, Response
from tenantry.core.errors import ApiError, NotImplementedHere
from tenantry.core.http import OpenPage
from tenantry.core.routing import Router
from tenantry.core.targets import TargetPolicy
from tenantry.domains.api import resource as organization_domains
from tenantry.domains.checker import Checker, dns_asker
from tenantry.domains.checks import Rules
from tenantry.domains.examine import Asker, ResolverOptions
from tenantry.domains.schedule import WatchPolicy
from tenantry.domains.service import DomainRules
from tenantry.events.api import RESOURCE as EVENTS
from tenantry.organizations.api import resource as organizations
from tenantry.organizations.service import refresh_domains
from tenantry.settings import InvalidSettings, Settings, variable
from tenantry.transfer.api import resource as transfer
from tenantry.webhooks import schedule
from tenantry.webhooks.api import resource as webhook_endpoints
from tenantry.webhooks.dispatch import Options

_DNS_PORT = 53
_LEAST_CHECKS_AT_ONCE = 4
_MOST_CHECKS_AT_ONCE = 256


def target_policy(settings: Settings) -> TargetPolicy:
    """Return where webhooks and audit log streams may be sent. Raises InvalidSettings."""
    try:
        return TargetPolicy(settings.webhook_http, networks(settings.webhook_allowed_networks))
    except ValueError as error:
        raise InvalidSettings(f"{variable('webhook_allowed_networks')}: {error}.") from error


def webhook_options(settings: Settings) -> Options:
    """Return how webhooks are delivered. Raises InvalidSettings."""
    try:
        waits = schedule.parse(settings.webhook_retry_seconds)
    except ValueError as error:
        raise InvalidSettings(f"{variable('webhook_retry_seconds')}: {error}.") from error
    return Options(waits, settings.webhook_timeout_seconds, settings.webhook_concurrency)


def signing_key(settings: Settings) -> bytes | None:
    """Return the private key that audit logs are signed with; None for the one that Tenantry makes.

    Raises InvalidSettings.
    """
    if not settings.audit_signing_key_file:
        return None
    source = f"{variable('audit_signing_key_file')} is {settings.audit_signing_key_file!r}"
    try:
        return private_from_pem(Path(settings.audit_signing_key_file).read_bytes())
    except OSError as error:
        raise InvalidSettings(f"{source}: {error.strerror or error}.") from error
    except ValueError as error:
        raise InvalidSettings(f"{source}: it {error}.") from error


def domain_rules(settings: Settings) -> DomainRules:
    """Return which domains organizations may be given."""
    return DomainRules(settings.refuse_consumer_domains)


def check_rules(settings: Settings) -> Rules:
    """Return how domains are watched, and how long a contest lasts."""
    watch = WatchPolicy(
        hours=settings.domain_watch_hours,
        misses=settings.domain_watch_misses,
        days=settings.domain_watch_days,
        revoke_days=settings.domain_revoke_days,
    )
    return Rules(watch, settings.domain_contest_days)


def resolver_options(settings: Settings) -> ResolverOptions:
    """Return how the DNS is asked. Raises InvalidSettings."""
    try:
        servers = dns_servers(settings.dns_servers, _DNS_PORT)
    except ValueError as error:
        raise InvalidSettings(f"{variable('dns_servers')}: {error}.") from error
    try:
        allowed = networks(settings.dns_allowed_networks)
    except ValueError as error:
        raise InvalidSettings(f"{variable('dns_allowed_networks')}: {error}.") from error
    return ResolverOptions(
        servers=servers,
        timeout=settings.dns_timeout_seconds,
        rate=settings.dns_questions_per_second,
        networks=allowed,
    )


def build_checker(
    settings: Settings,
    database: Database,
    world: World,
    chance: Callable[[], float],
    ask: Callable[[], Awaitable[Asker]] | None = None,
) -> Checker:
    """Return the loop that checks domains, by what `ask` makes or else the DNS. Raises InvalidSettings."""
    return Checker(
        database,
        world.clock,
        chance,
        check_rules(settings),
        refresh_domains,
        ask or dns_asker(resolver_options(settings)),
        # What waits for its turn to ask is through in some seconds, however slow the pace.
        at_once=max(_LEAST_CHECKS_AT_ONCE, min(_MOST_CHECKS_AT_ONCE, settings.dns_questions_per_second)),
    )


def resources(settings: Settings) -> tuple[Resource, ...]:
    """Return every resource as `settings` have it. Raises InvalidSettings."""
    rules, targets = domain_rules(settings), target_policy(settings)
    return (
        organizations(rules),
        organization_domains(rules, refresh_domains),
        transfer(rules),
        EVENTS,
        webhook_endpoints(targets),
        audit_logs(settings.base_url, f"http://{settings.host}:{settings.port}"),
        audit_log_streams(targets),
    )


RESOURCES = resources(Settings())


class NotReady(ApiError):
    """The database has not had all migrations: 503 from the readiness probe."""

    status = 503
    code = "not_ready"
    message = "The database is not migrated. Run: tenantry migrate"


def endpoints(settings: Settings | None = None) -> list[Endpoint]:
    """Return every operation that Tenantry has, as `settings` or else the defaults have it."""
    present = RESOURCES if settings is None else resources(settings)
    return [endpoint for resource in present for endpoint in resource.endpoints]


def public_operations() -> list[tuple[str, str]]:
    """Return method and path of every operation of the public API document, in the order of paths."""
    text = files("tenantry").joinpath("operations.txt").read_text("utf-8")
    return [(method, path) for method, _, path in (line.partition(" ") for line in text.splitlines())]


def missing_endpoints() -> list[Endpoint]:
    """Return an endpoint for each operation that the public document has and Tenantry does not."""
    present = {shape(endpoint.method, endpoint.path) for endpoint in endpoints()}
    return [_missing(method, path) for method, path in public_operations() if shape(method, path) not in present]


def shape(method: str, path: str) -> str:
    """Return what tells two operations apart: the method and the path, whatever its parameters are called."""
    return method + "/".join("{}" if part.startswith("{") else part.lower() for part in path.split("/"))


def _missing(method: str, path: str) -> Endpoint:
    operation = f"{method} {path}"

    def refuse(_call: Call) -> object:
        raise NotImplementedHere(operation)

    return Endpoint(method=method, path=path, name=operation, summary="", handler=refuse, changes=False)


def build_router(settings: Settings) -> Router[Endpoint]:
    """Return the way to every operation of the public API and of ours, as `settings` have it."""
    router: Router[Endpoint] = Router()
    for endpoint in (*endpoints(settings), *missing_endpoints()):
        router.add(endpoint.method, endpoint.path, endpoint)
    return router


def pages(database: Database, document: Callable[[], dict[str, Any]]) -> Mapping[str, OpenPage]:
    """Return what is answered without a key: the probes of `database`, and the reference of a `document`."""

    async def health() -> Response:
        return Response(200, b'{"status":"ok"}')

    async def ready() -> Response:
        if await database.read_soon(lambda tx: migrate.is_behind(tx, database.engine)):
            raise NotReady
        return Response(200, b'{"status":"ready"}')

    async def openapi_json() -> Response:
        return Response(200, openapi.encode(document()))

    async def docs() -> Response:
        # Named, not imported above: the library of its template costs every process 2 MiB.
        reference = importlib.import_module("tenantry.core.reference")
        return Response(200, reference.page(document()), "text/html; charset=utf-8")

    return {"/health": health, "/ready": ready, "/openapi.json": openapi_json, "/docs": docs}
