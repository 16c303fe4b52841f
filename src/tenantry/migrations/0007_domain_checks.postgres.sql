-- Who may have a domain: one organization at all ('unique'), one that has proved it ('exclusive'),
-- everyone who has ('shared').
ALTER TABLE environments ADD COLUMN domain_policy TEXT NOT NULL DEFAULT 'exclusive';
UPDATE environments SET domain_policy = 'unique' WHERE exclusive_domains;
ALTER TABLE environments DROP COLUMN exclusive_domains;

-- due_at, started_at, missing_since and at_risk_since are milliseconds since the epoch. due_at is when
-- the DNS is to be asked next; null when it is not. Claiming a check moves it to the end of the lease,
-- so what a killed process had claimed is due again by itself. started_at begins the thirty days, and
-- attempts counts the checks since. misses and missing_since tell of a verified domain whose record
-- has gone.
ALTER TABLE organization_domains ADD COLUMN due_at BIGINT;
ALTER TABLE organization_domains ADD COLUMN started_at BIGINT;
ALTER TABLE organization_domains ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE organization_domains ADD COLUMN verified_at TEXT;
ALTER TABLE organization_domains ADD COLUMN misses INTEGER NOT NULL DEFAULT 0;
ALTER TABLE organization_domains ADD COLUMN missing_since BIGINT;
ALTER TABLE organization_domains ADD COLUMN at_risk_since BIGINT;
UPDATE organization_domains SET due_at = 0, started_at = CAST(EXTRACT(EPOCH FROM created_at::timestamptz) * 1000 AS BIGINT)
    WHERE state = 'pending';
UPDATE organization_domains SET verified_at = updated_at WHERE state IN ('verified', 'legacy_verified');

CREATE INDEX organization_domains_due ON organization_domains (due_at) WHERE due_at IS NOT NULL;

-- What each check asked and was answered: report is JSON.
CREATE TABLE domain_attempts (
    environment_id TEXT COLLATE "C" NOT NULL REFERENCES environments (id),
    domain_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    verdict TEXT NOT NULL,
    report BYTEA NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (environment_id, domain_id, id)
);

CREATE INDEX domain_attempts_by_age ON domain_attempts (created_at);

-- A domain that one organization has and another has proved: decided at ends_at, in milliseconds.
CREATE TABLE domain_contests (
    environment_id TEXT COLLATE "C" NOT NULL REFERENCES environments (id),
    challenger_id TEXT COLLATE "C" NOT NULL,
    holder_id TEXT COLLATE "C" NOT NULL,
    ends_at BIGINT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (environment_id, challenger_id)
);

CREATE INDEX domain_contests_of_holder ON domain_contests (environment_id, holder_id);

CREATE INDEX organization_domains_owned ON organization_domains (environment_id, domain, verified_at)
    WHERE verified_at IS NOT NULL;
