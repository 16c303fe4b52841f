"""What only one organization may have: who has it, and who takes it or lets it go as records come in."""

from typing import NamedTuple

import msgspec
from msgspec import UNSET

from tenantry.domains.imports import Holders
from tenantry.organizations import metadata_keys
from tenantry.organizations.metadata_index import KeyRow
from tenantry.organizations.wire import Organization

# The kinds of claims, the last of them with the metadata key behind it.
EXTERNAL_ID, CUSTOMER_ID, DOMAIN_ID, DOMAIN = "external_id", "stripe_customer_id", "domain_id", "domain"
METADATA = "metadata."


class Claim(NamedTuple):
    """An organization takes a value that it has for itself, as an external id, or lets go of it."""

    kind: str
    value: str
    organization_id: str
    holds: bool


class Known(msgspec.Struct, frozen=True):
    """What the environment has of what the records name; kept up to date as they are planned."""

    organizations: dict[str, Organization]
    by_external_id: dict[str, str]
    by_customer_id: dict[str, str]
    domains: Holders
    declared: list[KeyRow]
    metadata: metadata_keys.Holders

    def note(self, claim: Claim) -> None:
        """Have the records that follow see a claim."""
        kind, value, organization_id, holds = claim
        if kind.startswith(METADATA):
            pair = {kind.removeprefix(METADATA): value}
            self.metadata.note(organization_id, {} if holds else pair, pair if holds else {})
            return
        holders = self._holders(kind)
        if holds:
            holders[value] = organization_id
        elif holders.get(value) == organization_id:
            del holders[value]

    def copy(self) -> "Known":
        """Return a copy that can be kept up to date by itself."""
        return msgspec.structs.replace(
            self,
            organizations=dict(self.organizations),
            by_external_id=dict(self.by_external_id),
            by_customer_id=dict(self.by_customer_id),
            domains=Holders(dict(self.domains.by_id), dict(self.domains.by_name)),
            metadata=metadata_keys.Holders({pair: set(ids) for pair, ids in self.metadata.by_value.items()}),
        )

    def _holders(self, kind: str) -> dict[str, str]:
        if kind == EXTERNAL_ID:
            return self.by_external_id
        if kind == CUSTOMER_ID:
            return self.by_customer_id
        return self.domains.by_id if kind == DOMAIN_ID else self.domains.by_name


def identities(organization: Organization) -> set[tuple[str, str]]:
    """Return what only one organization may have and this one has, with its kind."""
    found = set()
    if organization.external_id is not None:
        found.add((EXTERNAL_ID, organization.external_id))
    if organization.stripe_customer_id is not UNSET:
        found.add((CUSTOMER_ID, organization.stripe_customer_id))
    return found
