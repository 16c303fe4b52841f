"""The rules of webhook endpoints, one function an operation (wire.md section 5.3)."""

from functools import partial

import msgspec
from msgspec import UNSET, UnsetType

from tenantry.core.caller import Caller
from tenantry.core.db import Transaction
from tenantry.core.errors import ApiError, EntityNotFound
from tenantry.core.page import Page, bounds, envelope, window
from tenantry.core.targets import RefusedTarget, TargetPolicy, check_url
from tenantry.events import service as events
from tenantry.webhooks import store
from tenantry.webhooks.names import subscribable_names
from tenantry.webhooks.store import EndpointRow
from tenantry.webhooks.wire import (
    PREFIX,
    CreateWebhookEndpoint,
    ListWebhookEndpoints,
    Status,
    UpdateWebhookEndpoint,
    WebhookEndpoint,
)

_SECRET_LENGTH = 25
_MOST_SIGNING = 1000


class WebhookEndpointNotFound(EntityNotFound):
    """The caller's environment has no such webhook endpoint: 404."""

    def __init__(self, identity: str) -> None:
        super().__init__("Webhook endpoint", identity)


class DuplicateEndpoint(ApiError):
    """Another webhook endpoint of the environment has the URL: 409."""

    status = 409
    code = "duplicate_endpoint"
    message = "Another webhook endpoint has this endpoint_url."

    def __init__(self, url: str, endpoint_id: str) -> None:
        super().__init__(f"The endpoint_url '{url}' is already used by webhook endpoint '{endpoint_id}'.")


class InvalidUrl(ApiError):
    """Webhooks may not be sent to the URL: 422."""

    status = 422
    code = "invalid_url"
    message = "The endpoint_url is invalid."

    def __init__(self, reason: str) -> None:
        super().__init__(f"The endpoint_url is invalid: {reason}.")


class ParameterError(msgspec.Struct, frozen=True):
    """One wrong parameter: its field, a word for what is wrong, and a sentence."""

    field: str
    code: str
    message: str


class InvalidRequestParameters(ApiError):
    """The list of events is empty or names one that cannot be subscribed to: 422."""

    status = 422
    code = "invalid_request_parameters"
    message = "Validation failed"

    def __init__(self, errors: list[ParameterError]) -> None:
        super().__init__()
        self.errors = errors

    def body(self) -> dict[str, object]:
        return super().body() | {"errors": self.errors}


def create(tx: Transaction, caller: Caller, body: CreateWebhookEndpoint, policy: TargetPolicy) -> WebhookEndpoint:
    """Create an enabled endpoint with a secret of its own; return it.

    Raises InvalidRequestParameters, InvalidUrl, DuplicateEndpoint.
    """
    return add(tx, caller, body.endpoint_url, body.events, policy)


def add(
    tx: Transaction,
    caller: Caller,
    url: str,
    names: list[str],
    policy: TargetPolicy,
    *,
    identity: str | UnsetType = UNSET,
    secret: str | UnsetType = UNSET,
    status: Status = "enabled",
) -> WebhookEndpoint:
    """Create an endpoint whose id, secret and status may be given; return it.

    Raises InvalidRequestParameters, InvalidUrl, DuplicateEndpoint.
    """
    events_json = _checked_events(names)
    _check_target(tx, caller, url, policy)
    row = EndpointRow(
        id=tx.new_id(PREFIX) if identity is UNSET else identity,
        endpoint_url=url,
        secret=new_secret(tx) if secret is UNSET else secret,
        previous_secret=None,
        previous_secret_until=None,
        status=status,
        events=events_json,
        failing_since=None,
        created_at=tx.now,
        updated_at=tx.now,
    )
    store.insert_endpoint(tx, caller.environment_id, row)
    # What happened before the environment's first endpoint is owed to nobody.
    store.insert_place(tx, caller.environment_id, events.last_settled(tx, caller.environment_id))
    return shown(row)


