-- Events are read in the order (transaction_id, position), and only those of transactions
-- older than every one under way. position alone would not do: it is taken before the
-- commit, so a lower one can become visible after a higher one was read.
CREATE TABLE events (
    position BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction_id BIGINT NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    environment_id TEXT COLLATE "C" NOT NULL REFERENCES environments (id),
    id TEXT COLLATE "C" NOT NULL,
    event TEXT COLLATE "C" NOT NULL,
    organization_id TEXT COLLATE "C",
    created_at TEXT COLLATE "C" NOT NULL,
    wire BYTEA NOT NULL
);

CREATE UNIQUE INDEX events_by_id ON events (environment_id, id);
CREATE INDEX events_by_name ON events (environment_id, event, transaction_id, position);
CREATE INDEX events_of_organization ON events (environment_id, organization_id, event, transaction_id, position);
