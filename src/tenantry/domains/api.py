"""The routes of organization domains."""

import msgspec

from tenantry.core.endpoints import Call, Endpoint, Resource
from tenantry.core.errors import EntityNotFound, ValidationFailed
from tenantry.core.page import Page
from tenantry.domains import ownership, service
from tenantry.domains.service import (
    DomainAlreadyExists,
    DomainAlreadyVerified,
    DomainRules,
    DomainTaken,
    OrganizationDomainNotFound,
    Refresh,
    TooManyDomains,
)
from tenantry.domains.wire import (
    CreateOrganizationDomain,
    DomainAttemptList,
    DomainDiagnosis,
    DomainOwnership,
    ListDomainAttempts,
    OrganizationDomain,
)


def _get(call: Call) -> OrganizationDomain:
    return service.get(call.tx, call.caller, call.path["id"])


def _ownership(call: Call) -> DomainOwnership:
    return ownership.get_ownership(call.tx, call.caller, call.path["domain"])


def _diagnosis(call: Call) -> DomainDiagnosis:
    return ownership.get_diagnosis(call.tx, call.caller, call.path["id"])


def _attempts(call: Call) -> Page[msgspec.Raw]:
    return ownership.list_attempts(call.tx, call.caller, call.path["id"], call.query)


_OURS = (
    Endpoint(
        method="GET",
        path="/tenantry/domains/{domain}",
        name="tenantry.domains.ownership",
        summary="Tell which organization owns a domain, and who else claims it",
        answer=DomainOwnership,
        errors=(ValidationFailed,),
        handler=_ownership,
    ),
    Endpoint(
        method="GET",
        path="/tenantry/organization_domains/{id}/diagnosis",
        name="tenantry.organization_domains.diagnosis",
        summary="Tell how the verification of a domain stands, and what to do",
        answer=DomainDiagnosis,
        errors=(OrganizationDomainNotFound,),
        handler=_diagnosis,
    ),
    Endpoint(
        method="GET",
        path="/tenantry/organization_domains/{id}/attempts",
        name="tenantry.organization_domains.attempts",
        summary="List the checks of a domain, with what was asked and answered",
        query=ListDomainAttempts,
        answer=DomainAttemptList,
        errors=(OrganizationDomainNotFound,),
        handler=_attempts,
    ),
)


def resource(rules: DomainRules, refresh: Refresh) -> Resource:
    """Return the routes of organization domains, whose new ones are such as `rules` allow.

    `refresh` writes anew what an organization shows of its own.
    """

    def create(call: Call) -> OrganizationDomain:
        return service.create(call.tx, call.caller, call.body, rules, refresh)

    def delete(call: Call) -> None:
        service.delete(call.tx, call.caller, call.path["id"], refresh)

    def verify(call: Call) -> OrganizationDomain:
        return service.verify(call.tx, call.caller, call.path["id"], refresh)

    return Resource(
        name="organization_domains",
        title="Organization domains",
        endpoints=(
            Endpoint(
                method="POST",
                path="/organization_domains",
                name="organization_domains.create",
                summary="Create an organization domain, and begin to verify it",
                status=201,
                body=CreateOrganizationDomain,
                answer=OrganizationDomain,
                errors=(EntityNotFound, DomainAlreadyExists, DomainTaken, TooManyDomains),
                handler=create,
            ),
            Endpoint(
                method="GET",
                path="/organization_domains/{id}",
                name="organization_domains.get",
                summary="Get an organization domain",
                answer=OrganizationDomain,
                errors=(OrganizationDomainNotFound,),
                handler=_get,
            ),
            Endpoint(
                method="DELETE",
                path="/organization_domains/{id}",
                name="organization_domains.delete",
                summary="Delete an organization domain",
                status=204,
                errors=(OrganizationDomainNotFound,),
                handler=delete,
            ),
            Endpoint(
                method="POST",
                path="/organization_domains/{id}/verify",
                name="organization_domains.verify",
                summary="Verify an organization domain now",
                status=201,
                answer=OrganizationDomain,
                errors=(OrganizationDomainNotFound, DomainAlreadyVerified),
                handler=verify,
            ),
            *_OURS,
        ),
    )
