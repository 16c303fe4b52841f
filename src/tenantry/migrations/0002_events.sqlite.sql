-- position counts up in the order of commits: one writer, one transaction at a time.
CREATE TABLE events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    environment_id TEXT NOT NULL REFERENCES environments (id),
    id TEXT NOT NULL,
    event TEXT NOT NULL,
    organization_id TEXT,
    created_at TEXT NOT NULL,
    wire BLOB NOT NULL
);

CREATE UNIQUE INDEX events_by_id ON events (environment_id, id);
