-- place is a row's number in the index below. It sorts as ids do: the milliseconds of the id
-- times 2^19, and a number within the millisecond, so that the first matches of the index are the
-- first of a page. The table is made anew, since only a declared key survives a VACUUM.
CREATE TABLE placed_organizations (
    place INTEGER PRIMARY KEY,
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
    UNIQUE (environment_id, id)
);

WITH RECURSIVE
    digits (value, digit) AS (
        SELECT 0, '0' UNION ALL
        SELECT value + 1, substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', value + 2, 1) FROM digits WHERE value < 31
    ),
    pairs (text, value) AS (SELECT a.digit || b.digit, a.value * 32 + b.value FROM digits AS a, digits AS b),
    timed AS (
        SELECT organizations.*, min(
            (1 << 44) - 1,
            (a.value << 40) + (b.value << 30) + (c.value << 20) + (d.value << 10) + e.value
        ) AS milliseconds
        FROM organizations
        JOIN pairs AS a ON a.text = substr(id, -26, 2)
        JOIN pairs AS b ON b.text = substr(id, -24, 2)
        JOIN pairs AS c ON c.text = substr(id, -22, 2)
        JOIN pairs AS d ON d.text = substr(id, -20, 2)
        JOIN pairs AS e ON e.text = substr(id, -18, 2)
    )
INSERT INTO placed_organizations
SELECT
    (milliseconds << 19) + row_number() OVER (PARTITION BY milliseconds ORDER BY id) - 1,
    environment_id, id, name, folded_name, allow_profiles_outside_organization, external_id,
    stripe_customer_id, metadata, created_at, updated_at, wire
FROM timed;

CREATE TABLE placed_organization_domains (
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
    FOREIGN KEY (environment_id, organization_id) REFERENCES placed_organizations (environment_id, id)
        DEFERRABLE INITIALLY DEFERRED
) WITHOUT ROWID;

INSERT INTO placed_organization_domains SELECT * FROM organization_domains;

DROP TABLE organization_domains;
DROP TABLE organizations;
ALTER TABLE placed_organizations RENAME TO organizations;
ALTER TABLE placed_organization_domains RENAME TO organization_domains;

CREATE UNIQUE INDEX organizations_by_external_id ON organizations (environment_id, external_id)
    WHERE external_id IS NOT NULL;
CREATE UNIQUE INDEX organizations_by_stripe_customer_id ON organizations (environment_id, stripe_customer_id)
    WHERE stripe_customer_id IS NOT NULL;
CREATE UNIQUE INDEX organization_domains_of_organization
    ON organization_domains (environment_id, organization_id, domain);
CREATE INDEX organization_domains_by_domain
    ON organization_domains (environment_id, domain, organization_id);

-- Terms of folded names, as organizations/search.py has them. The index keeps no text.
CREATE VIRTUAL TABLE organization_index USING fts5 (
    terms, content = '', columnsize = 0, detail = none, tokenize = ascii
);

-- Places that the index has not got yet: few, and looked at one by one. Many given to the index
-- at once cost a fraction of what one after the other does.
CREATE TABLE organizations_to_index (place INTEGER PRIMARY KEY);

INSERT INTO organization_index (rowid, terms)
SELECT place, (
    WITH RECURSIVE term (start, text, bytes) AS (
        SELECT 1, hex(folded_name) || '00000000', length(CAST(folded_name AS BLOB))
        UNION ALL SELECT start + 2, text, bytes - 1 FROM term WHERE bytes > 1
    )
    SELECT group_concat(substr(environment_id, -6) || substr(text, start, 10), ' ') FROM term
)
FROM organizations;
