"""Rows of organization domains, of the checks of them, and of contests."""

from typing import LiteralString

import msgspec
from msgspec import UNSET

from tenantry.core.caller import DomainPolicy
from tenantry.core.db import Insertion, Row, Transaction, Values
from tenantry.core.page import Bounds, behind, walk, walked
from tenantry.domains.wire import OrganizationDomain

_COLUMNS = (
    "id, organization_id, domain, state, verification_strategy, verification_prefix, verification_token,"
    " created_at, updated_at"
)


class Progress(msgspec.Struct, frozen=True):
    """How the checks of one domain stand. Times are milliseconds since the epoch, `verified_at` the wire's text.

    `due_at` is None when nothing is to be asked. `attempts` counts those since `started_at`. `misses`,
    `missing_since` and `at_risk_since` tell of a verified domain whose record has gone.
    """

    due_at: int | None = None
    started_at: int | None = None
    attempts: int = 0
    verified_at: str | None = None
    misses: int = 0
    missing_since: int | None = None
    at_risk_since: int | None = None


class DomainRow(msgspec.Struct, frozen=True):
    """One domain with how its checks stand."""

    environment_id: str
    domain: OrganizationDomain
    progress: Progress


_PROGRESS = "due_at, started_at, attempts, verified_at, misses, missing_since, at_risk_since"
_EVERYTHING: LiteralString = "environment_id, " + _COLUMNS + ", " + _PROGRESS


def _domain(row: Row) -> OrganizationDomain:
    identity, organization_id, name, state, strategy, prefix, token, created_at, updated_at = row
    return OrganizationDomain(
        id=identity,
        organization_id=organization_id,
        domain=name,
        state=state,
        verification_strategy=strategy or UNSET,
        verification_prefix=prefix or UNSET,
        verification_token=token or UNSET,
        created_at=created_at,
        updated_at=updated_at,
    )


def _whole(row: Row) -> DomainRow:
    return DomainRow(row[0], _domain(row[1:10]), Progress(*row[10:]))


_INSERTION = Insertion(
    "organization_domains",
    "environment_id text, id text, organization_id text, domain text, state text, verification_strategy text,"
    " verification_prefix text, verification_token text, created_at text, updated_at text, due_at bigint,"
    " started_at bigint, verified_at text",
)


def insert(tx: Transaction, environment_id: str, domain: OrganizationDomain, progress: Progress) -> None:
    """Add one domain."""
    tx.insert(_INSERTION, _new_row(DomainRow(environment_id, domain, progress)))


def insert_all(tx: Transaction, rows: list[DomainRow]) -> None:
    """Add domains (at least one)."""
    tx.insert_all(_INSERTION, [_new_row(row) for row in rows])


def _new_row(row: DomainRow) -> Values:
    domain, progress = row.domain, row.progress
    return (
        row.environment_id,
        domain.id,
        domain.organization_id,
        domain.domain,
        domain.state,
        domain.verification_strategy or None,
        domain.verification_prefix or None,
        domain.verification_token or None,
        domain.created_at,
        domain.updated_at,
        progress.due_at,
        progress.started_at,
        progress.verified_at,
    )


def update(tx: Transaction, row: DomainRow) -> None:
    """Write what a domain and its checks have become."""
    domain = row.domain
    tx.run_later(
        "UPDATE organization_domains SET state = :state, verification_strategy = :strategy,"
        " verification_prefix = :prefix, verification_token = :token, updated_at = :updated_at,"
        " due_at = :due_at, started_at = :started_at, attempts = :attempts, verified_at = :verified_at,"
        " misses = :misses, missing_since = :missing_since, at_risk_since = :at_risk_since"
        " WHERE environment_id = :environment_id AND id = :id",
        environment_id=row.environment_id,
        id=domain.id,
        state=domain.state,
        strategy=domain.verification_strategy or None,
        prefix=domain.verification_prefix or None,
        token=domain.verification_token or None,
        updated_at=domain.updated_at,
        **msgspec.structs.asdict(row.progress),
    )


def delete(tx: Transaction, environment_id: str, domain_id: str) -> None:
    """Remove one domain, and let go of its name."""
    tx.run_later(
        "DELETE FROM unique_domains WHERE environment_id = :environment_id AND domain ="
        " (SELECT domain FROM organization_domains WHERE environment_id = :environment_id AND id = :id)",
        environment_id=environment_id,
        id=domain_id,
    )
    tx.run_later(
        "DELETE FROM organization_domains WHERE environment_id = :environment_id AND id = :id",
        environment_id=environment_id,
        id=domain_id,
    )


