"""Organizations as they cross the network (wire.md sections 1.2 to 1.4)."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tenantry.core.page import AFTER, BEFORE, Cursor, ListMetadata, PageQuery
from tenantry.core.parsing import Moment
from tenantry.domains.wire import DomainData, DomainName, DomainRecord, DomainState, OrganizationDomain
from tenantry.organizations.metadata import LONGEST_KEY, LONGEST_VALUE, MOST_KEYS

PREFIX = "org"

_LONGEST_NAME = 1000
_MOST_DOMAINS = 100
_LONGEST_EMAIL = 320
_MOST_FILTERED = 100
MOST_KEYS_FILTERED = 10
MOST_VALUES = 20
MOST_ALLOWED = 100

Name = Annotated[str, Meta(min_length=1, max_length=_LONGEST_NAME)]
ExternalId = Annotated[
    str, Meta(max_length=128, pattern=r"^[\x00-\x7F]*$", description="Unique in the environment. ASCII.")
]
StripeCustomerId = Annotated[str, Meta(max_length=255)]
Domains = Annotated[list[DomainName], Meta(max_length=_MOST_DOMAINS)]
DomainDataList = Annotated[list[DomainData], Meta(max_length=_MOST_DOMAINS)]
# What breaks the rules inside is a 400 of its own kind, so the struct lets it through.
MetadataChange = Annotated[
    dict[str, Any],
    Meta(
        extra_json_schema={
            "maxProperties": MOST_KEYS,
            "propertyNames": {"minLength": 1, "maxLength": LONGEST_KEY},
            "additionalProperties": {"type": ["string", "null"], "maxLength": LONGEST_VALUE},
        }
    ),
]


class Organization(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="organization"):
    """An organization. `stripe_customer_id` is left out while there is none."""

    id: str
    name: str
    allow_profiles_outside_organization: bool
    created_at: str
    updated_at: str
    domains: list[OrganizationDomain]
    stripe_customer_id: str | UnsetType = UNSET
    metadata: dict[str, str]
    external_id: str | None


class CreateOrganization(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a create. A null stands for a field that is not given."""

    name: Name
    allow_profiles_outside_organization: bool | None = None
    domains: Domains | None = None
    domain_data: DomainDataList | None = None
    metadata: MetadataChange | None = None
    external_id: ExternalId | None = None


