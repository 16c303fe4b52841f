"""Taking in webhook endpoints as another directory has them: ids, secrets and states are kept."""

import msgspec
from msgspec import UNSET, UnsetType

from tenantry.core.caller import Caller
from tenantry.core.db import Transaction
from tenantry.core.targets import TargetPolicy
from tenantry.webhooks import service, store
from tenantry.webhooks.names import subscribable_names
from tenantry.webhooks.wire import Status, WebhookEndpoint, WebhookEndpointCursor


class EndpointRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as another directory has it; without names of `events` it gets them all."""

    endpoint_url: str
    id: WebhookEndpointCursor | UnsetType = UNSET
    secret: str | UnsetType = UNSET
    status: Status = "enabled"
    events: list[str] = msgspec.field(default_factory=list)


def take_in(tx: Transaction, caller: Caller, record: EndpointRecord, policy: TargetPolicy) -> WebhookEndpoint:
    """Create an endpoint unless the environment has one of that id or URL, which stays as it is; return it.

    What happened before is owed to none. Raises InvalidRequestParameters, InvalidUrl.
    """
    identity = UNSET if record.id is UNSET else str(record.id)
    known = None if identity is UNSET else store.select_endpoint(tx, caller.environment_id, identity)
    if known is not None:
        return service.shown(known)
    holder = store.select_endpoint_id_by_url(tx, caller.environment_id, record.endpoint_url)
    if holder is not None:
        return service.shown(service.get_row(tx, caller, holder))
    names = record.events or sorted(subscribable_names())
    return service.add(
        tx,
        caller,
        record.endpoint_url,
        names,
        policy,
        identity=identity,
        secret=record.secret,
        status=record.status,
    )


def records(tx: Transaction, caller: Caller) -> list[EndpointRecord]:
    """Return every endpoint of the environment as `take_in` takes it, oldest first."""
    every = frozenset(subscribable_names())
    return [
        EndpointRecord(
            id=WebhookEndpointCursor(shown.id),
            endpoint_url=shown.endpoint_url,
            secret=shown.secret,
            status=shown.status,
            events=[] if every <= set(shown.events) else shown.events,
        )
        for shown in map(service.shown, store.select_every_endpoint(tx, caller.environment_id))
    ]
