-- Keys of metadata that are kept in an index, with the rules that their values keep: allowed is JSON.
-- A check goes through all organizations by id; position is the last one that it has looked at.
-- declared_in is the transaction that declared the key, on PostgreSQL: the check begins when none is
-- left that cannot see it. violations are the first ones, as JSON.
CREATE TABLE metadata_keys (
    environment_id TEXT COLLATE "C" NOT NULL REFERENCES environments (id),
    key TEXT COLLATE "C" NOT NULL,
    is_unique BOOLEAN NOT NULL,
    allowed TEXT,
    state TEXT NOT NULL,
    is_indexed BOOLEAN NOT NULL,
    declared_in BIGINT NOT NULL,
    position TEXT COLLATE "C" NOT NULL,
    checked INTEGER NOT NULL,
    violation_count INTEGER NOT NULL,
    violations TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (environment_id, key)
);

CREATE INDEX metadata_keys_at_work ON metadata_keys (environment_id, key) WHERE state IN ('checking', 'removing');

-- The values of these keys. Written in every transaction that writes an organization's metadata once
-- the key is declared. unique_value is the value where another organization may not have it. value is
-- null where a key was taken away during a check, so that this collides with the check.
CREATE TABLE organization_metadata (
    environment_id TEXT COLLATE "C" NOT NULL,
    organization_id TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C",
    unique_value TEXT COLLATE "C",
    PRIMARY KEY (environment_id, organization_id, key),
    FOREIGN KEY (environment_id, organization_id) REFERENCES organizations (environment_id, id) ON DELETE CASCADE
);

CREATE INDEX organization_metadata_by_value ON organization_metadata (environment_id, key, value, organization_id)
    WHERE value IS NOT NULL;
CREATE INDEX organization_metadata_by_key ON organization_metadata (environment_id, key, organization_id)
    WHERE value IS NOT NULL;
CREATE UNIQUE INDEX organization_metadata_unique ON organization_metadata (environment_id, key, unique_value)
    WHERE unique_value IS NOT NULL;

-- For lists by these.
CREATE INDEX organization_domains_by_state ON organization_domains (environment_id, state, organization_id);
CREATE INDEX organizations_with_external_id ON organizations (environment_id, id) WHERE external_id IS NOT NULL;
CREATE INDEX organizations_without_external_id ON organizations (environment_id, id) WHERE external_id IS NULL;
