"""The routes of audit logs."""

from tenantry.audit_logs import service
from tenantry.audit_logs.service import AuditLogActionNotFound, InvalidAuditLogEvent
from tenantry.audit_logs.wire import (
    AuditLogActionList,
    AuditLogConfiguration,
    AuditLogEventCreated,
    AuditLogSchema,
    AuditLogSchemaList,
    AuditLogsRetention,
    CreateAuditLogEvent,
    CreateAuditLogSchema,
    ListAuditLogActions,
    ListAuditLogSchemas,
    SetAuditLogsRetention,
)
from tenantry.core.endpoints import Endpoint, Resource
from tenantry.organizations.service import OrganizationNotFound

_SCHEMAS = "/audit_logs/actions/{action}/schemas"
_RETENTION = "/organizations/{id}/audit_logs_retention"

RESOURCE = Resource(
    name="audit_logs",
    title="Audit logs",
    endpoints=(
        Endpoint(
            method="POST",
            path="/audit_logs/events",
            name="audit_logs.events.create",
            summary="Create an audit log event",
            body=CreateAuditLogEvent,
            answer=AuditLogEventCreated,
            errors=(OrganizationNotFound, AuditLogActionNotFound, InvalidAuditLogEvent),
            handler=lambda call: service.create_event(call.tx, call.caller, call.body),
        ),
        Endpoint(
            method="GET",
            path="/audit_logs/actions",
            name="audit_logs.actions.list",
            summary="List actions",
            query=ListAuditLogActions,
            answer=AuditLogActionList,
            handler=lambda call: service.list_actions(call.tx, call.caller, call.query),
        ),
        Endpoint(
            method="POST",
            path=_SCHEMAS,
            name="audit_logs.schemas.create",
            summary="Create an action's next schema",
            status=201,
            body=CreateAuditLogSchema,
            answer=AuditLogSchema,
            handler=lambda call: service.create_schema(call.tx, call.caller, call.path["action"], call.body),
        ),
        Endpoint(
            method="GET",
            path=_SCHEMAS,
            name="audit_logs.schemas.list",
            summary="List an action's schemas",
            query=ListAuditLogSchemas,
            answer=AuditLogSchemaList,
            errors=(AuditLogActionNotFound,),
            handler=lambda call: service.list_schemas(call.tx, call.caller, call.path["action"], call.query),
        ),
        Endpoint(
            method="GET",
            path=_RETENTION,
            name="audit_logs.retention.get",
            summary="Get an organization's retention",
            answer=AuditLogsRetention,
            errors=(OrganizationNotFound,),
            handler=lambda call: service.get_retention(call.tx, call.caller, call.path["id"]),
        ),
        Endpoint(
            method="PUT",
            path=_RETENTION,
            name="audit_logs.retention.set",
            summary="Set an organization's retention",
            body=SetAuditLogsRetention,
            answer=AuditLogsRetention,
            errors=(OrganizationNotFound,),
            handler=lambda call: service.set_retention(call.tx, call.caller, call.path["id"], call.body),
        ),
        Endpoint(
            method="GET",
            path="/organizations/{id}/audit_log_configuration",
            name="audit_logs.configuration.get",
            summary="Get an organization's audit log configuration",
            answer=AuditLogConfiguration,
            errors=(OrganizationNotFound,),
            handler=lambda call: service.get_configuration(call.tx, call.caller, call.path["id"]),
        ),
    ),
)