def select(tx: Transaction, environment_id: str, domain_id: str) -> DomainRow | None:
    """Return one domain."""
    row = tx.one(
        "SELECT " + _EVERYTHING + " FROM organization_domains WHERE environment_id = :environment_id AND id = :id",
        environment_id=environment_id,
        id=domain_id,
    )
    return _whole(row) if row else None


def select_of_organization(tx: Transaction, environment_id: str, organization_id: str) -> list[OrganizationDomain]:
    """Return an organization's domains, by id."""
    rows = tx.all(
        "SELECT " + _COLUMNS + " FROM organization_domains"
        " WHERE environment_id = :environment_id AND organization_id = :organization_id ORDER BY id",
        environment_id=environment_id,
        organization_id=organization_id,
    )
    return [_domain(row) for row in rows]


def has(tx: Transaction, environment_id: str, organization_id: str, domain: str) -> bool:
    """Return whether an organization names the domain."""
    row = tx.one(
        "SELECT 1 FROM organization_domains"
        " WHERE environment_id = :environment_id AND organization_id = :organization_id AND domain = :domain",
        environment_id=environment_id,
        organization_id=organization_id,
        domain=domain,
    )
    return row is not None


def count_of_organization(tx: Transaction, environment_id: str, organization_id: str) -> int:
    """Return how many domains an organization has."""
    row = tx.one(
        "SELECT COUNT(*) FROM organization_domains"
        " WHERE environment_id = :environment_id AND organization_id = :organization_id",
        environment_id=environment_id,
        organization_id=organization_id,
    )
    return row[0] if row else 0


def select_taken(tx: Transaction, environment_id: str, organization_id: str, domains: list[str]) -> str | None:
    """Return one of `domains` that another organization than this one has."""
    row = tx.one(
        "SELECT domain FROM organization_domains"
        " WHERE environment_id = :environment_id AND organization_id <> :organization_id AND domain IN :domains",
        environment_id=environment_id,
        organization_id=organization_id,
        domains=domains,
    )
    return row[0] if row else None


def insert_unique(tx: Transaction, environment_id: str, domains: list[str]) -> None:
    """Take names that no organization has: of two transactions that take one the later collides."""
    tx.run_all(
        "INSERT INTO unique_domains (environment_id, domain) VALUES (:environment_id, :domain)",
        [{"environment_id": environment_id, "domain": domain} for domain in domains],
    )


def select_holders_by_id(tx: Transaction, environment_id: str, domain_ids: list[str]) -> dict[str, str]:
    """Return the organization of each of the domains (at least one) that is there, by the domain's id."""
    rows = tx.all(
        "SELECT id, organization_id FROM organization_domains"
        " WHERE environment_id = :environment_id AND id IN :ids",
        environment_id=environment_id,
        ids=domain_ids,
    )
    return {row[0]: row[1] for row in rows}


def select_holders_by_name(tx: Transaction, environment_id: str, domains: list[str]) -> dict[str, str]:
    """Return an organization that has the domain, for each of `domains` (at least one) that one has."""
    rows = tx.all(
        "SELECT domain, organization_id FROM organization_domains"
        " WHERE environment_id = :environment_id AND domain IN :domains",
        environment_id=environment_id,
        domains=domains,
    )
    return {row[0]: row[1] for row in rows}


_OWNED: LiteralString = (
    "SELECT " + _EVERYTHING + " FROM organization_domains"
    " WHERE environment_id = :environment_id AND domain = :domain AND verified_at IS NOT NULL"
    " ORDER BY verified_at, id LIMIT :most"
)
_CLAIMED: LiteralString = (
    "SELECT " + _EVERYTHING + " FROM organization_domains"
    " WHERE environment_id = :environment_id AND domain = :domain AND verified_at IS NULL"
    " ORDER BY organization_id LIMIT :most"
)


def select_owners(tx: Transaction, environment_id: str, domain: str, most: int) -> list[DomainRow]:
    """Return up to `most` verified rows of a domain, verified first before verified later."""
    rows = tx.all(_OWNED, environment_id=environment_id, domain=domain, most=most)
    return [_whole(row) for row in rows]