class UpdateOrganization(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an update: what is absent stays.

    A null clears `external_id` and `stripe_customer_id`; elsewhere it stands for a field
    that is not given, since several clients send one for each option left unset.
    """

    name: Name | None = None
    allow_profiles_outside_organization: bool | None = None
    domains: Domains | None = None
    domain_data: DomainDataList | None = None
    metadata: MetadataChange | None = None
    external_id: ExternalId | UnsetType | None = UNSET
    stripe_customer_id: StripeCustomerId | UnsetType | None = UNSET


GO_NAMES = {
    "Name": "name",
    "AllowProfilesOutsideOrganization": "allow_profiles_outside_organization",
    "Domains": "domains",
}
"""An older Go client sends some fields of an update under their Go names (wire.md section 1.3)."""


class OrganizationCursor(Cursor):
    """A place in the list of organizations."""

    __slots__ = ()
    prefix = PREFIX


class OrganizationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An organization as another directory has it; what is absent is not known there."""

    name: Name | UnsetType = UNSET
    id: OrganizationCursor | UnsetType = UNSET
    allow_profiles_outside_organization: bool | UnsetType | None = UNSET
    created_at: Moment | UnsetType = UNSET
    updated_at: Moment | UnsetType = UNSET
    domains: list[DomainRecord] | UnsetType = UNSET
    stripe_customer_id: StripeCustomerId | UnsetType | None = UNSET
    metadata: MetadataChange | UnsetType = UNSET
    external_id: ExternalId | UnsetType | None = UNSET


class ListOrganizations(PageQuery, kw_only=True, frozen=True):
    """The query of a list: organizations with any of `domains`, with `search` in their name."""

    before: Annotated[OrganizationCursor, BEFORE] | None = None
    after: Annotated[OrganizationCursor, AFTER] | None = None

    domains: Annotated[
        list[str], Meta(max_length=_MOST_FILTERED, description="Organizations with any of these domains.")
    ] = msgspec.field(default_factory=list)
    search: Annotated[str, Meta(description="Organizations with this text in their name.")] | None = None

    metadata: Annotated[
        dict[str, Annotated[list[str], Meta(max_length=MOST_VALUES)]],
        Meta(
            max_length=MOST_KEYS_FILTERED,
            description=(
                "Organizations with this value of the key, as `metadata[tier]=diamond`: of each key given, and of"
                " one given several times any. An empty value: with any at all. An extension of Tenantry's."
            ),
        ),
    ] = msgspec.field(default_factory=dict)
    created_after: (
        Annotated[Moment, Meta(description="Created at this time or later, ISO 8601 in UTC. An extension.")] | None
    ) = None
    created_before: (
        Annotated[Moment, Meta(description="Created before this time, ISO 8601 in UTC. An extension.")] | None
    ) = None
    domain_state: (
        Annotated[
            DomainState,
            Meta(description="With a domain in this state: one of `domains`, if any are given. An extension."),
        ]
        | None
    ) = None
    has_external_id: (
        Annotated[bool, Meta(description="With an external id, or without one. An extension.")] | None
    ) = None
    stripe_customer_id: (
        Annotated[str, Meta(min_length=1, description="The organization with this Stripe customer. An extension.")]
        | None
    ) = None
    total: Annotated[
        bool, Meta(description="Tell how many organizations match, in `total` of the list. An extension.")
    ] = False


class LookUpOrganizations(msgspec.Struct, frozen=True, kw_only=True):
    """The query of a look-up: an e-mail address."""

    email: Annotated[
        str, Meta(max_length=_LONGEST_EMAIL, description="An e-mail address.", examples=["ana@acme.com"])
    ]


class Total(msgspec.Struct, frozen=True):
    """How many organizations match; where that is not `exact`, how many at least."""

    count: int
    exact: bool


class OrganizationList(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """A page of organizations. `total` is there when it was asked for."""

    data: list[Organization]
    list_metadata: ListMetadata
    total: Total | UnsetType = UNSET


class OrganizationPage(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """A page of organizations whose JSON is ready."""

    data: list[msgspec.Raw]
    list_metadata: ListMetadata
    total: Total | UnsetType = UNSET


MetadataKeyState = Literal["checking", "ready", "refused", "removing"]


class Violation(msgspec.Struct, frozen=True):
    """An organization whose value breaks the rule of a key; `holder_id` has the value, where it must be unique."""

    organization_id: str
    value: str
    holder_id: str | None


class MetadataKey(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="metadata_key"):
    """A declared key. `ready`: all that is there keeps to the rule. `refused`: not all does, and the rule is off.

    `checked` organizations were looked at; `violations` holds the first of those that break the rule.
    """

    key: str
    unique: bool
    values: list[str] | None
    state: MetadataKeyState
    checked: int
    violation_count: int
    violations: list[Violation]
    created_at: str
    updated_at: str


class MetadataKeyList(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """All declared keys."""

    data: list[MetadataKey]
    list_metadata: ListMetadata


class DeclareMetadataKey(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a declaration."""

    unique: Annotated[bool, Meta(description="No two organizations have the same value.")] = False
    values: (
        Annotated[
            list[Annotated[str, Meta(max_length=LONGEST_VALUE)]],
            Meta(min_length=1, max_length=MOST_ALLOWED, description="The values allowed; null allows any."),
        ]
        | None
    ) = None


class SnapshotStart(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="snapshot"):
    """The first line of a snapshot: the position past which the events lead on from it."""

    position: str
    created_at: str


class SnapshotEnd(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="snapshot_end"):
    """The last line of a snapshot: how many organizations came before it."""

    count: int


class Reconcile(msgspec.Struct, frozen=True, kw_only=True):
    """What a consumer has: the hash of each bucket of its copy, of ids past `after` up to and with `through`."""

    buckets: Annotated[
        dict[str, Any],
        Meta(
            description="For each bucket that is not empty, two hexadecimal digits, the SHA-256 of what is in it.",
            examples=[{}],
            extra_json_schema={
                "propertyNames": {"pattern": "^[0-9a-f]{2}$"},
                "additionalProperties": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            },
        ),
    ]
    after: Annotated[OrganizationCursor, Meta(description="Compare only ids greater than this one.")] | None = None
    through: Annotated[OrganizationCursor, Meta(description="Compare only ids up to this one.")] | None = None


class Version(msgspec.Struct, frozen=True):
    """An organization's id and when it was changed last."""

    id: str
    updated_at: str


class DifferingBucket(msgspec.Struct, frozen=True):
    """A bucket that is not the same here, and all that is in it here."""

    bucket: str
    organizations: list[Version]


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="reconciliation"):
    """The buckets that differ, in order; `more` says that not all of them fitted. `position`: when it was so."""

    position: str
    differing: list[DifferingBucket]
    more: bool
