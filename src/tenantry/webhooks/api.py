"""The routes of webhook endpoints."""

from tenantry.core.endpoints import Call, Endpoint, Resource
from tenantry.core.page import Page
from tenantry.core.targets import TargetPolicy
from tenantry.webhooks import history, service
from tenantry.webhooks.history import DeliveryNotFound
from tenantry.webhooks.service import (
    DuplicateEndpoint,
    InvalidRequestParameters,
    InvalidUrl,
    WebhookEndpointNotFound,
)
from tenantry.webhooks.wire import (
    CreateWebhookEndpoint,
    ListAttempts,
    ListDeliveries,
    ListWebhookEndpoints,
    RecoverDeliveries,
    ReplayEvents,
    Requeued,
    RotateSecret,
    UpdateWebhookEndpoint,
    WebhookAttemptList,
    WebhookDelivery,
    WebhookDeliveryList,
    WebhookEndpoint,
    WebhookEndpointList,
)

_DELIVERY = "/tenantry/webhook_deliveries/{webhook_delivery_id}"
_ENDPOINT = "/tenantry/webhook_endpoints/{id}"

_OURS = (
    Endpoint(
        method="GET",
        path=f"{_ENDPOINT}/deliveries",
        name="tenantry.webhook_endpoints.deliveries",
        summary="List what an endpoint was and is owed",
        query=ListDeliveries,
        answer=WebhookDeliveryList,
        errors=(WebhookEndpointNotFound,),
        handler=lambda call: history.list_deliveries(call.tx, call.caller, call.path["id"], call.query),
    ),
    Endpoint(
        method="GET",
        path=f"{_DELIVERY}/attempts",
        name="tenantry.webhook_deliveries.attempts",
        summary="List the attempts to make a delivery",
        query=ListAttempts,
        answer=WebhookAttemptList,
        errors=(DeliveryNotFound,),
        handler=lambda call: history.list_attempts(
            call.tx, call.caller, call.path["webhook_delivery_id"], call.query
        ),
    ),
    Endpoint(
        method="POST",
        path=f"{_DELIVERY}/resend",
        name="tenantry.webhook_deliveries.resend",
        summary="Make a delivery again",
        answer=WebhookDelivery,
        errors=(DeliveryNotFound,),
        handler=lambda call: history.resend(call.tx, call.caller, call.path["webhook_delivery_id"]),
    ),
    Endpoint(
        method="POST",
        path=f"{_ENDPOINT}/replay",
        name="tenantry.webhook_endpoints.replay",
        summary="Send an endpoint the events of a range of time",
        body=ReplayEvents,
        answer=Requeued,
        errors=(WebhookEndpointNotFound,),
        handler=lambda call: history.replay(call.tx, call.caller, call.path["id"], call.body),
    ),
    Endpoint(
        method="POST",
        path=f"{_ENDPOINT}/recover",
        name="tenantry.webhook_endpoints.recover",
        summary="Send an endpoint what has failed since a time",
        body=RecoverDeliveries,
        answer=Requeued,
        errors=(WebhookEndpointNotFound,),
        handler=lambda call: history.recover(call.tx, call.caller, call.path["id"], call.body),
    ),
    Endpoint(
        method="POST",
        path=f"{_ENDPOINT}/rotate_secret",
        name="tenantry.webhook_endpoints.rotate_secret",
        summary="Give an endpoint a new secret",
        body=RotateSecret,
        answer=WebhookEndpoint,
        errors=(WebhookEndpointNotFound,),
        handler=lambda call: history.rotate_secret(call.tx, call.caller, call.path["id"], call.body),
    ),
    Endpoint(
        method="POST",
        path=f"{_ENDPOINT}/test",
        name="tenantry.webhook_endpoints.test",
        summary="Send an endpoint an event that stands for nothing",
        answer=WebhookDelivery,
        errors=(WebhookEndpointNotFound,),
        handler=lambda call: history.send_test(call.tx, call.caller, call.path["id"]),
    ),
)


def resource(policy: TargetPolicy) -> Resource:
    """Return the routes of webhooks, whose endpoints may be where `policy` says."""

    def create(call: Call) -> WebhookEndpoint:
        return service.create(call.tx, call.caller, call.body, policy)

    def update(call: Call) -> WebhookEndpoint:
        return service.update(call.tx, call.caller, call.path["id"], call.body, policy)

    return Resource(
        name="webhook_endpoints",
        title="Webhook endpoints",
        endpoints=(
            Endpoint(
                method="GET",
                path="/webhook_endpoints",
                name="webhook_endpoints.list",
                summary="List webhook endpoints",
                query=ListWebhookEndpoints,
                answer=WebhookEndpointList,
                handler=_list,
            ),
            Endpoint(
                method="POST",
                path="/webhook_endpoints",
                name="webhook_endpoints.create",
                summary="Create a webhook endpoint",
                status=201,
                body=CreateWebhookEndpoint,
                answer=WebhookEndpoint,
                errors=(DuplicateEndpoint, InvalidUrl, InvalidRequestParameters),
                handler=create,
            ),
            Endpoint(
                method="PATCH",
                path="/webhook_endpoints/{id}",
                name="webhook_endpoints.update",
                summary="Update a webhook endpoint",
                body=UpdateWebhookEndpoint,
                answer=WebhookEndpoint,
                errors=(WebhookEndpointNotFound, DuplicateEndpoint, InvalidUrl, InvalidRequestParameters),
                handler=update,
            ),
            Endpoint(
                method="DELETE",
                path="/webhook_endpoints/{id}",
                name="webhook_endpoints.delete",
                summary="Delete a webhook endpoint",
                status=204,
                errors=(WebhookEndpointNotFound,),
                handler=_delete,
            ),
            *_OURS,
        ),
    )


def _list(call: Call) -> Page[WebhookEndpoint]:
    return service.list_page(call.tx, call.caller, call.query)


def _delete(call: Call) -> None:
    service.delete(call.tx, call.caller, call.path["id"])
