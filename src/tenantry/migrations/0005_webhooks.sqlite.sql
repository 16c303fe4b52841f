-- due_at (milliseconds since the epoch) is when a delivery is to be tried next; null when nothing
-- is owed. Claiming one moves it to the end of the lease, so what a killed process had claimed
-- is due again by itself. body is kept only where there is no event to read it from.
CREATE TABLE webhook_endpoints (
    environment_id TEXT NOT NULL REFERENCES environments (id),
    id TEXT NOT NULL,
    endpoint_url TEXT NOT NULL,
    secret TEXT NOT NULL,
    previous_secret TEXT,
    previous_secret_until INTEGER,
    status TEXT NOT NULL,
    events TEXT NOT NULL,
    failing_since INTEGER,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (environment_id, id)
) WITHOUT ROWID;

CREATE UNIQUE INDEX webhook_endpoints_by_id ON webhook_endpoints (id);
CREATE UNIQUE INDEX webhook_endpoints_by_url ON webhook_endpoints (environment_id, endpoint_url);

CREATE TABLE webhook_deliveries (
    id TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id),
    endpoint_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event TEXT NOT NULL,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due_at INTEGER,
    body BLOB,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) WITHOUT ROWID;

CREATE UNIQUE INDEX webhook_deliveries_by_event ON webhook_deliveries (endpoint_id, event_id);
CREATE INDEX webhook_deliveries_of_endpoint ON webhook_deliveries (endpoint_id, id);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, due_at) WHERE due_at IS NOT NULL;

CREATE TABLE webhook_attempts (
    delivery_id TEXT NOT NULL,
    id TEXT NOT NULL,
    status INTEGER,
    latency_ms INTEGER NOT NULL,
    answer BLOB,
    error TEXT,
    created_at TEXT NOT NULL,
    PRIMARY KEY (delivery_id, id)
) WITHOUT ROWID;

-- The place in the order of an environment's events up to which deliveries have been made: begun,
-- at the end of what is there, when the environment gets its first endpoint.
CREATE TABLE webhook_places (
    environment_id TEXT PRIMARY KEY REFERENCES environments (id),
    transaction_id INTEGER NOT NULL,
    position INTEGER NOT NULL
) WITHOUT ROWID;
