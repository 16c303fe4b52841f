"""The routes of log streams."""

from tenantry.audit_logs.streams import service
from tenantry.audit_logs.streams.service import AuditLogStreamNotFound
from tenantry.audit_logs.streams.wire import (
    AuditLogStream,
    AuditLogStreamList,
    CreateAuditLogStream,
    ListAuditLogStreams,
    UpdateAuditLogStream,
)
from tenantry.core.endpoints import Call, Endpoint, Resource
from tenantry.core.targets import TargetPolicy
from tenantry.organizations.service import OrganizationNotFound

_OF_ORGANIZATION = "/tenantry/organizations/{id}/audit_log_streams"
_STREAM = "/tenantry/audit_log_streams/{audit_log_stream_id}"
_ID = "audit_log_stream_id"


def resource(policy: TargetPolicy) -> Resource:
    """Return the routes of log streams, whose destinations may be where `policy` says."""

    def create(call: Call) -> AuditLogStream:
        return service.create(call.tx, call.caller, call.path["id"], call.body, policy)

    def update(call: Call) -> AuditLogStream:
        return service.update(call.tx, call.caller, call.path[_ID], call.body, policy)

    return Resource(
        name="audit_log_streams",
        title="Audit log streams",
        endpoints=(
            Endpoint(
                method="GET",
                path=_OF_ORGANIZATION,
                name="tenantry.audit_log_streams.list",
                summary="List an organization's log streams",
                query=ListAuditLogStreams,
                answer=AuditLogStreamList,
                errors=(OrganizationNotFound,),
                handler=lambda call: service.list_page(call.tx, call.caller, call.path["id"], call.query),
            ),
            Endpoint(
                method="POST",
                path=_OF_ORGANIZATION,
                name="tenantry.audit_log_streams.create",
                summary="Send an organization's events to a destination",
                status=201,
                body=CreateAuditLogStream,
                example={
                    "type": "Splunk",
                    "splunk": {
                        "url": "https://splunk.example:8088",
                        "token": "12345678-90ab-cdef-1234-567890abcdef",
                    },
                },
                answer=AuditLogStream,
                errors=(OrganizationNotFound,),
                handler=create,
            ),
            Endpoint(
                method="GET",
                path=_STREAM,
                name="tenantry.audit_log_streams.get",
                summary="Get a log stream",
                answer=AuditLogStream,
                errors=(AuditLogStreamNotFound,),
                handler=lambda call: service.get(call.tx, call.caller, call.path[_ID]),
            ),
            Endpoint(
                method="PATCH",
                path=_STREAM,
                name="tenantry.audit_log_streams.update",
                summary="Update a log stream",
                body=UpdateAuditLogStream,
                example={"state": "inactive"},
                answer=AuditLogStream,
                errors=(AuditLogStreamNotFound,),
                handler=update,
            ),
            Endpoint(
                method="DELETE",
                path=_STREAM,
                name="tenantry.audit_log_streams.delete",
                summary="Delete a log stream",
                status=204,
                errors=(AuditLogStreamNotFound,),
                handler=lambda call: service.delete(call.tx, call.caller, call.path[_ID]),
            ),
            Endpoint(
                method="POST",
                path=f"{_STREAM}/test",
                name="tenantry.audit_log_streams.test",
                summary="Send a log stream an event that stands for nothing",
                answer=AuditLogStream,
                errors=(AuditLogStreamNotFound,),
                handler=lambda call: service.test(call.tx, call.caller, call.path[_ID]),
            ),
        ),
    )
