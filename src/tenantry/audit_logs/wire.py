"""Audit logs as they cross the network (wire.md section 6)."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tenantry.audit_logs.filters import is_place
from tenantry.audit_logs.policy import ALLOWED_DAYS, PERIODS
from tenantry.audit_logs.streams.wire import ConfiguredStream
from tenantry.core.page import AFTER, BEFORE, Cursor, ListMetadata, PageQuery
from tenantry.core.parsing import ParsedText

EVENT_PREFIX = "audit_log_event"
ACTION_PREFIX = "ala"
SCHEMA_PREFIX = "als"

EXPORT_PREFIX = "audit_log_export"
ExportFormat = Literal["csv", "ndjson"]
ExportState = Literal["pending", "ready", "error", "expired"]

_MOST_TARGETS = 100
_MOST_FILTERED = 100
LONGEST_NAME = 500
LONGEST_METADATA = 500
_LONGEST_USER_AGENT = 2000
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)?\Z", re.ASCII)


class OccurredAt(ParsedText):
    """A time, RFC 3339, with any offset; kept in UTC. Without an offset it is UTC: some clients send such."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the time with milliseconds and `Z`. Raises ValueError."""
        wrong = "must be an ISO 8601 time, as 2026-01-15T12:00:00.000Z"
        if not _RFC_3339.match(text):
            raise ValueError(wrong)
        try:
            moment = datetime.fromisoformat(text.upper())
            moment = moment.astimezone(UTC) if moment.tzinfo else moment
        except (ValueError, OverflowError) as error:
            raise ValueError(wrong) from error
        return cls(moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z")


class RetentionPeriod(ParsedText):
    """The name of a retention period."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the name. Raises ValueError."""
        if text not in PERIODS:
            raise ValueError(f"must be one of the following values: {', '.join(PERIODS)}")
        return cls(text)


METADATA_SCHEMA: dict[str, Any] = {
    "maxProperties": 50,
    "additionalProperties": False,
    "patternProperties": {
        "^[a-zA-Z0-9_-]{0,40}$": {
            "anyOf": [{"type": "string", "maxLength": LONGEST_METADATA}, {"type": "number"}, {"type": "boolean"}]
        }
    },
}
"""What every metadata must be, whatever the action's own schema says (the public API document)."""

Text = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
Kind = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME, examples=["user"])]
Name = Annotated[str, Meta(max_length=LONGEST_NAME)]
# What breaks these rules is a 400 of its own kind, so the structs let it through.
EventMetadata = Annotated[dict[str, Any], Meta(extra_json_schema=METADATA_SCHEMA)]
MetadataSchema = Annotated[
    dict[str, Any],
    Meta(
        description="JSON Schema of the metadata.",
        examples=[{"type": "object", "properties": {"role": {"type": "string"}}}],
        extra_json_schema={"additionalProperties": True},
    ),
]


class AuditLogActor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who did it."""

    id: Text
    type: Kind
    name: Name | None = None
    metadata: EventMetadata | None = None


class AuditLogTarget(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What it was done to."""

    id: Text
    type: Kind
    name: Name | None = None
    metadata: EventMetadata | None = None


