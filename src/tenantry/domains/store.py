"""Rows of organization domains."""

from tenantry.core.db import Transaction
from tenantry.domains.wire import OrganizationDomain


def insert(tx: Transaction, environment_id: str, domain: OrganizationDomain) -> None:
    """Add one domain."""
    tx.run(
        "INSERT INTO organization_domains (environment_id, id, organization_id, domain, state,"
        " verification_strategy, verification_prefix, verification_token, created_at, updated_at)"
        " VALUES (:environment_id, :id, :organization_id, :domain, :state,"
        " :verification_strategy, :verification_prefix, :verification_token, :created_at, :updated_at)",
        environment_id=environment_id,
        id=domain.id,
        organization_id=domain.organization_id,
        domain=domain.domain,
        state=domain.state,
        verification_strategy=domain.verification_strategy or None,
        verification_prefix=domain.verification_prefix or None,
        verification_token=domain.verification_token or None,
        created_at=domain.created_at,
        updated_at=domain.updated_at,
    )


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


def update_verified_manually(tx: Transaction, environment_id: str, domain: OrganizationDomain) -> None:
    """Write what `domain` has become: verified on the caller's word."""
    tx.run(
        "UPDATE organization_domains SET state = :state, verification_strategy = :strategy,"
        " verification_prefix = NULL, verification_token = NULL, updated_at = :updated_at"
        " WHERE environment_id = :environment_id AND id = :id",
        state=domain.state,
        strategy=domain.verification_strategy or None,
        updated_at=domain.updated_at,
        environment_id=environment_id,
        id=domain.id,
    )


def delete(tx: Transaction, environment_id: str, domain_id: str) -> None:
    """Remove one domain."""
    tx.run(
        "DELETE FROM organization_domains WHERE environment_id = :environment_id AND id = :id",
        environment_id=environment_id,
        id=domain_id,
    )
