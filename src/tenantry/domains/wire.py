"""Organization domains as they cross the network (wire.md sections 1.2 and 4.2)."""

from typing import Literal, Self

import msgspec
from msgspec import UNSET, UnsetType

from tenantry.core.parsing import ParsedText
from tenantry.domains.names import normal_form


class DomainName(ParsedText):
    """A domain name in its normal form."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the normal form of `text`. Raises InvalidDomain."""
        return cls(normal_form(text))


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

    domain: DomainName
    state: Literal["pending", "verified"] = "pending"
