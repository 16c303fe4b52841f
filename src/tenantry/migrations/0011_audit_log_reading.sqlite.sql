-- Events are read by time, and those of one time in the order of position, which every index ends with here
-- by itself: it is no text of forty letters in each of three indexes as the id was.
DROP INDEX audit_log_events_by_time;
DROP INDEX audit_log_events_by_action;
DROP INDEX audit_log_events_by_actor;

CREATE INDEX audit_log_events_by_time ON audit_log_events (environment_id, organization_id, occurred_at);
CREATE INDEX audit_log_events_by_action ON audit_log_events (environment_id, organization_id, action, occurred_at);
CREATE INDEX audit_log_events_by_actor ON audit_log_events (environment_id, organization_id, actor_id, occurred_at);
