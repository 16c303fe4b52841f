"""Organization domains as they cross the network (wire.md sections 1.2 and 4)."""

from typing import Annotated, Literal, Self

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tenantry.core.caller import DomainPolicy
from tenantry.core.page import AFTER, BEFORE, Cursor, ListMetadata, PageQuery
from tenantry.core.parsing import Moment, ParsedText
from tenantry.domains.doctor import Verdict
from tenantry.domains.names import normal_form
from tenantry.domains.questions import Question

PREFIX = "org_domain"
ATTEMPT_PREFIX = "domain_attempt"


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


class OrganizationDomainCursor(Cursor):
    """The id of a domain."""

    __slots__ = ()
    prefix = PREFIX


class DomainRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A domain as another directory has it; what is absent is as for a new one.

    `domain` is checked when it is taken in, so that one that cannot come leaves its organization whole.
    """

    domain: str
    id: OrganizationDomainCursor | UnsetType = UNSET
    state: DomainState = "pending"
    verification_strategy: VerificationStrategy | UnsetType | None = UNSET
    verification_prefix: str | UnsetType | None = UNSET
    verification_token: str | UnsetType | None = UNSET
    created_at: Moment | UnsetType = UNSET
    updated_at: Moment | UnsetType = UNSET


class DomainData(msgspec.Struct, frozen=True):
    """A domain as an organization's body names it; `verified` says that the caller has checked it."""

    domain: DomainName
    state: Literal["pending", "verified"] = "pending"


class CreateOrganizationDomain(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a create."""

    organization_id: Annotated[str, Meta(min_length=1)]
    domain: DomainName


FailureReason = Literal["domain_verification_period_expired", "domain_verified_by_other_organization"]


class VerificationFailed(msgspec.Struct, frozen=True, kw_only=True):
    """What `organization_domain.verification_failed` tells (wire.md section 4.5)."""

    reason: FailureReason
    organization_domain: OrganizationDomain


class DomainAtRisk(msgspec.Struct, frozen=True, kw_only=True):
    """What `organization_domain.at_risk` tells: the record of a verified domain is gone.

    `revoked_at` is when the domain will fail if it stays so; null where that is switched off.
    """

    organization_domain: OrganizationDomain
    missing_since: str
    misses: int
    revoked_at: str | None


class DomainContest(msgspec.Struct, frozen=True, kw_only=True):
    """What `organization_domain.contested` tells: `challenger` has proved what `holder` has.

    It is decided at `ends_at`.
    """

    domain: str
    holder: OrganizationDomain
    challenger: OrganizationDomain
    started_at: str
    ends_at: str


ContestOutcome = Literal["kept", "moved", "withdrawn"]


class EndedContest(msgspec.Struct, frozen=True, kw_only=True):
    """What `organization_domain.contest_ended` tells.

    The holder has `kept` the domain; it has `moved` to the challenger; or the contest is `withdrawn`, since one
    of the two is gone or the challenger's record is. Each side as it was then; null for one that is gone.
    """

    outcome: ContestOutcome
    holder: OrganizationDomain | None
    challenger: OrganizationDomain | None


Proof = Literal["dns", "manual", "legacy"]
"""What stands behind a verified domain: its record, the caller's word, or the old bare list of domains."""


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """An organization whose domain it is, since when and by what proof.

    `at_risk_since` is null unless its record is gone.
    """

    organization_id: str
    organization_domain_id: str
    proof: Proof
    since: str
    at_risk_since: str | None


class Claimant(msgspec.Struct, frozen=True, kw_only=True):
    """An organization that names the domain and has not proved it."""

    organization_id: str
    organization_domain_id: str
    state: DomainState
    since: str


class DomainOwnership(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="domain_ownership"):
    """Whose a domain is: up to 100 owners, the one with the best proof first, and up to 100 claimants."""

    domain: str
    policy: DomainPolicy
    owners: list[Owner]
    claimants: list[Claimant]
    contests: list[DomainContest]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A DNS record to publish."""

    name: str
    value: str
    type: Literal["TXT"] = "TXT"


class DomainAttempt(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="domain_attempt"):
    """One check of a domain: what was asked and answered, and what to make of it.

    `found` is null where the answers allow no conclusion.
    """

    id: str
    organization_domain_id: str
    found: bool | None
    verdict: Verdict
    questions: tuple[Question, ...]
    created_at: str


class AttemptCursor(Cursor):
    """A place in the list of attempts."""

    __slots__ = ()
    prefix = ATTEMPT_PREFIX


class ListDomainAttempts(PageQuery, kw_only=True, frozen=True):
    """The query of a list of attempts."""

    before: Annotated[AttemptCursor, BEFORE] | None = None
    after: Annotated[AttemptCursor, AFTER] | None = None


class DomainAttemptList(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """A page of attempts."""

    data: list[DomainAttempt]
    list_metadata: ListMetadata


class DomainDiagnosis(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="domain_diagnosis"):
    """How the verification of a domain stands.

    `publish` are the records that prove it; one of them is enough. `next_check_at` and
    `expires_at` are null where nothing is going to be asked; `last_attempt` until something was.
    """

    organization_domain: OrganizationDomain
    publish: list[Record]
    attempts: int
    next_check_at: str | None
    expires_at: str | None
    at_risk_since: str | None
    last_attempt: DomainAttempt | None
