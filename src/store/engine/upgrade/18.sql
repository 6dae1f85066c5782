-- A request that an admin has sent again: the id of the request that it repeats, and the name of the admin.
ALTER TABLE requests ADD COLUMN replay_of TEXT;
ALTER TABLE requests ADD COLUMN replayed_by TEXT;
CREATE INDEX requests_replays ON requests (configuration, replay_of, id) WHERE replay_of IS NOT NULL;
-- When the account last got a test event.
ALTER TABLE accounts ADD COLUMN test_event_at INTEGER;