def new_secret(tx: Transaction) -> str:
    """Return a new secret, `whsec_` and 25 random letters and digits."""
    return f"whsec_{tx.new_token(_SECRET_LENGTH)}"


def list_page(tx: Transaction, caller: Caller, query: ListWebhookEndpoints) -> Page[WebhookEndpoint]:
    """Return one page of the environment's endpoints."""
    limits = bounds(query)
    walked = [(row.id, shown(row)) for row in store.select_endpoints(tx, caller.environment_id, limits)]
    has_behind = partial(store.has_endpoint_behind, tx, caller.environment_id, limits)
    return envelope(query, window(limits, walked, has_behind))


def update(
    tx: Transaction, caller: Caller, endpoint_id: str, body: UpdateWebhookEndpoint, policy: TargetPolicy
) -> WebhookEndpoint:
    """Change what `body` gives of an endpoint; return it. Enabling one forgets how long it failed.

    Raises WebhookEndpointNotFound, InvalidRequestParameters, InvalidUrl, DuplicateEndpoint.
    """
    before = get_row(tx, caller, endpoint_id)
    after = msgspec.structs.replace(
        before,
        endpoint_url=body.endpoint_url or before.endpoint_url,
        status=body.status or before.status,
        events=before.events if body.events is None else _checked_events(body.events),
        failing_since=None if body.status == "enabled" else before.failing_since,
    )
    if body.endpoint_url is not None and body.endpoint_url != before.endpoint_url:
        _check_target(tx, caller, body.endpoint_url, policy)
    if after != before:
        after = msgspec.structs.replace(after, updated_at=tx.now)
        store.update_endpoint(tx, caller.environment_id, after)
    return shown(after)


def delete(tx: Transaction, caller: Caller, endpoint_id: str) -> None:
    """Delete an endpoint: nothing is sent to it any more. Raises WebhookEndpointNotFound."""
    if not store.delete_endpoint(tx, caller.environment_id, endpoint_id):
        raise WebhookEndpointNotFound(endpoint_id)


def get_row(tx: Transaction, caller: Caller, endpoint_id: str) -> EndpointRow:
    """Return an endpoint's row. Raises WebhookEndpointNotFound."""
    row = store.select_endpoint(tx, caller.environment_id, endpoint_id)
    if row is None:
        raise WebhookEndpointNotFound(endpoint_id)
    return row


def signing_secrets(tx: Transaction) -> list[tuple[str, str]]:
    """Return the secrets that count now, of the endpoints of all environments, each with its endpoint's id."""
    return [
        (row.id, secret)
        for row in store.select_signing(tx, _MOST_SIGNING)
        for secret in (
            row.secret,
            row.previous_secret if (row.previous_secret_until or 0) > tx.milliseconds else None,
        )
        if secret is not None
    ]


def shown(row: EndpointRow) -> WebhookEndpoint:
    """Return an endpoint as the wire has it."""
    return WebhookEndpoint(
        id=row.id,
        endpoint_url=row.endpoint_url,
        secret=row.secret,
        status="enabled" if row.status == "enabled" else "disabled",
        events=msgspec.json.decode(row.events, type=list[str]),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _check_target(tx: Transaction, caller: Caller, url: str, policy: TargetPolicy) -> None:
    try:
        check_url(url, policy)
    except RefusedTarget as error:
        raise InvalidUrl(str(error)) from error
    holder = store.select_endpoint_id_by_url(tx, caller.environment_id, url)
    if holder is not None:
        raise DuplicateEndpoint(url, holder)


def _checked_events(names: list[str]) -> str:
    """Return the names, each once, as a JSON list. Raises InvalidRequestParameters."""
    if not names:
        raise InvalidRequestParameters([ParameterError("events", "events_required", "events must not be empty.")])
    errors = [
        ParameterError(f"events.{index}", "unknown_event_type", f"'{name}' is no event to subscribe to.")
        for index, name in enumerate(names)
        if name not in subscribable_names()
    ]
    if errors:
        raise InvalidRequestParameters(errors)
    return msgspec.json.encode(list(dict.fromkeys(names))).decode()
