-- The names of domains that were claimed while no two organizations of their environment might have one.
CREATE TABLE unique_domains (
    environment_id TEXT NOT NULL REFERENCES environments (id),
    domain TEXT NOT NULL,
    PRIMARY KEY (environment_id, domain)
) WITHOUT ROWID;
