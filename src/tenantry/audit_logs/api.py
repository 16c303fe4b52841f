"""The routes of audit logs."""

from tenantry.audit_logs import exports, keys, links, reading, service
from tenantry.audit_logs.exports import (
    AuditLogExportNotFound,
    InvalidAuditLogExport,
    InvalidExportRange,
    InvalidLink,
)
from tenantry.audit_logs.links import Link
from tenantry.audit_logs.service import AuditLogActionNotFound, InvalidAuditLogEvent
from tenantry.audit_logs.wire import (
    AuditLogActionList,
    AuditLogConfiguration,
    AuditLogEventCreated,
    AuditLogEventList,
    AuditLogExport,
    AuditLogKeyList,
    AuditLogSchema,
    AuditLogSchemaList,
    AuditLogsRetention,
    CreateAuditLogEvent,
    CreateAuditLogExport,
    CreateAuditLogSchema,
    DownloadAuditLogExport,
    ListAuditLogActions,
    ListAuditLogEvents,
    ListAuditLogSchemas,
    SetAuditLogsRetention,
)
from tenantry.core.endpoints import Call, Endpoint, Resource
from tenantry.organizations.service import OrganizationNotFound

_SCHEMAS = "/audit_logs/actions/{action}/schemas"
_RETENTION = "/organizations/{id}/audit_logs_retention"


_READING = (
    Endpoint(
        method="GET",
        path="/tenantry/audit_logs/events",
        name="tenantry.audit_logs.events.list",
        summary="List an organization's audit log events by time, actor, target, action or text",
        query=ListAuditLogEvents,
        answer=AuditLogEventList,
        errors=(OrganizationNotFound,),
        handler=lambda call: reading.list_events(call.tx, call.caller, call.query),
    ),
    Endpoint(
        method="GET",
        path="/tenantry/audit_logs/keys",
        name="audit_logs.keys.list",
        summary="List the keys that audit logs are signed with",
        answer=AuditLogKeyList,
        handler=lambda call: keys.list_keys(call.tx),
    ),
)

_WIRE = (
    Endpoint(
        method="POST",
        path="/audit_logs/events",
        name="audit_logs.events.create",
        summary="Create an audit log event",
        body=CreateAuditLogEvent,
        answer=AuditLogEventCreated,
        errors=(OrganizationNotFound, AuditLogActionNotFound, InvalidAuditLogEvent),
        handler=lambda call: service.create_event(call.tx, call.caller, call.body),
        adds=True,
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
)


def _exports(base_url: str, address: str) -> tuple[Endpoint, ...]:
    def get(call: Call) -> AuditLogExport:
        origin = links.origin_of(base_url, call.header, address)
        return exports.get(call.tx, call.caller, call.path["id"], origin)

    return (
        Endpoint(
            method="POST",
            path="/audit_logs/exports",
            name="audit_logs.exports.create",
            summary="Export an organization's events to a file",
            status=201,
            body=CreateAuditLogExport,
            answer=AuditLogExport,
            errors=(OrganizationNotFound, InvalidExportRange),
            wrong=InvalidAuditLogExport,
            handler=lambda call: exports.create(call.tx, call.caller, call.body),
        ),
        Endpoint(
            method="GET",
            path="/audit_logs/exports/{id}",
            name="audit_logs.exports.get",
            summary="Get an export, with a new link to its file if it is ready",
            answer=AuditLogExport,
            errors=(AuditLogExportNotFound,),
            handler=get,
        ),
        Endpoint(
            method="GET",
            path=exports.DOWNLOAD,
            name="tenantry.audit_logs.exports.download",
            summary="Download an export's file by a link, without a key",
            query=DownloadAuditLogExport,
            errors=(InvalidLink,),
            handler=lambda call: exports.download(
                call.tx, call.path["id"], Link(call.query.expires, call.query.signature)
            ),
            scans=True,
            keyless=True,
        ),
    )


def resource(base_url: str, address: str) -> Resource:
    """Return the routes of audit logs. Links begin with `base_url`, if that is set; `address` is what listens."""
    return Resource(
        name="audit_logs",
        title="Audit logs",
        endpoints=(*_WIRE, *_READING, *_exports(base_url, address)),
    )
