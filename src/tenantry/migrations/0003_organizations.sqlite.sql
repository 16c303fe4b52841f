-- wire is the object as it crosses the network, domains included, rewritten in the
-- transaction that changes it or them: reading an organization is reading one column.
-- folded_name is the name without case, for search.
CREATE TABLE organizations (
    environment_id TEXT NOT NULL REFERENCES environments (id),
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    folded_name TEXT NOT NULL,
    allow_profiles_outside_organization INTEGER NOT NULL,
    external_id TEXT,
    stripe_customer_id TEXT,
    metadata TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    wire BLOB NOT NULL,
    PRIMARY KEY (environment_id, id)
);

CREATE UNIQUE INDEX organizations_by_external_id ON organizations (environment_id, external_id)
    WHERE external_id IS NOT NULL;
CREATE UNIQUE INDEX organizations_by_stripe_customer_id ON organizations (environment_id, stripe_customer_id)
    WHERE stripe_customer_id IS NOT NULL;

CREATE TABLE organization_domains (
    environment_id TEXT NOT NULL,
    id TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    domain TEXT NOT NULL,
    state TEXT NOT NULL,
    verification_strategy TEXT,
    verification_prefix TEXT,
    verification_token TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (environment_id, id),
    FOREIGN KEY (environment_id, organization_id) REFERENCES organizations (environment_id, id)
        DEFERRABLE INITIALLY DEFERRED
) WITHOUT ROWID;

CREATE UNIQUE INDEX organization_domains_of_organization
    ON organization_domains (environment_id, organization_id, domain);
CREATE INDEX organization_domains_by_domain
    ON organization_domains (environment_id, domain, organization_id);
