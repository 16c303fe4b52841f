-- Events are read in the order (transaction_id, position). One writer commits one
-- transaction after the other here, so position alone is that order and
-- transaction_id is always 0; PostgreSQL needs both.
CREATE TABLE events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    transaction_id INTEGER NOT NULL DEFAULT 0,
    environment_id TEXT NOT NULL REFERENCES environments (id),
    id TEXT NOT NULL,
    event TEXT NOT NULL,
    organization_id TEXT,
    created_at TEXT NOT NULL,
    wire BLOB NOT NULL
);

CREATE UNIQUE INDEX events_by_id ON events (environment_id, id);
CREATE INDEX events_by_name ON events (environment_id, event, transaction_id, position);
CREATE INDEX events_of_organization ON events (environment_id, organization_id, event, transaction_id, position);
