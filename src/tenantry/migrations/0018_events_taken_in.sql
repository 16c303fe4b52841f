-- The environments that have taken in events as another feed has them: the times of these need
-- not be in the order in which events are served, so that no place there follows from a time.
CREATE TABLE events_taken_in (
    environment_id TEXT PRIMARY KEY REFERENCES environments (id)
);
