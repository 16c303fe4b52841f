CREATE TABLE events (
    position BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    environment_id TEXT COLLATE "C" NOT NULL REFERENCES environments (id),
    id TEXT COLLATE "C" NOT NULL,
    event TEXT NOT NULL,
    organization_id TEXT COLLATE "C",
    created_at TEXT NOT NULL,
    wire BYTEA NOT NULL
);

CREATE UNIQUE INDEX events_by_id ON events (environment_id, id);
