-- next_at, in milliseconds: while an export is pending, when it is to be worked at next, which claiming it
-- moves to the end of a lease; after that, when it expires, and once it is expired, when its row goes too.
-- place is up to where it is made, written with the part of the file that is made up to there.
CREATE TABLE audit_log_exports (
    id TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id),
    organization_id TEXT NOT NULL,
    trail INTEGER,
    format TEXT NOT NULL,
    filter BLOB NOT NULL,
    secret TEXT NOT NULL,
    state TEXT NOT NULL,
    place TEXT,
    steps INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX audit_log_exports_next ON audit_log_exports (state, next_at);

-- The file in parts, each compressed by zlib. Their rows are large, so they stand in a table with row ids.
CREATE TABLE audit_log_export_parts (
    export_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (export_id, number)
);