class AuditLogContext(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where it was done from: an IP address or another place, and with what."""

    location: Annotated[str, Meta(max_length=LONGEST_NAME, examples=["192.0.2.1"])]
    user_agent: Annotated[str, Meta(max_length=_LONGEST_USER_AGENT)] | None = None


class AuditLogEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened. Without a `version` it is checked against the newest schema of its action."""

    action: Text
    occurred_at: Annotated[OccurredAt, Meta(description="When it happened, ISO 8601: 2026-02-02T16:35:39.317Z.")]
    actor: AuditLogActor
    targets: Annotated[list[AuditLogTarget], Meta(max_length=_MOST_TARGETS)]
    context: AuditLogContext
    metadata: EventMetadata | None = None
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None


class CreateAuditLogEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an event's create."""

    organization_id: str
    event: AuditLogEvent


class AuditLogEventCreated(msgspec.Struct, frozen=True):
    """The answer to an event's create."""

    success: bool = True


class AuditLogSchemaActor(msgspec.Struct, frozen=True, kw_only=True):
    """What the metadata of an action's actor may be."""

    metadata: MetadataSchema


class AuditLogSchemaTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A type of target that an action may have, and what its metadata may be."""

    type: Kind
    metadata: MetadataSchema | UnsetType | None = UNSET


class CreateAuditLogSchema(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a schema's create."""

    targets: Annotated[list[AuditLogSchemaTarget], Meta(min_length=1, max_length=_MOST_TARGETS)]
    actor: AuditLogSchemaActor | None = None
    metadata: MetadataSchema | None = None


class AuditLogSchema(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="audit_log_schema"):
    """One version of what an action's events may be. It never changes."""

    version: int
    actor: AuditLogSchemaActor | UnsetType = UNSET
    targets: list[AuditLogSchemaTarget]
    metadata: MetadataSchema | UnsetType = UNSET
    created_at: str


class AuditLogAction(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="audit_log_action"):
    """Something that can happen, with its newest schema."""

    name: str
    schema: AuditLogSchema
    created_at: str
    updated_at: str


class ActionCursor(Cursor):
    """A place in the list of actions."""

    __slots__ = ()
    prefix = ACTION_PREFIX


class SchemaCursor(Cursor):
    """A place in the list of an action's schemas."""

    __slots__ = ()
    prefix = SCHEMA_PREFIX


class ListAuditLogActions(PageQuery, kw_only=True, frozen=True):
    """The query of a list of actions. The cursors are those of `list_metadata`: an action shows no id."""

    before: Annotated[ActionCursor, BEFORE] | None = None
    after: Annotated[ActionCursor, AFTER] | None = None


class ListAuditLogSchemas(PageQuery, kw_only=True, frozen=True):
    """The query of a list of schemas. The cursors are those of `list_metadata`: a schema shows no id."""

    before: Annotated[SchemaCursor, BEFORE] | None = None
    after: Annotated[SchemaCursor, AFTER] | None = None


class AuditLogActionList(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """A page of actions."""

    data: list[AuditLogAction]
    list_metadata: ListMetadata


class AuditLogSchemaList(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """A page of schemas."""

    data: list[AuditLogSchema]
    list_metadata: ListMetadata


class AuditLogsRetention(msgspec.Struct, frozen=True):
    """How long an organization's events are kept; None while nothing was set."""

    retention_period_in_days: int | None


class SetAuditLogsRetention(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a change of retention: one of the two."""

    retention_period: (
        Annotated[RetentionPeriod, Meta(extra_json_schema={"enum": list(PERIODS)}, examples=["1_YEAR"])] | None
    ) = None
    retention_period_in_days: (
        Annotated[int, Meta(extra_json_schema={"enum": sorted(ALLOWED_DAYS)}, examples=[30])] | None
    ) = None


class AuditLogConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """How an organization's events are kept, and where they are sent."""

    organization_id: str
    retention_period_in_days: int
    state: Literal["active", "inactive", "disabled"]
    log_stream: ConfiguredStream | UnsetType = UNSET


class KeptAuditLogEvent(AuditLogEvent, frozen=True, kw_only=True, tag_field="object", tag="audit_log_event"):
    """An event as it is kept, read and hashed: what was sent, whose it is, and when it came."""

    id: str
    organization_id: str
    version: int
    created_at: Annotated[str, Meta(description="When it was written.")]


class EventPlace(ParsedText):
    """A place in an organization's trail, whose event need not be kept any more."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the text as it is. Raises ValueError for what is no place."""
        if not is_place(text):
            raise ValueError("must be a cursor of this list, as list_metadata gives it")
        return cls(text)


_LONGEST_SEARCH = 200
Sought = Annotated[str, Meta(max_length=LONGEST_NAME)]


class ListAuditLogEvents(PageQuery, kw_only=True, frozen=True):
    """The query of a list of events, by time. The cursors are those of `list_metadata`, as an event shows none."""

    before: Annotated[EventPlace, BEFORE] | None = None
    after: Annotated[EventPlace, AFTER] | None = None
    organization_id: Annotated[str, Meta(description="Whose events; it may be a deleted organization's.")]
    range_start: Annotated[OccurredAt, Meta(description="Occurred at this time or later, ISO 8601.")] | None = None
    range_end: Annotated[OccurredAt, Meta(description="Occurred at this time or before, ISO 8601.")] | None = None
    actions: Annotated[list[str], Meta(max_length=_MOST_FILTERED, description="With any of these actions.")] = (
        msgspec.field(default_factory=list)
    )
    actor_id: Annotated[Sought, Meta(description="By the actor with this id.")] | None = None
    actor_name: Annotated[Sought, Meta(description="By an actor of this name.")] | None = None
    actor_type: Annotated[Sought, Meta(description="By an actor of this type.")] | None = None
    target_id: Annotated[Sought, Meta(description="With a target of this id.")] | None = None
    target_type: (
        Annotated[Sought, Meta(description="With a target of this type; if `target_id` is given, with that one.")]
        | None
    ) = None
    search: (
        Annotated[
            str,
            Meta(
                max_length=_LONGEST_SEARCH,
                description="With this text in the action, a name, an id, a type, the context or a value of"
                " metadata, whatever the case.",
            ),
        ]
        | None
    ) = None


class AuditLogSeal(msgspec.Struct, frozen=True):
    """An event's place in its organization's chain (docs/audit_format.md)."""

    sequence: int
    hash: str


class ReadAuditLogEvent(KeptAuditLogEvent, frozen=True, kw_only=True, tag_field="object", tag=EVENT_PREFIX):
    """An event as it is read. `seal` is null for the second or so until it has its place in the chain."""

    seal: AuditLogSeal | None


class AuditLogEventList(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """A page of an organization's events."""

    data: list[ReadAuditLogEvent]
    list_metadata: ListMetadata


class AuditLogKey(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="audit_log_key"):
    """The public half of a key that audit logs were signed with."""

    id: str
    algorithm: Literal["Ed25519"] = "Ed25519"
    public_key: Annotated[str, Meta(description="PEM.")]
    created_at: str


class AuditLogKeyList(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """All keys that audit logs were signed with, oldest first."""

    data: list[AuditLogKey]


Several = Annotated[list[Sought], Meta(max_length=_MOST_FILTERED)]


class CreateAuditLogExport(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an export's create. Events match all that is given, of a list any; the range has both its ends.

    `format`, `actor_types`, `target_ids` and `search` are extensions.
    """

    organization_id: str
    range_start: Annotated[OccurredAt, Meta(description="Occurred at this time or later, ISO 8601.")]
    range_end: Annotated[OccurredAt, Meta(description="Occurred at this time or before, ISO 8601.")]
    actions: Several | None = None
    actors: Annotated[Several, Meta(description="Deprecated: `actor_names`.")] | None = None
    actor_names: Several | None = None
    actor_ids: Several | None = None
    actor_types: Several | None = None
    targets: Annotated[Several, Meta(description="Types of targets.")] | None = None
    target_ids: Several | None = None
    search: Annotated[str, Meta(max_length=_LONGEST_SEARCH)] | None = None
    format: ExportFormat = "csv"


class AuditLogExport(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="object", tag="audit_log_export"
):
    """A file of events, which is made after it was asked for. `url` is there when it is ready, for ten minutes."""

    id: str
    state: ExportState
    url: str | None = None
    created_at: str
    updated_at: str


class DownloadAuditLogExport(msgspec.Struct, frozen=True, kw_only=True):
    """The query of a link."""

    expires: Annotated[int, Meta(ge=0, le=2**53, description="Until when it opens, in milliseconds.")]
    signature: Annotated[str, Meta(max_length=100)]
