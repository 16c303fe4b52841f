-- What can happen. version is the newest of its schemas, which are never changed or deleted.
CREATE TABLE audit_log_actions (
    environment_id TEXT NOT NULL REFERENCES environments (id),
    name TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (environment_id, name)
) WITHOUT ROWID;

CREATE UNIQUE INDEX audit_log_actions_by_id ON audit_log_actions (environment_id, id);

CREATE TABLE audit_log_schemas (
    environment_id TEXT NOT NULL REFERENCES environments (id),
    action TEXT NOT NULL,
    version INTEGER NOT NULL,
    id TEXT NOT NULL,
    wire BLOB NOT NULL,
    PRIMARY KEY (environment_id, action, version)
);

CREATE UNIQUE INDEX audit_log_schemas_by_id ON audit_log_schemas (environment_id, action, id);

-- One row an organization that has events or a retention; it stays when the organization is deleted,
-- as its events do. prune_at, in milliseconds, is when events past their retention are looked for next.
CREATE TABLE audit_log_trails (
    environment_id TEXT NOT NULL REFERENCES environments (id),
    organization_id TEXT NOT NULL,
    retention_days INTEGER,
    prune_at INTEGER NOT NULL,
    PRIMARY KEY (environment_id, organization_id)
) WITHOUT ROWID;

CREATE INDEX audit_log_trails_due ON audit_log_trails (prune_at);

-- Events are added, and deleted when their retention ends; nothing changes one.
CREATE TABLE audit_log_events (
    position INTEGER PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id),
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    occurred_at TEXT NOT NULL,
    action TEXT NOT NULL,
    version INTEGER NOT NULL,
    actor_type TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    created_at TEXT NOT NULL,
    wire BLOB NOT NULL
);

CREATE INDEX audit_log_events_by_time ON audit_log_events (environment_id, organization_id, occurred_at, id);
CREATE INDEX audit_log_events_by_action
    ON audit_log_events (environment_id, organization_id, action, occurred_at, id);
CREATE INDEX audit_log_events_by_actor
    ON audit_log_events (environment_id, organization_id, actor_id, occurred_at, id);

-- position is that of the event.
CREATE TABLE audit_log_targets (
    position INTEGER NOT NULL,
    number INTEGER NOT NULL,
    environment_id TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    target_id TEXT NOT NULL,
    target_type TEXT NOT NULL,
    occurred_at TEXT NOT NULL,
    PRIMARY KEY (position, number)
) WITHOUT ROWID;

CREATE INDEX audit_log_targets_by_id
    ON audit_log_targets (environment_id, organization_id, target_id, occurred_at, position);
