-- What can happen. version is the newest of its schemas, which are never changed or deleted.
CREATE TABLE audit_log_actions (
    environment_id TEXT COLLATE "C" NOT NULL REFERENCES environments (id),
    name TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    version INTEGER NOT NULL,
    created_at TEXT COLLATE "C" NOT NULL,
    updated_at TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (environment_id, name)
);

CREATE UNIQUE INDEX audit_log_actions_by_id ON audit_log_actions (environment_id, id);

CREATE TABLE audit_log_schemas (
    environment_id TEXT COLLATE "C" NOT NULL REFERENCES environments (id),
    action TEXT COLLATE "C" NOT NULL,
    version INTEGER NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    wire BYTEA NOT NULL,
    PRIMARY KEY (environment_id, action, version)
);

CREATE UNIQUE INDEX audit_log_schemas_by_id ON audit_log_schemas (environment_id, action, id);

-- One row an organization that has events or a retention; it stays when the organization is deleted,
-- as its events do. prune_at, in milliseconds, is when events past their retention are looked for next.
CREATE TABLE audit_log_trails (
    environment_id TEXT COLLATE "C" NOT NULL REFERENCES environments (id),
    organization_id TEXT COLLATE "C" NOT NULL,
    retention_days INTEGER,
    prune_at BIGINT NOT NULL,
    PRIMARY KEY (environment_id, organization_id)
);

CREATE INDEX audit_log_trails_due ON audit_log_trails (prune_at);

-- Events are added, and deleted when their retention ends; nothing changes one.
-- Not partitioned by time: retention is each organization's own, thirty days to ten years, so a partition
-- could only be dropped when the longest of them has ended.
CREATE TABLE audit_log_events (
    position BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    environment_id TEXT COLLATE "C" NOT NULL REFERENCES environments (id),
    organization_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    occurred_at TEXT COLLATE "C" NOT NULL,
    action TEXT COLLATE "C" NOT NULL,
    version INTEGER NOT NULL,
    actor_type TEXT COLLATE "C" NOT NULL,
    actor_id TEXT COLLATE "C" NOT NULL,
    created_at TEXT COLLATE "C" NOT NULL,
    wire BYTEA NOT NULL
);

CREATE INDEX audit_log_events_by_time ON audit_log_events (environment_id, organization_id, occurred_at, id);
CREATE INDEX audit_log_events_by_action
    ON audit_log_events (environment_id, organization_id, action, occurred_at, id);
CREATE INDEX audit_log_events_by_actor
    ON audit_log_events (environment_id, organization_id, actor_id, occurred_at, id);

-- position is that of the event.
CREATE TABLE audit_log_targets (
    position BIGINT NOT NULL,
    number INTEGER NOT NULL,
    environment_id TEXT COLLATE "C" NOT NULL,
    organization_id TEXT COLLATE "C" NOT NULL,
    target_id TEXT COLLATE "C" NOT NULL,
    target_type TEXT COLLATE "C" NOT NULL,
    occurred_at TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (position, number)
);

CREATE INDEX audit_log_targets_by_id
    ON audit_log_targets (environment_id, organization_id, target_id, occurred_at, position);
