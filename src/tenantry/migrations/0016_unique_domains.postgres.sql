-- The names of domains that were claimed while no two organizations of their environment might have
-- one. Two transactions do not see each other's claims: here they meet.
CREATE TABLE unique_domains (
    environment_id TEXT COLLATE "C" NOT NULL REFERENCES environments (id),
    domain TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (environment_id, domain)
);
