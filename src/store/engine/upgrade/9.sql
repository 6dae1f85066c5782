-- Webhooks.
ALTER TABLE events ADD COLUMN request_id TEXT;
CREATE INDEX events_by_configuration ON events (configuration) WHERE published = 1;

-- Webhooks: endpoints to which events are sent. `headers` is a JSON object of names and values, which are encrypted. Lanes
-- without a row begin after `start_seq`, and those of configurations up to `backfill_until` with the current resources.
CREATE TABLE webhooks (
    webhook          INTEGER PRIMARY KEY AUTOINCREMENT,
    id               TEXT NOT NULL UNIQUE,
    account          INTEGER REFERENCES accounts (account),
    url              TEXT NOT NULL,
    description      TEXT NOT NULL,
    kinds            TEXT,
    format           TEXT NOT NULL CHECK (format IN ('standard', 'frontegg', 'set')),
    payload          TEXT NOT NULL CHECK (payload IN ('full', 'thin')),
    batch_size       INTEGER NOT NULL,
    rate_limit       INTEGER,
    signature        TEXT NOT NULL CHECK (signature IN ('hmac', 'ed25519')),
    headers          TEXT NOT NULL,
    state            TEXT NOT NULL CHECK (state IN ('active', 'paused', 'disabled')),
    disabled_reason  TEXT,
    start_seq        INTEGER NOT NULL,
    backfill_until   INTEGER,
    content_revision INTEGER NOT NULL DEFAULT 1,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
) STRICT;

-- Keys that sign the requests of a webhook, encrypted with a key stored outside the database. An earlier one has an end.
CREATE TABLE webhook_keys (
    id         TEXT PRIMARY KEY,
    webhook    INTEGER NOT NULL REFERENCES webhooks (webhook),
    sealed     BLOB NOT NULL,
    public     TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_keys_by_webhook ON webhook_keys (webhook, created_at);

-- How far the events of a configuration were sent to a webhook. `batch_end` is the last event of a batch that was begun, so
-- that a restart sends the same batch. `backfill` is the position in the current resources, NULL for live events.
CREATE TABLE webhook_lanes (
    webhook         INTEGER NOT NULL REFERENCES webhooks (webhook),
    configuration   INTEGER NOT NULL,
    position        INTEGER NOT NULL,
    batch_end       INTEGER,
    backfill        TEXT,
    backfill_end    TEXT,
    backfill_page   INTEGER NOT NULL DEFAULT 0,
    failures        INTEGER NOT NULL DEFAULT 0,
    failing_since   INTEGER,
    next_attempt_at INTEGER,
    stopped_at      INTEGER,
    last_error      TEXT,
    PRIMARY KEY (webhook, configuration)
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_lanes_failing ON webhook_lanes (webhook, configuration) WHERE failing_since IS NOT NULL;

-- Attempts to send. The events are not stored again: `from_seq` and `to_seq` name them. `response` is the start of the body
-- of the response.
CREATE TABLE webhook_attempts (
    attempt       INTEGER PRIMARY KEY,
    webhook       INTEGER NOT NULL,
    configuration INTEGER NOT NULL,
    from_seq      INTEGER,
    to_seq        INTEGER,
    message_id    TEXT NOT NULL,
    number        INTEGER NOT NULL,
    resend        INTEGER NOT NULL CHECK (resend IN (0, 1)),
    succeeded     INTEGER NOT NULL CHECK (succeeded IN (0, 1)),
    status        INTEGER,
    error         TEXT,
    response      TEXT,
    duration_ms   INTEGER NOT NULL,
    at            INTEGER NOT NULL
) STRICT;
CREATE INDEX webhook_attempts_by_webhook ON webhook_attempts (webhook, attempt);
CREATE INDEX webhook_attempts_by_events ON webhook_attempts (configuration, to_seq) WHERE to_seq IS NOT NULL;
