-- The management API: API keys, request log, audit log, and the changes held while a configuration is paused.

ALTER TABLE accounts ADD COLUMN deleted_at INTEGER;

-- Whether the configuration has rows in held_resources or held_members.
ALTER TABLE configurations ADD COLUMN holds INTEGER NOT NULL DEFAULT 0 CHECK (holds IN (0, 1));
-- Consecutive failed calls, consecutive calls that failed authentication, and the last failure of either kind. A
-- successful call resets both counters. recent_calls has one bit for each of the last 20 calls, the newest in the
-- lowest bit, 1 for a failure. A leading 1 marks how many calls there are.
ALTER TABLE configurations ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE configurations ADD COLUMN auth_failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE configurations ADD COLUMN recent_calls INTEGER NOT NULL DEFAULT 1;
ALTER TABLE configurations ADD COLUMN last_failure INTEGER;
ALTER TABLE configurations ADD COLUMN forgets_requests INTEGER NOT NULL DEFAULT 0 CHECK (forgets_requests IN (0, 1));
-- Set while a purge runs: events up to this number no longer contain personal data of the configuration.
ALTER TABLE configurations ADD COLUMN purge_seq INTEGER;
CREATE INDEX configurations_by_account ON configurations (account_id);
CREATE INDEX configurations_catching_up ON configurations (configuration) WHERE holds = 1 AND sync = 1;
CREATE INDEX configurations_purging ON configurations (configuration) WHERE purge_seq IS NOT NULL;

-- 0 if the change happened while its configuration was paused: the history shows it, the feed does not.
ALTER TABLE events ADD COLUMN published INTEGER NOT NULL DEFAULT 1 CHECK (published IN (0, 1));
CREATE INDEX events_by_resource ON events (resource_id, seq) WHERE resource_id IS NOT NULL;

CREATE TABLE api_keys (
    id           TEXT PRIMARY KEY,
    digest       BLOB NOT NULL UNIQUE,
    hint         TEXT NOT NULL,
    name         TEXT NOT NULL,
    account_id   TEXT REFERENCES accounts (id),
    permissions  TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    expires_at   INTEGER,
    revoked_at   INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE setup_links (
    id             TEXT PRIMARY KEY,
    digest         BLOB NOT NULL UNIQUE,
    configuration  INTEGER NOT NULL REFERENCES configurations (configuration),
    note           TEXT NOT NULL,
    provider       TEXT,
    created_at     INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    last_opened_at INTEGER,
    opened         INTEGER NOT NULL DEFAULT 0,
    ended_at       INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX setup_links_by_configuration ON setup_links (configuration);

CREATE TABLE held_resources (
    id            TEXT PRIMARY KEY,
    configuration INTEGER NOT NULL,
    type          TEXT NOT NULL,
    resource      INTEGER NOT NULL,
    gone          INTEGER NOT NULL DEFAULT 0 CHECK (gone IN (0, 1)),
    version       INTEGER,
    created_at    INTEGER,
    last_modified INTEGER,
    active        INTEGER,
    user_name_key TEXT,
    external_id   TEXT,
    label         TEXT,
    member_count  INTEGER,
    body          TEXT
) STRICT;
CREATE INDEX held_resources_in_order ON held_resources (configuration, type, resource);
CREATE INDEX held_resources_gone ON held_resources (configuration, type) WHERE gone = 1;

CREATE TABLE held_members (
    configuration INTEGER NOT NULL,
    group_id      TEXT NOT NULL,
    member        INTEGER NOT NULL,
    member_id     TEXT NOT NULL,
    member_type   TEXT NOT NULL,
    was           INTEGER NOT NULL CHECK (was IN (0, 1)),
    PRIMARY KEY (configuration, group_id, member, member_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX held_members_by_member ON held_members (configuration, member_id);

CREATE TABLE requests (
    request        INTEGER PRIMARY KEY,
    configuration  INTEGER NOT NULL,
    -- The X-Request-Id of the response. It begins with the time, so the index below is also in chronological order.
    id             TEXT NOT NULL,
    at             INTEGER NOT NULL,
    duration_us    INTEGER NOT NULL,
    method         TEXT NOT NULL,
    path           TEXT NOT NULL,
    status         INTEGER NOT NULL,
    failed         INTEGER NOT NULL CHECK (failed IN (0, 1)),
    scim_type      TEXT,
    detail         TEXT,
    -- Why authentication failed, and the last characters of the token that was sent.
    refusal        TEXT,
    token_hint     TEXT,
    token_id       TEXT,
    resource_type  TEXT,
    resource_id    TEXT,
    notes          TEXT NOT NULL,
    -- Greater than 0 if the row represents that many calls that could not be stored.
    missed         INTEGER NOT NULL DEFAULT 0,
    -- Lengths as sent. A shorter body was truncated, and a NULL body was not stored.
    request_bytes  INTEGER,
    response_bytes INTEGER,
    request_body   TEXT,
    response_body  TEXT
) STRICT;
CREATE UNIQUE INDEX requests_by_configuration ON requests (configuration, id);
CREATE INDEX requests_failed ON requests (configuration, id) WHERE failed = 1;
CREATE INDEX requests_by_resource ON requests (configuration, resource_id, id) WHERE resource_id IS NOT NULL;

CREATE TABLE audit (
    entry            INTEGER PRIMARY KEY,
    at               INTEGER NOT NULL,
    actor_kind       TEXT NOT NULL,
    actor_id         TEXT NOT NULL,
    actor_name       TEXT NOT NULL,
    address          TEXT,
    request_id       TEXT,
    account_id       TEXT,
    configuration_id TEXT,
    action           TEXT NOT NULL,
    subject_id       TEXT,
    before           TEXT,
    after            TEXT
) STRICT;
CREATE INDEX audit_by_account ON audit (account_id, entry);
CREATE INDEX audit_by_configuration ON audit (configuration_id, entry);

-- Responses to POST calls with an Idempotency-Key, by the digest of caller, URL and key. `answer` is encrypted with a
-- key derived from the Idempotency-Key, which is not stored.
CREATE TABLE idempotent_calls (
    digest     BLOB PRIMARY KEY,
    body       BLOB NOT NULL,
    answer     BLOB,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotent_calls_by_age ON idempotent_calls (created_at);

CREATE TABLE passwords (
    resource   INTEGER PRIMARY KEY REFERENCES resources (resource) ON DELETE CASCADE,
    digest     TEXT NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;

CREATE TABLE roles (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    permissions TEXT NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX roles_by_name ON roles (name);

CREATE TABLE admins (
    id              TEXT PRIMARY KEY,
    email           TEXT NOT NULL,
    email_key       TEXT NOT NULL UNIQUE,
    name            TEXT NOT NULL,
    role_id         TEXT NOT NULL,
    account_id      TEXT REFERENCES accounts (id),
    password_digest TEXT,
    totp_secret     BLOB,
    totp_last_step  INTEGER,
    created_at      INTEGER NOT NULL,
    last_sign_in_at INTEGER,
    disabled_at     INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE recovery_codes (
    admin_id TEXT NOT NULL REFERENCES admins (id),
    digest   BLOB NOT NULL,
    PRIMARY KEY (admin_id, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    digest       BLOB PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    admin_id     TEXT NOT NULL REFERENCES admins (id),
    address      TEXT,
    user_agent   TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    shown_once   BLOB,
    shown_until  INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_admin ON sessions (admin_id);
