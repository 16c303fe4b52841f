"""The routes of organizations."""

from collections.abc import Awaitable, Callable

import msgspec

from tenantry.core.effort import QUICK, TakesLong
from tenantry.core.endpoints import Call, Download, Endpoint, Later, Outside, Resource
from tenantry.core.page import Page
from tenantry.domains.service import DomainRules, DomainTaken
from tenantry.organizations import metadata_keys, reconcile, service, snapshot
from tenantry.organizations.metadata import InvalidMetadata
from tenantry.organizations.metadata_keys import (
    MetadataKeyNotFound,
    MetadataValueAlreadyUsed,
    TooManyMetadataKeys,
)
from tenantry.organizations.reconcile import TooManyToCompare
from tenantry.organizations.service import (
    ExternalIdAlreadyUsed,
    OrganizationNotFound,
    StripeCustomerIdAlreadyUsed,
)
from tenantry.organizations.wire import (
    GO_NAMES,
    CreateOrganization,
    DeclareMetadataKey,
    ListOrganizations,
    LookUpOrganizations,
    MetadataKey,
    MetadataKeyList,
    Organization,
    OrganizationList,
    OrganizationPage,
    Reconcile,
    Reconciliation,
    UpdateOrganization,
)


def _list(call: Call) -> OrganizationPage | Later:
    try:
        return service.list_page(call.tx, call.caller, call.query, QUICK)
    except TakesLong:
        return Later(_list_thoroughly(call.query))


def _list_thoroughly(query: ListOrganizations) -> Callable[[Outside], Awaitable[OrganizationPage]]:
    async def rest(outside: Outside) -> OrganizationPage:
        page: OrganizationPage = await outside.scan(lambda tx, caller: service.list_page(tx, caller, query))
        return page

    return rest


def _get(call: Call) -> msgspec.Raw:
    return service.get(call.tx, call.caller, call.path["id"])


def _get_by_external_id(call: Call) -> msgspec.Raw:
    return service.get_by_external_id(call.tx, call.caller, call.path["external_id"])


def _look_up(call: Call) -> Page[msgspec.Raw]:
    return service.look_up(call.tx, call.caller, call.query)


def _delete(call: Call) -> None:
    service.delete(call.tx, call.caller, call.path["id"])


def _snapshot(call: Call) -> Download:
    return snapshot.take(call.tx, call.caller)


def _reconcile(call: Call) -> Reconciliation:
    return reconcile.compare(call.tx, call.caller, call.body)


_KEYS = "/tenantry/metadata_keys"
_KEY = f"{_KEYS}/{{key:path}}"

_METADATA_KEYS = (
    Endpoint(
        method="GET",
        path=_KEYS,
        name="tenantry.metadata_keys.list",
        summary="List the declared metadata keys",
        answer=MetadataKeyList,
        handler=lambda call: metadata_keys.list_all(call.tx, call.caller),
    ),
    Endpoint(
        method="GET",
        path=_KEY,
        name="tenantry.metadata_keys.get",
        summary="Get a declared metadata key: whether it is ready, and what stands in the way",
        answer=MetadataKey,
        errors=(MetadataKeyNotFound,),
        handler=lambda call: metadata_keys.get(call.tx, call.caller, call.path["key"]),
    ),
    Endpoint(
        method="PUT",
        path=_KEY,
        name="tenantry.metadata_keys.declare",
        summary="Declare a metadata key: indexed, and if so wanted unique or with allowed values",
        status=202,
        body=DeclareMetadataKey,
        answer=MetadataKey,
        errors=(InvalidMetadata, TooManyMetadataKeys),
        handler=lambda call: metadata_keys.declare(call.tx, call.caller, call.path["key"], call.body),
    ),
    Endpoint(
        method="DELETE",
        path=_KEY,
        name="tenantry.metadata_keys.remove",
        summary="Declare a metadata key no more",
        status=202,
        errors=(MetadataKeyNotFound,),
        handler=lambda call: metadata_keys.remove(call.tx, call.caller, call.path["key"]),
    ),
)


def resource(rules: DomainRules) -> Resource:
    """Return the routes of organizations, whose new domains are such as `rules` allow."""

    def create(call: Call) -> msgspec.Raw:
        return service.create(call.tx, call.caller, call.body, rules)

    def update(call: Call) -> msgspec.Raw:
        return service.update(call.tx, call.caller, call.path["id"], call.body, rules)

    return Resource(
        name="organizations",
        title="Organizations",
        endpoints=(
            Endpoint(
                method="GET",
                path="/organizations",
                name="organizations.list",
                summary="List organizations",
                query=ListOrganizations,
                answer=OrganizationList,
                handler=_list,
            ),
            Endpoint(
                method="POST",
                path="/organizations",
                name="organizations.create",
                summary="Create an organization",
                status=201,
                body=CreateOrganization,
                answer=Organization,
                errors=(InvalidMetadata, MetadataValueAlreadyUsed, ExternalIdAlreadyUsed, DomainTaken),
                handler=create,
                adds=True,
            ),
            Endpoint(
                method="GET",
                path="/organizations/{id}",
                name="organizations.get",
                summary="Get an organization",
                answer=Organization,
                errors=(OrganizationNotFound,),
                handler=_get,
            ),
            Endpoint(
                method="GET",
                path="/organizations/external_id/{external_id:path}",
                name="organizations.get_by_external_id",
                summary="Get an organization by its external id",
                answer=Organization,
                errors=(OrganizationNotFound,),
                handler=_get_by_external_id,
            ),
            Endpoint(
                method="PUT",
                path="/organizations/{id}",
                name="organizations.update",
                summary="Update an organization",
                body=UpdateOrganization,
                answer=Organization,
                aliases=GO_NAMES,
                errors=(
                    OrganizationNotFound,
                    InvalidMetadata,
                    MetadataValueAlreadyUsed,
                    ExternalIdAlreadyUsed,
                    StripeCustomerIdAlreadyUsed,
                    DomainTaken,
                ),
                handler=update,
            ),
            Endpoint(
                method="DELETE",
                path="/organizations/{id}",
                name="organizations.delete",
                summary="Delete an organization",
                status=202,
                errors=(OrganizationNotFound,),
                handler=_delete,
            ),
            Endpoint(
                method="GET",
                path="/tenantry/organizations/lookup",
                name="tenantry.organizations.lookup",
                summary="Tell which organization an e-mail address belongs to, by verified domain",
                query=LookUpOrganizations,
                answer=OrganizationList,
                handler=_look_up,
            ),
            Endpoint(
                method="GET",
                path="/tenantry/snapshot",
                name="tenantry.snapshot",
                summary="Copy all organizations, as lines of JSON, with the position of the events that lead on",
                media=snapshot.MEDIA,
                answer=Organization,
                handler=_snapshot,
                scans=True,
            ),
            Endpoint(
                method="POST",
                path="/tenantry/reconcile",
                name="tenantry.reconcile",
                summary="Tell which organizations of a copy differ",
                body=Reconcile,
                answer=Reconciliation,
                errors=(TooManyToCompare,),
                handler=_reconcile,
                scans=True,
                changes=False,
            ),
            *_METADATA_KEYS,
        ),
    )
