"""The routes of webhook endpoints."""

from tenantry.core.endpoints import Call, Endpoint, Resource
from tenantry.core.page import Page
from tenantry.webhooks import service
from tenantry.webhooks.service import (
    DuplicateEndpoint,
    InvalidRequestParameters,
    InvalidUrl,
    WebhookEndpointNotFound,
)
from tenantry.webhooks.targets import TargetPolicy
from tenantry.webhooks.wire import (
    CreateWebhookEndpoint,
    ListWebhookEndpoints,
    UpdateWebhookEndpoint,
    WebhookEndpoint,
    WebhookEndpointList,
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
        ),
    )


def _list(call: Call) -> Page[WebhookEndpoint]:
    return service.list_page(call.tx, call.caller, call.query)


def _delete(call: Call) -> None:
    service.delete(call.tx, call.caller, call.path["id"])