def select_named(tx: Transaction, environment_id: str, domain: str, most: int) -> list[DomainRow]:
    """Return up to `most` verified rows of a domain, and then up to `most` others, by organization."""
    sql: LiteralString = (
        "SELECT * FROM (" + _OWNED + ") AS owned UNION ALL SELECT * FROM (" + _CLAIMED + ") AS claimed"
    )
    return [_whole(row) for row in tx.all(sql, environment_id=environment_id, domain=domain, most=most)]


def select_holder_of_token(tx: Transaction, environment_id: str, domain: str, token: str) -> str | None:
    """Return the organization that is to publish that token for the domain."""
    row = tx.one(
        "SELECT organization_id FROM organization_domains"
        " WHERE environment_id = :environment_id AND domain = :domain AND verification_token = :token",
        environment_id=environment_id,
        domain=domain,
        token=token,
    )
    return row[0] if row else None


class Place(msgspec.Struct, frozen=True):
    """What an environment says about its domains: the name of its app in the DNS, and who may have one."""

    slug: str
    policy: DomainPolicy


_LOCK: dict[str, LiteralString] = {"sqlite": "", "postgres": " FOR UPDATE SKIP LOCKED"}


def select_newest_attempt_time(tx: Transaction) -> str | None:
    """Return when a domain was checked last."""
    row = tx.one("SELECT MAX(created_at) FROM domain_attempts")
    return row[0] if row else None


def is_any_due(tx: Transaction) -> bool:
    """Return whether a check is due."""
    # In order: PostgreSQL would else believe that any row will do, and read all of them when none is due.
    row = tx.one(
        "SELECT 1 FROM organization_domains WHERE due_at <= :now ORDER BY due_at LIMIT 1", now=tx.milliseconds
    )
    return row is not None


def select_next_due(tx: Transaction) -> int | None:
    """Return when the next check is due, in milliseconds; None when there is none."""
    row = tx.one("SELECT MIN(due_at) FROM organization_domains WHERE due_at IS NOT NULL")
    return row[0] if row else None


def claim(tx: Transaction, most: int, lease_until: int) -> list[DomainRow]:
    """Take up to `most` checks that are due, the longest due first; they are due again at the end of the lease."""
    sql: LiteralString = (
        "UPDATE organization_domains SET due_at = :lease_until WHERE (environment_id, id) IN"
        " (SELECT environment_id, id FROM organization_domains WHERE due_at <= :now"
        " ORDER BY due_at LIMIT :most" + _LOCK[tx.engine] + ")"
        " RETURNING " + _EVERYTHING
    )
    return [_whole(row) for row in tx.all(sql, now=tx.milliseconds, most=most, lease_until=lease_until)]


def select_places(tx: Transaction, environment_ids: list[str]) -> dict[str, Place]:
    """Return what each of the environments says about its domains."""
    rows = tx.all("SELECT id, slug, domain_policy FROM environments WHERE id IN :ids", ids=environment_ids)
    return {row[0]: Place(row[1], row[2]) for row in rows}


def lock_named(tx: Transaction, environment_id: str, domain: str) -> None:
    """Keep every row of a domain as it is until this transaction ends: of two that prove it one is the first."""
    if tx.engine == "postgres":
        tx.all(
            "SELECT id FROM organization_domains"
            " WHERE environment_id = :environment_id AND domain = :domain ORDER BY id FOR UPDATE",
            environment_id=environment_id,
            domain=domain,
        )


class AttemptRow(msgspec.Struct, frozen=True):
    """One attempt: `report` is its JSON on the wire."""

    environment_id: str
    domain_id: str
    id: str
    verdict: str
    report: bytes
    created_at: str


def insert_attempt(tx: Transaction, row: AttemptRow) -> None:
    """Add one attempt."""
    tx.run(
        "INSERT INTO domain_attempts (environment_id, domain_id, id, verdict, report, created_at)"
        " VALUES (:environment_id, :domain_id, :id, :verdict, :report, :created_at)",
        **msgspec.structs.asdict(row),
    )


def select_attempts(
    tx: Transaction, environment_id: str, domain_id: str, limits: Bounds
) -> list[tuple[str, msgspec.Raw]]:
    """Return ids and JSON of a domain's attempts within `limits`, in walking order, and one more if there is."""
    sql: LiteralString = (
        "SELECT id, report FROM domain_attempts WHERE environment_id = :environment_id AND domain_id = :domain_id"
    )
    rows = tx.all(sql + walk(limits), environment_id=environment_id, domain_id=domain_id, **walked(limits))
    return [(row[0], msgspec.Raw(row[1])) for row in rows]


