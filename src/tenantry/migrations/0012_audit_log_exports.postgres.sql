-- next_at, in milliseconds: while an export is pending, when it is to be worked at next, which claiming it
-- moves to the end of a lease; after that, when it expires, and once it is expired, when its row goes too.
-- place is up to where it is made, written with the part of the file that is made up to there.
CREATE TABLE audit_log_exports (
    id TEXT COLLATE "C" PRIMARY KEY,
    environment_id TEXT COLLATE "C" NOT NULL REFERENCES environments (id),
    organization_id TEXT COLLATE "C" NOT NULL,
    trail BIGINT,
    format TEXT NOT NULL,
    filter BYTEA NOT NULL,
    secret TEXT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    place TEXT,
    steps INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    next_at BIGINT NOT NULL,
    created_at TEXT COLLATE "C" NOT NULL,
    updated_at TEXT COLLATE "C" NOT NULL
);

CREATE INDEX audit_log_exports_next ON audit_log_exports (state, next_at);

-- The file in parts, each compressed by zlib: so the server does not try to.
CREATE TABLE audit_log_export_parts (
    export_id TEXT COLLATE "C" NOT NULL,
    number INTEGER NOT NULL,
    content BYTEA NOT NULL,
    PRIMARY KEY (export_id, number)
);

ALTER TABLE audit_log_export_parts ALTER COLUMN content SET STORAGE EXTERNAL;
