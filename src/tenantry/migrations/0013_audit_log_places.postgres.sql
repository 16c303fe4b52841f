-- Up to where an environment's events are written to the audit logs of their organizations. The row of no
-- environment says that this was begun: one that is made later is followed from its first event on.
CREATE TABLE audit_log_places (
    environment_id TEXT COLLATE "C" PRIMARY KEY,
    transaction_id BIGINT NOT NULL,
    position BIGINT NOT NULL
);