def has_attempt_behind(tx: Transaction, environment_id: str, domain_id: str, limits: Bounds, first: str) -> bool:
    """Return whether there are attempts on the other side of `first` than the one `limits` walks to."""
    sql: LiteralString = (
        "SELECT 1 FROM domain_attempts WHERE environment_id = :environment_id AND domain_id = :domain_id"
    )
    return (
        tx.one(sql + behind(limits), environment_id=environment_id, domain_id=domain_id, first=first) is not None
    )


def select_last_attempt(tx: Transaction, environment_id: str, domain_id: str) -> bytes | None:
    """Return the JSON of a domain's last attempt."""
    row = tx.one(
        "SELECT report FROM domain_attempts"
        " WHERE environment_id = :environment_id AND domain_id = :domain_id ORDER BY id DESC LIMIT 1",
        environment_id=environment_id,
        domain_id=domain_id,
    )
    return row[0] if row else None


def delete_oldest_attempts(tx: Transaction, oldest_kept: str, most: int) -> int:
    """Remove up to `most` attempts older than `oldest_kept`; return how many."""
    return tx.run(
        "DELETE FROM domain_attempts WHERE (environment_id, domain_id, id) IN"
        " (SELECT environment_id, domain_id, id FROM domain_attempts WHERE created_at < :oldest_kept"
        " ORDER BY created_at LIMIT :most)",
        oldest_kept=oldest_kept,
        most=most,
    )


class ContestRow(msgspec.Struct, frozen=True):
    """A contest: whose it is, who has proved it, when it is decided."""

    environment_id: str
    challenger_id: str
    holder_id: str
    ends_at: int
    created_at: str


_CONTEST = "environment_id, challenger_id, holder_id, ends_at, created_at"


def insert_contest(tx: Transaction, row: ContestRow) -> None:
    """Open a contest."""
    tx.run(
        "INSERT INTO domain_contests (" + _CONTEST + ")"
        " VALUES (:environment_id, :challenger_id, :holder_id, :ends_at, :created_at)",
        **msgspec.structs.asdict(row),
    )


def select_contest(tx: Transaction, environment_id: str, challenger_id: str) -> ContestRow | None:
    """Return the contest that a domain is the challenger of."""
    row = tx.one(
        "SELECT " + _CONTEST + " FROM domain_contests"
        " WHERE environment_id = :environment_id AND challenger_id = :challenger_id",
        environment_id=environment_id,
        challenger_id=challenger_id,
    )
    return ContestRow(*row) if row else None


def select_contests(tx: Transaction, environment_id: str, challenger_ids: list[str]) -> list[ContestRow]:
    """Return the contests that one of these domains is the challenger of."""
    rows = tx.all(
        "SELECT " + _CONTEST + " FROM domain_contests"
        " WHERE environment_id = :environment_id AND challenger_id IN :challenger_ids",
        environment_id=environment_id,
        challenger_ids=challenger_ids,
    )
    return [ContestRow(*row) for row in rows]


def select_contests_with(tx: Transaction, environment_id: str, domain_id: str) -> list[ContestRow]:
    """Return the contests that a domain is on either side of."""
    rows = tx.all(
        "SELECT " + _CONTEST + " FROM domain_contests"
        " WHERE environment_id = :environment_id AND challenger_id = :domain_id"
        " UNION ALL SELECT " + _CONTEST + " FROM domain_contests"
        " WHERE environment_id = :environment_id AND holder_id = :domain_id",
        environment_id=environment_id,
        domain_id=domain_id,
    )
    return [ContestRow(*row) for row in rows]


def delete_contest(tx: Transaction, environment_id: str, challenger_id: str) -> None:
    """End a contest."""
    tx.run(
        "DELETE FROM domain_contests WHERE environment_id = :environment_id AND challenger_id = :challenger_id",
        environment_id=environment_id,
        challenger_id=challenger_id,
    )


def update_due(tx: Transaction, environment_id: str, domain_id: str, due_at: int) -> None:
    """Let a domain that the DNS can prove be asked about at `due_at`, or when it is due already."""
    tx.run(
        "UPDATE organization_domains SET due_at = :due_at WHERE environment_id = :environment_id AND id = :id"
        " AND verification_token IS NOT NULL AND (due_at IS NULL OR due_at > :due_at)",
        due_at=due_at,
        environment_id=environment_id,
        id=domain_id,
    )
