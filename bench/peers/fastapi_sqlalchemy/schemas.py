"""What crosses the network, as Pydantic models."""

from typing import Annotated, Any, Literal

from pydantic import AliasPath, BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
ExternalId = Annotated[str, StringConstraints(max_length=128, pattern=r"^[\x00-\x7F]*$")]
Metadata = dict[
    Annotated[str, StringConstraints(min_length=1, max_length=40)],
    Annotated[str, StringConstraints(max_length=600)] | None,
]


def _absent(value: Any) -> bool:
    return value is None


class DomainOut(BaseModel):
    """A domain of an organization."""

    model_config = ConfigDict(from_attributes=True)

    object: Literal["organization_domain"] = "organization_domain"
    id: str
    organization_id: str
    domain: str
    state: str
    verification_strategy: str
    verification_prefix: str | None = Field(default=None, exclude_if=_absent)
    verification_token: str | None = Field(default=None, exclude_if=_absent)
    created_at: str
    updated_at: str


class OrganizationOut(BaseModel):
    """An organization."""

    model_config = ConfigDict(from_attributes=True)

    object: Literal["organization"] = "organization"
    id: str
    name: str
    allow_profiles_outside_organization: bool
    created_at: str
    updated_at: str
    domains: list[DomainOut]
    stripe_customer_id: str | None = Field(default=None, exclude_if=_absent)
    metadata: dict[str, str] = Field(validation_alias=AliasPath("details"))
    external_id: str | None


class ListMetadata(BaseModel):
    """The cursors of the pages on either side."""

    before: str | None
    after: str | None


class OrganizationPage(BaseModel):
    """A page of a list."""

    object: Literal["list"] = "list"
    data: list[OrganizationOut]
    list_metadata: ListMetadata


class DomainIn(BaseModel):
    """A domain as it is given."""

    domain: Annotated[str, StringConstraints(min_length=1, max_length=253, to_lower=True)]
    state: Literal["pending", "verified"] = "pending"


class CreateOrganization(BaseModel):
    """The body of a create."""

    name: Name
    allow_profiles_outside_organization: bool | None = None
    domain_data: list[DomainIn] | None = Field(default=None, max_length=100)
    metadata: Metadata | None = None
    external_id: ExternalId | None = None


class UpdateOrganization(BaseModel):
    """The body of an update: what is absent stays."""

    name: Name | None = None
    allow_profiles_outside_organization: bool | None = None
    domain_data: list[DomainIn] | None = Field(default=None, max_length=100)
    metadata: Metadata | None = None
    external_id: ExternalId | None = None
    stripe_customer_id: Annotated[str, StringConstraints(max_length=255)] | None = None
