"""Log streams as they cross the network."""

import re
from typing import Annotated, ClassVar, Literal, Self

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tenantry.audit_logs.streams.policy import State
from tenantry.core.page import AFTER, BEFORE, Cursor, ListMetadata, PageQuery
from tenantry.core.parsing import ParsedText

PREFIX = "als"

TYPES = ("Datadog", "GenericHttps", "S3", "Splunk")
_TYPES_ELSEWHERE = ("AzureSentinel", "GoogleCloudStorage", "Snowflake")
_MOST_HEADERS = 20
_MOST_TAGS = 10
_MOST_BATCH_SECONDS = 3600

Site = Literal[
    "datadoghq.com",
    "us3.datadoghq.com",
    "us5.datadoghq.com",
    "datadoghq.eu",
    "ap1.datadoghq.com",
    "ap2.datadoghq.com",
    "ddog-gov.com",
]


class StreamType(ParsedText):
    """The name of a type of stream, as the wire has it (wire.md section 6.4)."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the name. Raises ValueError."""
        if text in TYPES:
            return cls(text)
        known = f"must be one of the following values: {', '.join(TYPES)}"
        raise ValueError(f"{known}; Tenantry does not have {text} yet" if text in _TYPES_ELSEWHERE else known)


class _Patterned(ParsedText):
    """A text that has to match a pattern."""

    __slots__ = ()
    pattern: ClassVar[re.Pattern[str]]
    sentence: ClassVar[str]

    @classmethod
    def parse(cls, text: str) -> Self:
        if not cls.pattern.match(text):
            raise ValueError(cls.sentence)
        return cls(text)


class Credential(_Patterned):
    """A secret that goes into a header: it can hold neither spaces nor line ends."""

    __slots__ = ()
    pattern = re.compile(r"[!-~]{1,1000}\Z")
    sentence = "must be 1 to 1000 printable ASCII characters without spaces"


class SigningSecret(_Patterned):
    """A secret that requests are signed with."""

    __slots__ = ()
    pattern = re.compile(r"[!-~]{16,200}\Z")
    sentence = "must be 16 to 200 printable ASCII characters without spaces"


class Word(_Patterned):
    """A name that a receiver gives: of an index, a source type, a service."""

    __slots__ = ()
    pattern = re.compile(r"[A-Za-z0-9_.:/-]{1,200}\Z")
    sentence = "must be 1 to 200 letters, digits or characters of _.:/-"


class Tag(_Patterned):
    """A tag; those of a log are in each of a thousand, and a request has its limit."""

    __slots__ = ()
    pattern = re.compile(r"[A-Za-z0-9_.:/-]{1,100}\Z")
    sentence = "must be 1 to 100 letters, digits or characters of _.:/-"


class Bucket(_Patterned):
    """The name of a bucket."""

    __slots__ = ()
    pattern = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
    sentence = "must be 3 to 63 lower-case letters, digits, dots or hyphens"


class Region(_Patterned):
    """The name of a region."""

    __slots__ = ()
    pattern = re.compile(r"[a-z0-9-]{1,50}\Z")
    sentence = "must be a region's name, as eu-central-1"


class KeyPrefix(_Patterned):
    """The beginning of the keys of objects."""

    __slots__ = ()
    pattern = re.compile(r"(?!/)(?!.*//)(?!(.*/)?\.\.?/)[A-Za-z0-9._=/-]{0,200}\Z")
    sentence = "must be up to 200 letters, digits or characters of ._=/- without an empty part, . or .."


Url = Annotated[str, Meta(max_length=1000, examples=["https://logs.example/audit"])]


