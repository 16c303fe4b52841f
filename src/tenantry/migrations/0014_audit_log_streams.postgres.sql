-- Where an organization's events are sent; credentials are in destination. position is the sequence in the trail's
-- chain up to which the receiver has taken them. batch_end is where the batch ends that is under way or to be sent
-- again, so that it is the same one each time. due_at, in milliseconds, is when to send next, or else the end of a
-- lease: what a killed process was sending is due again by itself. It is null while nothing waits.
-- grade: how the stream does; each has places of its own in a server. test is JSON.
CREATE TABLE audit_log_streams (
    id TEXT COLLATE "C" PRIMARY KEY,
    environment_id TEXT COLLATE "C" NOT NULL,
    organization_id TEXT COLLATE "C" NOT NULL,
    trail BIGINT NOT NULL,
    type TEXT NOT NULL,
    destination BYTEA NOT NULL,
    batch_seconds INTEGER NOT NULL,
    state TEXT NOT NULL,
    position BIGINT NOT NULL,
    batch_end BIGINT,
    due_at BIGINT,
    grade TEXT COLLATE "C" NOT NULL,
    failures INTEGER NOT NULL,
    last_error TEXT,
    last_synced_at TEXT,
    test TEXT,
    test_due_at BIGINT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    FOREIGN KEY (environment_id, organization_id) REFERENCES organizations (environment_id, id) ON DELETE CASCADE
);

CREATE INDEX audit_log_streams_of_organization ON audit_log_streams (environment_id, organization_id, id);
CREATE INDEX audit_log_streams_of_trail ON audit_log_streams (trail);
CREATE INDEX audit_log_streams_due ON audit_log_streams (grade, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX audit_log_streams_to_test ON audit_log_streams (test_due_at) WHERE test_due_at IS NOT NULL;
