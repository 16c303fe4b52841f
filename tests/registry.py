"""An environment whose organizations have domains, and what the loop of checks does to them, step by step."""

from collections.abc import Mapping
from typing import Any

import msgspec

from support import caller_in, events_of, grant
from tenantry.core.caller import DomainPolicy
from tenantry.core.db import Database, Transaction
from tenantry.domains import checks, ownership, service
from tenantry.domains.checks import Check, Result, Rules
from tenantry.domains.doctor import Code, Verdict
from tenantry.domains.examine import Examination
from tenantry.domains.schedule import DAY, WatchPolicy
from tenantry.domains.service import DEFAULT_RULES
from tenantry.domains.wire import (
    CreateOrganizationDomain,
    DomainDiagnosis,
    DomainName,
    DomainOwnership,
    OrganizationDomain,
)
from tenantry.organizations import service as organizations
from tenantry.organizations.service import refresh_domains
from tenantry.organizations.wire import CreateOrganization, Organization

RULES = Rules(WatchPolicy(hours=24, misses=3, days=3, revoke_days=0), contest_days=7)
LEASE = 60_000


class Registry:
    """One environment on a database whose time is `now`."""

    def __init__(
        self,
        database: Database,
        now: list[int],
        rules: Rules = RULES,
        policy: DomainPolicy = "exclusive",
        environment_id: str | None = None,
    ) -> None:
        self.database = database
        self.now = now
        self.rules = rules
        environment_id = environment_id or grant(database, domain_policy=policy).environment_id
        self.caller = caller_in(environment_id, policy)

    def organization(self, name: str = "Acme", **body: Any) -> str:
        """Create an organization; return its id."""
        wire = self.database.write(
            lambda tx: organizations.create(tx, self.caller, CreateOrganization(name=name, **body))
        )
        identity: str = msgspec.json.decode(wire)["id"]
        return identity

    def shown(self, organization_id: str) -> Organization:
        """Return an organization as it is served."""
        wire = self.database.read(lambda tx: organizations.get(tx, self.caller, organization_id))
        return msgspec.json.decode(wire, type=Organization)

    def claim(self, organization_id: str, domain: str = "acme.com") -> str:
        """Give an organization a domain that is to be proved; return the domain's id."""
        body = CreateOrganizationDomain(organization_id=organization_id, domain=DomainName.parse(domain))
        return self.database.write(
            lambda tx: service.create(tx, self.caller, body, DEFAULT_RULES, refresh_domains)
        ).id

    def new_claim(self, domain: str = "acme.com") -> str:
        """Give a new organization a domain that is to be proved; return the domain's id."""
        return self.claim(self.organization(), domain)

    def verify(self, domain_id: str) -> OrganizationDomain:
        """Have a domain checked now."""
        return self.database.write(lambda tx: service.verify(tx, self.caller, domain_id, refresh_domains))

    def delete(self, domain_id: str) -> None:
        """Take a domain from its organization."""
        self.database.write(lambda tx: service.delete(tx, self.caller, domain_id, refresh_domains))

    def domain(self, domain_id: str) -> OrganizationDomain:
        """Return a domain."""
        return self.database.read(lambda tx: service.get(tx, self.caller, domain_id))

    def state(self, domain_id: str) -> str:
        """Return a domain's state, which its organization shows too."""
        domain = self.domain(domain_id)
        assert domain in self.shown(domain.organization_id).domains
        return domain.state

    def diagnosis(self, domain_id: str) -> DomainDiagnosis:
        """Return how the verification of a domain stands."""
        return self.database.read(lambda tx: ownership.get_diagnosis(tx, self.caller, domain_id))

    def ownership(self, domain: str = "acme.com") -> DomainOwnership:
        """Return whose a domain is."""
        return self.database.read(lambda tx: ownership.get_ownership(tx, self.caller, domain))

    def due(self, most: int = 100) -> list[Check]:
        """Claim what is due."""
        return self.database.write(lambda tx: checks.claim(tx, most, LEASE))

    def end(self, claimed: list[Check], found: Mapping[str, bool | None]) -> None:
        """Record what was found for each domain id, nothing where it is not named."""
        results = [Result(check, examination(found=found.get(check.domain_id, False)), 0.5) for check in claimed]
        self.database.write(lambda tx: checks.record(tx, results, self.rules, refresh_domains))

    def check(self, **found: bool | None) -> list[str]:
        """Make every check that is due, with what is found for each domain id; return the ids."""
        claimed = self.due()
        self.end(claimed, found)
        return [each.domain_id for each in claimed]

    def pass_days(self, days: float, **found: bool | None) -> None:
        """Let days go by, hour by hour, with every check that falls due."""
        end = self.now[0] + round(days * DAY)
        while self.now[0] < end:
            self.now[0] = min(end, self.now[0] + DAY // 24)
            self.check(**found)

    def events(self, *names: str) -> list[dict[str, Any]]:
        """Return the events of these names after `organization_domain.`, oldest first."""
        wanted = {f"organization_domain.{name}" for name in names}
        return [each for each in events_of(self.database, self.caller.environment_id) if each["event"] in wanted]


def examination(*, found: bool | None) -> Examination:
    """Return an examination that came to this."""
    code: Code = "unreachable" if found is None else "verified" if found else "no_record"
    return Examination(found, Verdict(code=code, sentence="It is so.", mend="Nothing."), ())


def rows(tx: Transaction) -> int:
    """Return how many attempts are kept."""
    row = tx.one("SELECT COUNT(*) FROM domain_attempts")
    assert row is not None
    return int(row[0])
