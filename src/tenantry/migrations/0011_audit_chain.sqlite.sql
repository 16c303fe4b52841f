-- A trail has a number, which stands for environment and organization in every index of events: eight
-- bytes, not seventy.
CREATE TABLE audit_log_numbered_trails (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    environment_id TEXT NOT NULL REFERENCES environments (id),
    organization_id TEXT NOT NULL,
    retention_days INTEGER,
    prune_at INTEGER NOT NULL,
    UNIQUE (environment_id, organization_id)
);

INSERT INTO audit_log_numbered_trails (environment_id, organization_id, retention_days, prune_at)
SELECT environment_id, organization_id, retention_days, prune_at FROM audit_log_trails;

DROP TABLE audit_log_trails;
ALTER TABLE audit_log_numbered_trails RENAME TO audit_log_trails;

CREATE INDEX audit_log_trails_due ON audit_log_trails (prune_at);

-- Events are added, and deleted when their retention ends; nothing changes one. wire is the whole event as
-- canonical JSON: its hash is that of these bytes. The trail is no foreign key: it is never deleted, and on
-- PostgreSQL all writers of one organization would lock its row.
-- A position is never given twice, so whoever has read up to one misses nothing.
CREATE TABLE audit_log_whole_events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    transaction_id INTEGER NOT NULL DEFAULT 0,
    trail INTEGER NOT NULL,
    id TEXT NOT NULL,
    occurred_at TEXT NOT NULL,
    action TEXT NOT NULL,
    version INTEGER NOT NULL,
    actor_type TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    created_at TEXT NOT NULL,
    wire BLOB NOT NULL
);

-- What was written before keeps the order of its keys.
INSERT INTO audit_log_whole_events
    (position, trail, id, occurred_at, action, version, actor_type, actor_id, created_at, wire)
SELECT e.position, t.number, e.id, e.occurred_at, e.action, e.version, e.actor_type, e.actor_id, e.created_at,
    CAST(json_set(CAST(e.wire AS TEXT), '$.object', 'audit_log_event', '$.id', e.id,
        '$.organization_id', e.organization_id, '$.created_at', e.created_at) AS BLOB)
FROM audit_log_events e
JOIN audit_log_trails t ON t.environment_id = e.environment_id AND t.organization_id = e.organization_id;

DROP TABLE audit_log_events;
ALTER TABLE audit_log_whole_events RENAME TO audit_log_events;

CREATE INDEX audit_log_events_by_time ON audit_log_events (trail, occurred_at, position);
CREATE INDEX audit_log_events_by_action ON audit_log_events (trail, action, occurred_at, position);
CREATE INDEX audit_log_events_by_actor ON audit_log_events (trail, actor_id, occurred_at, position);

-- Which events an id is a target of; position is that of the event. The table is its own index.
CREATE TABLE audit_log_listed_targets (
    trail INTEGER NOT NULL,
    target_id TEXT NOT NULL,
    occurred_at TEXT NOT NULL,
    position INTEGER NOT NULL,
    target_type TEXT NOT NULL,
    PRIMARY KEY (trail, target_id, occurred_at, position, target_type)
) WITHOUT ROWID;

INSERT INTO audit_log_listed_targets (trail, target_id, occurred_at, position, target_type)
SELECT DISTINCT e.trail, t.target_id, t.occurred_at, t.position, t.target_type
FROM audit_log_targets t JOIN audit_log_events e ON e.position = t.position;

DROP TABLE audit_log_targets;
ALTER TABLE audit_log_listed_targets RENAME TO audit_log_targets;

-- An event's place in its organization's chain: written once, some moments after the event. When retention
-- has removed the event, event_hash is kept here until everything before it is removed too.
CREATE TABLE audit_log_seals (
    position INTEGER PRIMARY KEY,
    trail INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    occurred_at TEXT NOT NULL,
    hash BLOB NOT NULL,
    event_hash BLOB
);

CREATE UNIQUE INDEX audit_log_seals_in_order ON audit_log_seals (trail, sequence);

-- Where each chain ends, and where it begins since retention removed what was before. removed_before: events
-- of before that time may have been removed. sign_at, in milliseconds: when its next checkpoint is due.
CREATE TABLE audit_log_chains (
    trail INTEGER PRIMARY KEY,
    sequence INTEGER NOT NULL,
    hash BLOB NOT NULL,
    first_sequence INTEGER NOT NULL,
    removed_before TEXT,
    sign_at INTEGER
);

CREATE INDEX audit_log_chains_to_sign ON audit_log_chains (sign_at) WHERE sign_at IS NOT NULL;

-- Up to where events are sealed, in the order of (transaction_id, position). Whoever seals holds this row.
CREATE TABLE audit_log_sealing (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    transaction_id INTEGER NOT NULL,
    position INTEGER NOT NULL
);

INSERT INTO audit_log_sealing (one, transaction_id, position) VALUES (1, 0, 0);

-- What was signed of a chain: statement is canonical JSON, signature that of its bytes.
CREATE TABLE audit_log_checkpoints (
    trail INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    statement BLOB NOT NULL,
    signature BLOB NOT NULL,
    PRIMARY KEY (trail, sequence)
) WITHOUT ROWID;

-- Every Ed25519 key that was ever signed with. private_key only of the one that Tenantry made by itself.
CREATE TABLE audit_log_keys (
    id TEXT PRIMARY KEY,
    public_key BLOB NOT NULL,
    private_key BLOB,
    created_at TEXT NOT NULL
);

CREATE UNIQUE INDEX audit_log_keys_made ON audit_log_keys ((private_key IS NULL)) WHERE private_key IS NOT NULL;
