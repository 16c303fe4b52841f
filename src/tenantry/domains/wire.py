"""Organization domains as they cross the network (wire.md sections 1.2 and 4.2)."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

DomainState = Literal["failed", "legacy_verified", "pending", "unverified", "verified"]
VerificationStrategy = Literal["dns", "manual"]


class OrganizationDomain(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="object", tag="organization_domain"
):
    """A domain of an organization. Only one that DNS verifies has a prefix and a token."""

    id: str
    organization_id: str
    domain: str
    state: DomainState
    verification_strategy: VerificationStrategy | UnsetType = UNSET
    verification_prefix: str | UnsetType = UNSET
    verification_token: str | UnsetType = UNSET
    created_at: str
    updated_at: str


class DomainData(msgspec.Struct, frozen=True):
    """A domain as an organization's body names it; `verified` says that the caller has checked it."""

    domain: Annotated[str, msgspec.Meta(min_length=1)]
    state: Literal["pending", "verified"] = "pending"
