-- All events of an environment in the order in which they are served, whatever their names.
CREATE INDEX events_in_order ON events (environment_id, transaction_id, position);
