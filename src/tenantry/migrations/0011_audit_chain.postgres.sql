-- A trail has a number, which stands for environment and organization in every index of events: eight
-- bytes, not seventy.
ALTER TABLE audit_log_trails ADD COLUMN number BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE;

ALTER TABLE audit_log_events RENAME TO audit_log_old_events;
ALTER TABLE audit_log_targets RENAME TO audit_log_old_targets;
DROP INDEX audit_log_events_by_time, audit_log_events_by_action, audit_log_events_by_actor, audit_log_targets_by_id;

-- Events are added, and deleted when their retention ends; nothing changes one. wire is the whole event as
-- canonical JSON: its hash is that of these bytes. The trail is no foreign key: it is never deleted, and all
-- writers of one organization would lock its row.
-- One partition a month of occurred_at: new events fill small indexes, a vacuum after a deletion goes through
-- the months that were deleted from, and a month of which nothing is left is dropped. The worker makes the
-- months to come; what is older than the first of them is in the default partition.
CREATE TABLE audit_log_events (
    position BIGINT GENERATED ALWAYS AS IDENTITY,
    transaction_id BIGINT NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    trail BIGINT NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    occurred_at TEXT COLLATE "C" NOT NULL,
    action TEXT COLLATE "C" NOT NULL,
    version INTEGER NOT NULL,
    actor_type TEXT COLLATE "C" NOT NULL,
    actor_id TEXT COLLATE "C" NOT NULL,
    created_at TEXT COLLATE "C" NOT NULL,
    wire BYTEA NOT NULL,
    PRIMARY KEY (position, occurred_at)
) PARTITION BY RANGE (occurred_at);

CREATE INDEX audit_log_events_by_time ON audit_log_events (trail, occurred_at, position);
CREATE INDEX audit_log_events_by_action ON audit_log_events (trail, action, occurred_at, position);
CREATE INDEX audit_log_events_by_actor ON audit_log_events (trail, actor_id, occurred_at, position);
-- The order in which they are sealed.
CREATE INDEX audit_log_events_in_order ON audit_log_events (transaction_id, position);

-- Which events an id is a target of; position is that of the event.
CREATE TABLE audit_log_targets (
    trail BIGINT NOT NULL,
    target_id TEXT COLLATE "C" NOT NULL,
    occurred_at TEXT COLLATE "C" NOT NULL,
    position BIGINT NOT NULL,
    target_type TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (trail, target_id, occurred_at, position, target_type)
) PARTITION BY RANGE (occurred_at);

CREATE TABLE audit_log_events_default PARTITION OF audit_log_events DEFAULT;
CREATE TABLE audit_log_targets_default PARTITION OF audit_log_targets DEFAULT;

DO $$
DECLARE
    month TIMESTAMP;
    parent TEXT;
BEGIN
    FOR ahead IN 0..2 LOOP
        month := date_trunc('month', now() AT TIME ZONE 'UTC') + ahead * INTERVAL '1 month';
        FOREACH parent IN ARRAY ARRAY['audit_log_events', 'audit_log_targets'] LOOP
            EXECUTE format(
                'CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                parent || to_char(month, '_YYYY_MM'), parent,
                to_char(month, 'YYYY-MM'), to_char(month + INTERVAL '1 month', 'YYYY-MM')
            );
        END LOOP;
    END LOOP;
END $$;

-- What was written before keeps the order of its keys.
INSERT INTO audit_log_events
    (position, transaction_id, trail, id, occurred_at, action, version, actor_type, actor_id, created_at, wire)
OVERRIDING SYSTEM VALUE
SELECT e.position, 0, t.number, e.id, e.occurred_at, e.action, e.version, e.actor_type, e.actor_id, e.created_at,
    convert_to((convert_from(e.wire, 'UTF8')::jsonb || jsonb_build_object('object', 'audit_log_event', 'id', e.id,
        'organization_id', e.organization_id, 'created_at', e.created_at))::text, 'UTF8')
FROM audit_log_old_events e
JOIN audit_log_trails t ON t.environment_id = e.environment_id AND t.organization_id = e.organization_id;

SELECT setval(
    pg_get_serial_sequence('audit_log_events', 'position'),
    (SELECT GREATEST(MAX(position), 1) FROM audit_log_events)
);

INSERT INTO audit_log_targets (trail, target_id, occurred_at, position, target_type)
SELECT DISTINCT e.trail, t.target_id, t.occurred_at, t.position, t.target_type
FROM audit_log_old_targets t JOIN audit_log_events e ON e.position = t.position;

DROP TABLE audit_log_old_events;
DROP TABLE audit_log_old_targets;

-- An event's place in its organization's chain: written once, some moments after the event. When retention
-- has removed the event, event_hash is kept here until everything before it is removed too.
CREATE TABLE audit_log_seals (
    position BIGINT PRIMARY KEY,
    trail BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    occurred_at TEXT COLLATE "C" NOT NULL,
    hash BYTEA NOT NULL,
    event_hash BYTEA
);

CREATE UNIQUE INDEX audit_log_seals_in_order ON audit_log_seals (trail, sequence);

-- Where each chain ends, and where it begins since retention removed what was before. removed_before: events
-- of before that time may have been removed. sign_at, in milliseconds: when its next checkpoint is due.
CREATE TABLE audit_log_chains (
    trail BIGINT PRIMARY KEY,
    sequence BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    first_sequence BIGINT NOT NULL,
    removed_before TEXT COLLATE "C",
    sign_at BIGINT
) WITH (fillfactor = 50);

CREATE INDEX audit_log_chains_to_sign ON audit_log_chains (sign_at) WHERE sign_at IS NOT NULL;

-- Up to where events are sealed, in the order of (transaction_id, position). Whoever seals holds this row.
CREATE TABLE audit_log_sealing (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    transaction_id BIGINT NOT NULL,
    position BIGINT NOT NULL
);

INSERT INTO audit_log_sealing (one, transaction_id, position) VALUES (1, 0, 0);

-- What was signed of a chain: statement is canonical JSON, signature that of its bytes.
CREATE TABLE audit_log_checkpoints (
    trail BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    statement BYTEA NOT NULL,
    signature BYTEA NOT NULL,
    PRIMARY KEY (trail, sequence)
);

-- Every Ed25519 key that was ever signed with. private_key only of the one that Tenantry made by itself.
CREATE TABLE audit_log_keys (
    id TEXT COLLATE "C" PRIMARY KEY,
    public_key BYTEA NOT NULL,
    private_key BYTEA,
    created_at TEXT COLLATE "C" NOT NULL
);

CREATE UNIQUE INDEX audit_log_keys_made ON audit_log_keys ((private_key IS NULL)) WHERE private_key IS NOT NULL;
