-- The truth about the database: what a new file gets, and what the list of upgrades must add up to.
-- Times are milliseconds since 1970-01-01T00:00:00Z. Ids are UUIDs in lower case with hyphens.

-- What the process keeps about itself, such as its public URL.
CREATE TABLE instance (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- An account is a customer of the operator; the id is the operator's own string.
CREATE TABLE accounts (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    -- A deleted account keeps its row as long as configurations name it.
    deleted_at INTEGER
) STRICT, WITHOUT ROWID;

-- One SCIM provisioning configuration of an account. A deleted one keeps its row: events and leftovers name it.
CREATE TABLE configurations (
    configuration   INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT NOT NULL UNIQUE,
    account_id      TEXT NOT NULL REFERENCES accounts (id),
    connection_name TEXT NOT NULL,
    source          TEXT NOT NULL CHECK (source IN ('frontegg', 'okta', 'azure-ad', 'other')),
    provider        TEXT,
    switches        TEXT NOT NULL,
    revision        INTEGER NOT NULL DEFAULT 1,
    sync            INTEGER NOT NULL DEFAULT 1 CHECK (sync IN (0, 1)),
    created_at      INTEGER NOT NULL,
    last_sync       INTEGER,
    last_seen       INTEGER,
    deleted_at      INTEGER,
    -- Whether anything of it waits in held_resources or held_members.
    holds INTEGER NOT NULL DEFAULT 0 CHECK (holds IN (0, 1)),
    -- Failed calls in a row, callers that were refused in a row, and when the last of either was; a call that succeeds
    -- begins again at 0. recent_calls has a bit for each of the last 20 calls, the newest lowest, 1 where it failed; a
    -- leading 1 says how many there are.
    failures INTEGER NOT NULL DEFAULT 0,
    auth_failures INTEGER NOT NULL DEFAULT 0,
    recent_calls INTEGER NOT NULL DEFAULT 1,
    last_failure INTEGER,
    -- 1 where the request log has to go because of a purge, until it is gone.
    forgets_requests INTEGER NOT NULL DEFAULT 0 CHECK (forgets_requests IN (0, 1)),
    -- Set while what a purge has to remove is removed: events up to this one hold no personal data of it any more.
    purge_seq INTEGER
) STRICT;
CREATE INDEX configurations_by_account ON configurations (account_id);
CREATE INDEX configurations_catching_up ON configurations (configuration) WHERE holds = 1 AND sync = 1;
CREATE INDEX configurations_purging ON configurations (configuration) WHERE purge_seq IS NOT NULL;
CREATE UNIQUE INDEX configurations_by_name ON configurations (account_id, connection_name) WHERE deleted_at IS NULL;

-- Bearer tokens: only the SHA-256 digest is kept, and the last four characters as a hint.
-- The digest is the key, so that the look-up every request begins with walks one tree.
CREATE TABLE tokens (
    digest        BLOB PRIMARY KEY,
    id            TEXT NOT NULL UNIQUE,
    configuration INTEGER NOT NULL REFERENCES configurations (configuration),
    hint          TEXT NOT NULL,
    label         TEXT NOT NULL,
    rights        TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    first_used_at INTEGER,
    last_used_at  INTEGER,
    expires_at    INTEGER,
    revoked_at    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_by_configuration ON tokens (configuration);

-- Schemas that a configuration adds to a resource type; `document` is the Schema resource as it was checked.
CREATE TABLE extensions (
    configuration INTEGER NOT NULL REFERENCES configurations (configuration),
    id            TEXT NOT NULL,
    resource_type TEXT NOT NULL,
    required      INTEGER NOT NULL CHECK (required IN (0, 1)),
    document      TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    PRIMARY KEY (configuration, id)
) STRICT, WITHOUT ROWID;

-- SCIM resources. `body` is the JSON document: `schemas` and the attributes, without what is known elsewhere:
-- id and meta (the columns), members and groups (group_members).
-- The *_key columns are prepared for comparison without case; `label` is what others show for it.
CREATE TABLE resources (
    resource         INTEGER PRIMARY KEY,
    configuration    INTEGER NOT NULL REFERENCES configurations (configuration),
    type             TEXT NOT NULL,
    id               TEXT NOT NULL,
    version          INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    last_modified    INTEGER NOT NULL,
    active           INTEGER,
    user_name_key    TEXT,
    display_name_key TEXT,
    external_id      TEXT,
    -- Set where the configuration wants this name once; the index below is what decides.
    unique_name_key  TEXT,
    label            TEXT,
    member_count     INTEGER NOT NULL DEFAULT 0,
    body             TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX resources_by_id ON resources (id);
CREATE UNIQUE INDEX resources_by_user_name ON resources (configuration, type, user_name_key) WHERE user_name_key IS NOT NULL;
CREATE UNIQUE INDEX resources_by_unique_name ON resources (configuration, type, unique_name_key) WHERE unique_name_key IS NOT NULL;
CREATE INDEX resources_in_order ON resources (configuration, type);
CREATE INDEX resources_by_display_name ON resources (configuration, type, display_name_key);
CREATE INDEX resources_by_external_id ON resources (configuration, type, external_id);
CREATE INDEX resources_by_active ON resources (configuration, type, active);
CREATE INDEX resources_by_last_modified ON resources (configuration, type, last_modified);

-- One row for each value of an indexed attribute that is multi-valued or lies in an extension.
-- `path` is the attribute's canonical path (emails.value), `key` the value prepared for comparison.
-- Rows go with the resource's document, so there is no foreign key to walk.
CREATE TABLE resource_values (
    configuration INTEGER NOT NULL,
    path          TEXT NOT NULL,
    key           TEXT NOT NULL,
    resource      INTEGER NOT NULL,
    PRIMARY KEY (configuration, path, key, resource)
) STRICT, WITHOUT ROWID;

-- Who is in which group; a user's `groups` is read from here and never stored.
CREATE TABLE group_members (
    group_resource  INTEGER NOT NULL REFERENCES resources (resource),
    member_resource INTEGER NOT NULL REFERENCES resources (resource),
    PRIMARY KEY (group_resource, member_resource)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_members_by_member ON group_members (member_resource, group_resource);

-- How many resources of each type a configuration has, in stretches of 4096 row numbers: a list knows its total at once,
-- and finds the resource at any position without counting from the first.
CREATE TABLE resource_counts (
    configuration INTEGER NOT NULL REFERENCES configurations (configuration),
    type          TEXT NOT NULL,
    stretch       INTEGER NOT NULL,
    total         INTEGER NOT NULL,
    PRIMARY KEY (configuration, type, stretch)
) STRICT, WITHOUT ROWID;

-- Facts, appended in the transaction that made them true. The newest row is never removed, so seq never runs back.
CREATE TABLE events (
    seq           INTEGER PRIMARY KEY,
    account_id    TEXT NOT NULL,
    configuration INTEGER NOT NULL,
    kind          TEXT NOT NULL,
    resource_id   TEXT,
    payload       TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    -- 0 where the change happened while its configuration was paused: history shows it, the feed does not.
    published INTEGER NOT NULL DEFAULT 1 CHECK (published IN (0, 1))
) STRICT;
CREATE INDEX events_by_resource ON events (resource_id, seq) WHERE resource_id IS NOT NULL;

-- Who may call the management API with a secret of ours: all accounts, or the one that is named. The id is the client id;
-- only the SHA-256 digest of the secret is kept. `permissions` are words with blanks between.
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

-- Links that let a customer's IT admin set up one configuration, by the digest of the secret in the link.
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

-- What the operator's application knows of a resource that has changed while its configuration was paused: `body` and
-- the rest as they were before the first such change, or NULL where there was no such resource. `gone` where it was
-- deleted since; what came and went meanwhile leaves no row.
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

-- Memberships that have changed while the configuration was paused, and whether each was there before (`was`).
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

-- The request log of each configuration: what its identity provider sent and was answered. Secrets never come here.
CREATE TABLE requests (
    request        INTEGER PRIMARY KEY,
    configuration  INTEGER NOT NULL,
    -- The X-Request-Id of the answer. It begins with its time, so the index below is in the order of time too.
    id             TEXT NOT NULL,
    at             INTEGER NOT NULL,
    duration_us    INTEGER NOT NULL,
    method         TEXT NOT NULL,
    path           TEXT NOT NULL,
    status         INTEGER NOT NULL,
    failed         INTEGER NOT NULL CHECK (failed IN (0, 1)),
    scim_type      TEXT,
    detail         TEXT,
    -- Why a caller was nobody's, and the end of the token that was sent.
    refusal        TEXT,
    token_hint     TEXT,
    token_id       TEXT,
    resource_type  TEXT,
    resource_id    TEXT,
    notes          TEXT NOT NULL,
    -- More than 0 where the row stands for that many calls that could not be kept.
    missed         INTEGER NOT NULL DEFAULT 0,
    -- Lengths as they were sent; a body that is shorter here was cut, and one that is NULL was not kept.
    request_bytes  INTEGER,
    response_bytes INTEGER,
    request_body   TEXT,
    response_body  TEXT,
    -- The network address of the caller.
    address        TEXT
) STRICT;
CREATE UNIQUE INDEX requests_by_configuration ON requests (configuration, id);
CREATE INDEX requests_failed ON requests (configuration, id) WHERE failed = 1;
CREATE INDEX requests_by_resource ON requests (configuration, resource_id, id) WHERE resource_id IS NOT NULL;

-- Who changed what in the management of this server, through whatever door; `before` and `after` are JSON.
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

-- Answers to POST calls that carried an Idempotency-Key, by the digest of caller, address and key; `answer` is sealed with
-- a key made from the Idempotency-Key, which is not kept.
CREATE TABLE idempotent_calls (
    digest     BLOB PRIMARY KEY,
    body       BLOB NOT NULL,
    answer     BLOB,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotent_calls_by_age ON idempotent_calls (created_at);

-- Argon2id digests of users' passwords, where the configuration verifies them.
CREATE TABLE passwords (
    resource   INTEGER PRIMARY KEY REFERENCES resources (resource) ON DELETE CASCADE,
    digest     TEXT NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;

-- Roles that were made here; the built-in ones are known to the program. `permissions` are words with blanks between.
CREATE TABLE roles (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    permissions TEXT NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX roles_by_name ON roles (name);

-- People who use the portal. `role_id` names a built-in role or one of `roles`; with an account, the role counts there only.
-- The password is an argon2id digest; the secret of one-time codes is sealed with a key outside of the database.
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

-- Codes that stand in for a lost one-time code generator, by digest; each goes when it is used.
CREATE TABLE recovery_codes (
    admin_id TEXT NOT NULL REFERENCES admins (id),
    digest   BLOB NOT NULL,
    PRIMARY KEY (admin_id, digest)
) STRICT, WITHOUT ROWID;

-- Signed-in browsers, by the digest of what their cookie holds. `shown_once` is a secret that may be seen until
-- `shown_until`, sealed with a key that only the browser has.
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

-- How many calls each configuration had in an hour (hours since 1970 in UTC): those that were answered as asked, those that
-- were refused, and those that came faster than the request log takes them.
CREATE TABLE traffic (
    configuration INTEGER NOT NULL,
    hour          INTEGER NOT NULL,
    accepted      INTEGER NOT NULL,
    refused       INTEGER NOT NULL,
    missed        INTEGER NOT NULL,
    PRIMARY KEY (configuration, hour)
) STRICT, WITHOUT ROWID;

-- How far the event feed was read: by those who ask for one account, or for one configuration, or for all ('').
CREATE TABLE feed_positions (
    account_id       TEXT NOT NULL,
    configuration_id TEXT NOT NULL,
    seq              INTEGER NOT NULL,
    read_at          INTEGER NOT NULL,
    PRIMARY KEY (account_id, configuration_id)
) STRICT, WITHOUT ROWID;

-- What is agreed with the OpenID provider that people of the portal sign in through; the client's secret is sealed with a
-- key outside of the database.
CREATE TABLE sso_provider (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    agreement     TEXT NOT NULL,
    client_secret BLOB,
    revision      INTEGER NOT NULL
) STRICT;

-- Identities of people at OpenID providers. `managed` where the role was given by signing in, and not by somebody.
CREATE TABLE sso_identities (
    issuer     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    admin_id   TEXT NOT NULL REFERENCES admins (id),
    managed    INTEGER NOT NULL DEFAULT 0 CHECK (managed IN (0, 1)),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX sso_identities_by_admin ON sso_identities (admin_id, issuer);