class GenericHttps(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A receiver of POST requests. What is not given is not sent, but a signing secret: one is made."""

    url: Annotated[Url, Meta(description="An https URL at a public address.")]
    format: Annotated[Literal["ndjson", "json"], Meta(description="An event a line, or one array of events.")] = (
        "ndjson"
    )
    headers: Annotated[
        dict[str, str], Meta(max_length=_MOST_HEADERS, description="Headers to send with each request.")
    ] = {}
    bearer_token: Annotated[Credential, Meta(description="Sent as `Authorization: Bearer …`.")] | None = None
    signing_secret: Annotated[SigningSecret, Meta(description="Signs each request.")] | None = None


class Datadog(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Datadog's intake of logs."""

    api_key: Credential
    site: Annotated[Site, Meta(description="Where the account is.")] = "datadoghq.com"
    url: Annotated[Url, Meta(description="Another place that speaks the intake's API.")] | None = None
    service: Annotated[Word, Meta(description="`tenantry` when absent.")] | None = None
    tags: Annotated[list[Tag], Meta(max_length=_MOST_TAGS, examples=[["env:production"]])] = []


class Splunk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Splunk's HTTP Event Collector."""

    url: Annotated[
        Url, Meta(description="The collector, with or without its path.", examples=["https://splunk.example:8088"])
    ]
    token: Credential
    index: Annotated[Word, Meta(description="That of the token when absent.")] | None = None
    sourcetype: Annotated[Word, Meta(description="`tenantry:audit_log` when absent.")] | None = None


class S3(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A bucket of Amazon S3 or of what speaks its protocol."""

    bucket: Annotated[Bucket, Meta(examples=["acme-audit"])]
    region: Annotated[Region, Meta(examples=["eu-central-1"])]
    access_key_id: Credential
    secret_access_key: Credential
    prefix: Annotated[KeyPrefix, Meta(description="What keys begin with.", examples=["audit/"])] | None = None
    endpoint: Annotated[Url, Meta(description="Where the service is, if not at Amazon.")] | None = None
    path_style: (
        Annotated[
            bool, Meta(description="Whether the bucket stands in the path; with an `endpoint` so by default.")
        ]
        | None
    ) = None


Destination = GenericHttps | Datadog | Splunk | S3


class _Destinations(msgspec.Struct, frozen=True, kw_only=True):
    generic_https: GenericHttps | None = None
    datadog: Datadog | None = None
    splunk: Splunk | None = None
    s3: S3 | None = None


BatchSeconds = Annotated[
    int,
    Meta(
        ge=0,
        le=_MOST_BATCH_SECONDS,
        description="Seconds that an event may wait for others: 60 with S3 and else 5 when not given.",
    ),
]


class CreateAuditLogStream(_Destinations, frozen=True, kw_only=True):
    """The body of a create: a type and the destination of that type."""

    type: Annotated[StreamType, Meta(extra_json_schema={"enum": list(TYPES)}, examples=["Splunk"])]
    batch_seconds: BatchSeconds | None = None


class UpdateAuditLogStream(_Destinations, frozen=True, kw_only=True):
    """The body of an update: what is absent or null stays; a destination is replaced whole, credentials too."""

    state: Annotated[Literal["active", "inactive"], Meta(description="Whether to send.")] | None = None
    batch_seconds: BatchSeconds | None = None


class ShownGenericHttps(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver. `signing_secret` is there only in the answer to the create or the update that set it."""

    url: str
    format: str
    header_names: list[str]
    bearer_token_hint: str | None
    signing_secret_hint: str
    signing_secret: str | UnsetType = UNSET


class ShownDatadog(msgspec.Struct, frozen=True, kw_only=True):
    """Datadog's intake, without the key."""

    site: str
    url: str | None
    service: str
    tags: list[str]
    api_key_hint: str


class ShownSplunk(msgspec.Struct, frozen=True, kw_only=True):
    """A collector, without the token."""

    url: str
    index: str | None
    sourcetype: str
    token_hint: str


class ShownS3(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket, without the secret key."""

    bucket: str
    region: str
    prefix: str
    endpoint: str | None
    path_style: bool
    access_key_id: str
    secret_access_key_hint: str


class StreamTest(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the last test: nothing yet while it is pending."""

    state: Literal["pending", "taken", "failed"]
    error: str | None = None
    requested_at: str
    ended_at: str | None = None


class AuditLogStream(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="audit_log_stream"):
    """Where an organization's events are sent. A hint is the end of a secret that is shown no more."""

    id: str
    organization_id: str
    type: str
    state: State
    generic_https: ShownGenericHttps | UnsetType = UNSET
    datadog: ShownDatadog | UnsetType = UNSET
    splunk: ShownSplunk | UnsetType = UNSET
    s3: ShownS3 | UnsetType = UNSET
    batch_seconds: int
    last_synced_at: str | None
    failures: int
    last_error: str | None
    next_attempt_at: str | None
    test: StreamTest | None
    created_at: str
    updated_at: str


class ConfiguredStream(msgspec.Struct, frozen=True, kw_only=True):
    """A stream in the configuration of an organization's audit logs (wire.md section 6.4)."""

    id: str
    type: Annotated[str, Meta(extra_json_schema={"enum": list(TYPES)})]
    state: State
    last_synced_at: str | None
    created_at: str


class StreamCursor(Cursor):
    """A place in the list of streams."""

    __slots__ = ()
    prefix = PREFIX


class ListAuditLogStreams(PageQuery, kw_only=True, frozen=True):
    """The query of a list of streams."""

    before: Annotated[StreamCursor, BEFORE] | None = None
    after: Annotated[StreamCursor, AFTER] | None = None


class AuditLogStreamList(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """A page of streams."""

    data: list[AuditLogStream]
    list_metadata: ListMetadata
