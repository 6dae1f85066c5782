-- The reference schema: what a new database file contains, and the result of all upgrade steps.
-- Timestamps are milliseconds since 1970-01-01T00:00:00Z. Ids are UUIDs in lower case with hyphens.

-- Settings and state of this server instance, such as its public URL.
CREATE TABLE instance (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- An account is a customer of the operator. The key is never reused. The id is a label chosen by the operator: after a
-- deletion it can be used for a new account, which has another key.
CREATE TABLE accounts (
    account    INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL,
    name       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    -- The row of a deleted account stays because configurations refer to it.
    deleted_at INTEGER,
    -- The number of a marker in the event feed: the account was created then, after an earlier one with the same id. 0 for
    -- others.
    created_seq INTEGER NOT NULL DEFAULT 0,
    -- When the account last got a test event.
    test_event_at INTEGER,
    -- Where the account is while it moves to another instance, and since when.
    state TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'frozen', 'moved', 'importing')),
    state_since INTEGER
) STRICT;
CREATE UNIQUE INDEX accounts_by_id ON accounts (id) WHERE deleted_at IS NULL;
CREATE INDEX accounts_by_id_with_deleted ON accounts (id);

-- One SCIM provisioning configuration of an account. The row stays after deletion: events and leftovers refer to it.
CREATE TABLE configurations (
    configuration   INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT NOT NULL UNIQUE,
    account         INTEGER NOT NULL REFERENCES accounts (account),
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
    -- Whether the configuration has rows in held_resources or held_members.
    holds INTEGER NOT NULL DEFAULT 0 CHECK (holds IN (0, 1)),
    -- Consecutive failed calls, consecutive calls that failed authentication, and the time of the last failure of
    -- either kind. A successful call resets both counters to 0. recent_calls has one bit for each of the last 20 calls,
    -- the newest in the lowest bit, 1 for a failure. A leading 1 marks how many calls there are.
    failures INTEGER NOT NULL DEFAULT 0,
    auth_failures INTEGER NOT NULL DEFAULT 0,
    recent_calls INTEGER NOT NULL DEFAULT 1,
    last_failure INTEGER,
    -- 1 while a purge still has to delete the request log.
    forgets_requests INTEGER NOT NULL DEFAULT 0 CHECK (forgets_requests IN (0, 1)),
    -- Set while a purge runs: events up to this number no longer contain personal data of the configuration.
    purge_seq INTEGER,
    -- The cause of the last failed call: the reason why a token was refused, or an error code.
    last_cause TEXT,
    -- Whether it was created paused and has not been resumed since.
    staged INTEGER NOT NULL DEFAULT 0 CHECK (staged IN (0, 1)),
    -- The hold on mass removals. 1 while the changes wait for a decision.
    held INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1)),
    -- 1 if removals are counted; 2, 4 and 8 if there are rows in removals of users, memberships and groups; 16 if an admin
    -- rejected removals; 32 if users are protected.
    hold_flags INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX configurations_by_account ON configurations (account);
CREATE INDEX configurations_catching_up ON configurations (configuration) WHERE holds = 1 AND sync = 1;
CREATE INDEX configurations_purging ON configurations (configuration) WHERE purge_seq IS NOT NULL;
CREATE UNIQUE INDEX configurations_by_name ON configurations (account, connection_name) WHERE deleted_at IS NULL;

-- Bearer tokens: only the SHA-256 digest is stored, and the last four characters as a hint.
-- The digest is the primary key, so that the lookup at the start of every request searches one B-tree.
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
    revoked_at    INTEGER,
    -- Access tokens: `client` got them, with the secret that has the id `secret`.
    client INTEGER REFERENCES oauth_clients (client),
    secret TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_by_configuration ON tokens (configuration, client);
CREATE INDEX tokens_by_client ON tokens (client, created_at) WHERE client IS NOT NULL;
CREATE INDEX tokens_by_end ON tokens (expires_at) WHERE client IS NOT NULL;

-- Schemas that a configuration adds to a resource type. `document` is the validated Schema resource.
CREATE TABLE extensions (
    configuration INTEGER NOT NULL REFERENCES configurations (configuration),
    id            TEXT NOT NULL,
    resource_type TEXT NOT NULL,
    required      INTEGER NOT NULL CHECK (required IN (0, 1)),
    document      TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    PRIMARY KEY (configuration, id)
) STRICT, WITHOUT ROWID;

-- SCIM resources. `body` is the JSON document: `schemas` and the attributes, without those that are stored elsewhere:
-- id and meta (columns), members and groups (group_members).
-- The *_key columns are normalized for case-insensitive comparison. `label` is the display name in references.
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
    -- Set if the configuration requires unique names. The index below enforces it.
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

-- One row for each value of an indexed attribute that is multi-valued or part of an extension.
-- `path` is the canonical attribute path (emails.value), `key` the value normalized for comparison.
-- The rows are deleted together with the resource's document, so no foreign key is needed.
CREATE TABLE resource_values (
    configuration INTEGER NOT NULL,
    path          TEXT NOT NULL,
    key           TEXT NOT NULL,
    resource      INTEGER NOT NULL,
    PRIMARY KEY (configuration, path, key, resource)
) STRICT, WITHOUT ROWID;

-- Deleted resources that more resources referred to than one transaction may change. A job removes the references.
CREATE TABLE pending_references (
    configuration INTEGER NOT NULL REFERENCES configurations (configuration),
    deleted_id    TEXT NOT NULL,
    PRIMARY KEY (configuration, deleted_id)
) STRICT, WITHOUT ROWID;

-- Group memberships. A user's `groups` attribute is derived from this table and never stored.
CREATE TABLE group_members (
    group_resource  INTEGER NOT NULL REFERENCES resources (resource),
    member_resource INTEGER NOT NULL REFERENCES resources (resource),
    PRIMARY KEY (group_resource, member_resource)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_members_by_member ON group_members (member_resource, group_resource);

-- Large changes that run in steps: of the members of a group, or the deletion of a resource with many memberships. Until
-- it ends, no other write changes the resource. `reserved` is the growth of the members that already counts for the quotas,
-- `changed` is the change of their number so far.
CREATE TABLE pending_changes (
    resource      INTEGER PRIMARY KEY,
    configuration INTEGER NOT NULL,
    type          TEXT NOT NULL,
    deletes       INTEGER NOT NULL CHECK (deletes IN (0, 1)),
    reserved      INTEGER NOT NULL,
    changed       INTEGER NOT NULL
) STRICT;

-- The steps of a change of members that are left. Members that join have the lower numbers. `members` are pairs of a row
-- number and a hash of the id.
CREATE TABLE pending_member_slices (
    resource INTEGER NOT NULL,
    slice    INTEGER NOT NULL,
    joins    INTEGER NOT NULL CHECK (joins IN (0, 1)),
    members  BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX pending_member_slices_in_order ON pending_member_slices (resource, slice);

-- How many resources of each type a configuration has, per range of 4096 row numbers. A list request reads its total
-- from here, and finds the resource at any position without counting from the first.
CREATE TABLE resource_counts (
    configuration INTEGER NOT NULL REFERENCES configurations (configuration),
    type          TEXT NOT NULL,
    stretch       INTEGER NOT NULL,
    total         INTEGER NOT NULL,
    PRIMARY KEY (configuration, type, stretch)
) STRICT, WITHOUT ROWID;

-- How much each configuration stores, and limits of its own: NULL for the default of the operator, 0 for no limit. `bytes`
-- are those of the documents of its users and groups. The counters change in the transaction of the rows that they count.
CREATE TABLE configuration_usage (
    configuration           INTEGER PRIMARY KEY REFERENCES configurations (configuration),
    account                 INTEGER NOT NULL,
    users                   INTEGER NOT NULL DEFAULT 0,
    groups                  INTEGER NOT NULL DEFAULT 0,
    members                 INTEGER NOT NULL DEFAULT 0,
    bytes                   INTEGER NOT NULL DEFAULT 0,
    request_log_bytes       INTEGER NOT NULL DEFAULT 0,
    users_limit             INTEGER,
    groups_limit            INTEGER,
    members_limit           INTEGER,
    bytes_limit             INTEGER,
    request_log_bytes_limit INTEGER,
    -- Users whose `active` is true.
    active_users            INTEGER NOT NULL DEFAULT 0,
    active_users_limit      INTEGER,
    -- The operator's own sentence for calls above the limit of active users.
    active_users_message    TEXT,
    -- Calls that were refused because of that limit, or of the one of the account.
    refused_users           INTEGER NOT NULL DEFAULT 0,
    last_refused_at         INTEGER
) STRICT;

-- The sums of the configurations of each account, including deleted ones until they are purged, and limits of its own.
CREATE TABLE account_usage (
    account              INTEGER PRIMARY KEY REFERENCES accounts (account),
    users                INTEGER NOT NULL DEFAULT 0,
    groups               INTEGER NOT NULL DEFAULT 0,
    members              INTEGER NOT NULL DEFAULT 0,
    bytes                INTEGER NOT NULL DEFAULT 0,
    configurations_limit INTEGER,
    users_limit          INTEGER,
    groups_limit         INTEGER,
    members_limit        INTEGER,
    bytes_limit          INTEGER,
    active_users         INTEGER NOT NULL DEFAULT 0,
    active_users_limit   INTEGER,
    active_users_message TEXT
) STRICT;

-- Events, appended in the transaction of the change. The newest row is never removed, so seq never decreases.
-- `account_id` is the id of the account, and the configuration determines its key.
CREATE TABLE events (
    seq           INTEGER PRIMARY KEY,
    account_id    TEXT NOT NULL,
    configuration INTEGER NOT NULL,
    kind          TEXT NOT NULL,
    resource_id   TEXT,
    payload       TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    -- 0 if the change happened while its configuration was paused: the history shows it, the feed does not.
    published INTEGER NOT NULL DEFAULT 1 CHECK (published IN (0, 1)),
    -- Id of the request that made the change.
    request_id TEXT,
    -- 1 if it publishes changes of a pause or a hold: earlier events that are not published have them one by one.
    restated INTEGER NOT NULL DEFAULT 0 CHECK (restated IN (0, 1))
) STRICT;
CREATE INDEX events_by_resource ON events (resource_id, seq) WHERE resource_id IS NOT NULL;
-- The events that are sent to webhooks, for each configuration in the order of their numbers.
CREATE INDEX events_by_configuration ON events (configuration) WHERE published = 1;

-- The newest published event of each membership that is published, and, with an empty group_id, the newest published event
-- about any membership of the member.
CREATE TABLE membership_events (
    member_id TEXT NOT NULL,
    group_id  TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    PRIMARY KEY (member_id, group_id)
) STRICT, WITHOUT ROWID;

-- API keys of the management API, valid for all accounts or for one. The id is the client id.
-- Only the SHA-256 digest of the secret is stored. `permissions` is a space-separated list.
CREATE TABLE api_keys (
    id           TEXT PRIMARY KEY,
    digest       BLOB NOT NULL UNIQUE,
    hint         TEXT NOT NULL,
    name         TEXT NOT NULL,
    account      INTEGER REFERENCES accounts (account),
    permissions  TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    expires_at   INTEGER,
    revoked_at   INTEGER
) STRICT, WITHOUT ROWID;

-- Links that let a customer's IT admin set up one configuration, identified by the digest of the secret in the link.
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
    ended_at       INTEGER,
    -- Tokens created with the link.
    tokens_made    INTEGER NOT NULL DEFAULT 0,
    tokens_end_at  INTEGER,
    -- Public id of the OAuth client that was created last with the link.
    client_made TEXT,
    -- 'replace-token': only a new token for a configuration that is set up.
    purpose TEXT NOT NULL DEFAULT 'setup' CHECK (purpose IN ('setup', 'replace-token')),
    -- Id of the token that was created last with the link.
    token_made TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX setup_links_by_configuration ON setup_links (configuration);

-- The last published state of each resource that changed while its configuration was paused: `body` and the other
-- columns as they were before the first such change, or NULL if the resource did not exist. `gone` is 1 if it was
-- deleted since. A resource that was both created and deleted during the pause has no row.
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
    body          TEXT,
    display_name_key TEXT,
    -- 1 if a password was set since.
    password_set INTEGER NOT NULL DEFAULT 0 CHECK (password_set IN (0, 1)),
    -- The version at the deletion, and its time, while the deletion is held: no event about the resource has a higher one.
    deleted_version  INTEGER,
    deleted_modified INTEGER
) STRICT;
CREATE INDEX held_resources_in_order ON held_resources (configuration, type, resource);
CREATE INDEX held_resources_by_display_name ON held_resources (configuration, type, display_name_key, resource);
CREATE INDEX held_resources_gone ON held_resources (configuration, type) WHERE gone = 1;

-- The e-mail addresses in the bodies of held_resources, normalized for comparison.
CREATE TABLE held_emails (
    configuration INTEGER NOT NULL,
    key           TEXT NOT NULL,
    id            TEXT NOT NULL,
    PRIMARY KEY (configuration, key, id)
) STRICT, WITHOUT ROWID;

-- Memberships that changed while the configuration was paused. `was` is 1 if the membership existed before.
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

-- Settings of the hold, and the last hold: why it began, with which numbers, and the decision. Configurations of earlier
-- versions have no row: they are not held until the settings are changed.
CREATE TABLE holds (
    configuration  INTEGER PRIMARY KEY REFERENCES configurations (configuration),
    settings       TEXT NOT NULL,
    exempt_until   INTEGER,
    -- When a hold was last allowed: earlier removals count no more.
    allowed_at     INTEGER,
    held_since     INTEGER,
    reason         TEXT CHECK (reason IN ('users', 'memberships', 'groups', 'protected')),
    -- Removals in the window, including those of the time of the hold, and those of them that are published.
    counted        INTEGER NOT NULL DEFAULT 0,
    published      INTEGER NOT NULL DEFAULT 0,
    -- With how many removals the hold began, in a window that started then.
    threshold      INTEGER NOT NULL DEFAULT 0,
    window_minutes INTEGER NOT NULL DEFAULT 0,
    window_start   INTEGER NOT NULL DEFAULT 0,
    decision       TEXT CHECK (decision IN ('allow', 'reject')),
    -- Id of the request that decided.
    request_id     TEXT,
    -- How far the removals are undone, while they are: JSON. Those that could not be undone, with the reason: a JSON list.
    rejection      TEXT,
    conflicts      TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE INDEX holds_rejecting ON holds (configuration) WHERE rejection IS NOT NULL;

-- How many removals there were in the last minutes, as counters of short periods. With row ids, because a full window would
-- not fit in the page of an index.
CREATE TABLE removal_windows (
    configuration INTEGER NOT NULL,
    kind          TEXT NOT NULL,
    periods       BLOB NOT NULL,
    PRIMARY KEY (configuration, kind)
) STRICT;

-- What was removed: a user, a group, or a membership (the group and its member). `rejected_at` is set if an admin undid it.
CREATE TABLE removals (
    configuration INTEGER NOT NULL,
    kind          TEXT NOT NULL,
    subject       TEXT NOT NULL,
    member        TEXT NOT NULL DEFAULT '',
    removed_at    INTEGER NOT NULL,
    rejected_at   INTEGER,
    PRIMARY KEY (configuration, kind, subject, member)
) STRICT, WITHOUT ROWID;
CREATE INDEX removals_by_rejection ON removals (rejected_at) WHERE rejected_at IS NOT NULL;

-- Users whose removal waits for the decision of an admin: a userName, with its normalized form, or an externalId.
CREATE TABLE protected_users (
    configuration INTEGER NOT NULL,
    name          TEXT NOT NULL,
    key           TEXT NOT NULL,
    PRIMARY KEY (configuration, name)
) STRICT, WITHOUT ROWID;

-- The last undo of each configuration: what it changed since a time is undone, in steps.
CREATE TABLE undos (
    configuration INTEGER PRIMARY KEY,
    since         INTEGER NOT NULL,
    started_at    INTEGER NOT NULL,
    ended_at      INTEGER,
    -- Numbers of the last event before `since`, and before the start.
    first_seq     INTEGER NOT NULL,
    last_seq      INTEGER NOT NULL,
    -- How far it is, as JSON. NULL after the end.
    progress      TEXT,
    -- Id of the request that started it.
    request_id    TEXT,
    restored      INTEGER NOT NULL,
    activated     INTEGER NOT NULL,
    deactivated   INTEGER NOT NULL,
    joined        INTEGER NOT NULL,
    left_groups   INTEGER NOT NULL,
    conflicts     INTEGER NOT NULL,
    -- The first changes that could not be undone, with the reason: a JSON list.
    conflict_list TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE INDEX undos_running ON undos (configuration) WHERE progress IS NOT NULL;

-- While an undo runs: users and memberships (a group and its member) of which the oldest change was undone. Later ones are skipped.
CREATE TABLE undone_changes (
    configuration INTEGER NOT NULL,
    subject       TEXT NOT NULL,
    member        TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (configuration, subject, member)
) STRICT, WITHOUT ROWID;

-- The request log of each configuration: the requests of its identity provider and the responses. Never contains
-- secrets.
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
    response_body  TEXT,
    -- Network address of the caller.
    address        TEXT,
    -- Why the call failed: an error code of docs/errors.md, and the attribute it is about. NULL for successful calls,
    -- and for calls of earlier versions.
    reason         TEXT,
    reason_field   TEXT,
    -- Both bodies, compressed. The columns request_body and response_body have those of earlier versions.
    bodies         BLOB,
    -- A request that an admin has sent again: the id of the request that it repeats, and the name of the admin.
    replay_of      TEXT,
    replayed_by    TEXT
) STRICT;
CREATE UNIQUE INDEX requests_by_configuration ON requests (configuration, id);
CREATE INDEX requests_failed ON requests (configuration, id) WHERE failed = 1;
CREATE INDEX requests_refused ON requests (configuration, id) WHERE token_id IS NULL AND missed = 0;
CREATE INDEX requests_by_resource ON requests (configuration, resource_id, id) WHERE resource_id IS NOT NULL;
CREATE INDEX requests_replays ON requests (configuration, replay_of, id) WHERE replay_of IS NOT NULL;

-- The audit log: management changes made through the portal, the API or the command line. `before` and `after` are
-- JSON.
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
    after            TEXT,
    -- Key of the account. `account_id` is its id at the time of the change.
    account          INTEGER
) STRICT;
CREATE INDEX audit_by_account ON audit (account_id, entry);
CREATE INDEX audit_by_configuration ON audit (configuration_id, entry);

-- Counts of audit entries that callers without credentials can cause, per action, hour and subject: the last entry, the
-- number of entries, and how many occurrences the last entry stands for.
CREATE TABLE audit_counts (
    action  TEXT NOT NULL,
    hour    INTEGER NOT NULL,
    subject TEXT NOT NULL,
    entry   INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    total   INTEGER NOT NULL,
    PRIMARY KEY (action, hour, subject)
) STRICT, WITHOUT ROWID;

-- Responses to POST calls with an Idempotency-Key, by the digest of caller, URL and key. `answer` is encrypted with a
-- key derived from the Idempotency-Key, which is not stored.
CREATE TABLE idempotent_calls (
    digest     BLOB PRIMARY KEY,
    body       BLOB NOT NULL,
    answer     BLOB,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotent_calls_by_age ON idempotent_calls (created_at);

-- Argon2id digests of users' passwords, for configurations that verify passwords.
CREATE TABLE passwords (
    resource   INTEGER PRIMARY KEY REFERENCES resources (resource) ON DELETE CASCADE,
    digest     TEXT NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;

-- Custom roles. The built-in roles are defined in the program. `permissions` is a space-separated list.
CREATE TABLE roles (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    permissions TEXT NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX roles_by_name ON roles (name);

-- Admins of the portal. `role_id` is a built-in role or one of `roles`. With an account, the role applies to that
-- account only. The password is an Argon2id digest. The TOTP secret is encrypted with a key stored outside the
-- database.
CREATE TABLE admins (
    id              TEXT PRIMARY KEY,
    email           TEXT NOT NULL,
    email_key       TEXT NOT NULL UNIQUE,
    name            TEXT NOT NULL,
    role_id         TEXT NOT NULL,
    account         INTEGER REFERENCES accounts (account),
    password_digest TEXT,
    totp_secret     BLOB,
    totp_last_step  INTEGER,
    created_at      INTEGER NOT NULL,
    last_sign_in_at INTEGER,
    disabled_at     INTEGER
) STRICT, WITHOUT ROWID;

-- Invitations of admins, by the digest of the secret in the link. `invited_by` is the id of the admin who invites, `ended_at` the
-- time at which the invitation was accepted, replaced or revoked.
CREATE TABLE admin_invites (
    id         TEXT PRIMARY KEY,
    digest     BLOB NOT NULL UNIQUE,
    email      TEXT NOT NULL,
    email_key  TEXT NOT NULL,
    role_id    TEXT NOT NULL,
    account    INTEGER REFERENCES accounts (account),
    invited_by TEXT NOT NULL REFERENCES admins (id),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ended_at   INTEGER
) STRICT, WITHOUT ROWID;

-- Recovery codes for a lost TOTP authenticator, by digest. A code is deleted when it is used.
CREATE TABLE recovery_codes (
    admin_id TEXT NOT NULL REFERENCES admins (id),
    digest   BLOB NOT NULL,
    PRIMARY KEY (admin_id, digest)
) STRICT, WITHOUT ROWID;

-- Sessions of signed-in browsers, by the digest of the session cookie. `shown_once` is a secret that may be displayed
-- until `shown_until`, encrypted with a key that only the browser has.
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

-- Calls of each configuration per hour (hours since 1970 in UTC): successful calls, failed calls, and calls that
-- arrived faster than the request log could store them.
CREATE TABLE traffic (
    configuration INTEGER NOT NULL,
    hour          INTEGER NOT NULL,
    accepted      INTEGER NOT NULL,
    refused       INTEGER NOT NULL,
    missed        INTEGER NOT NULL,
    PRIMARY KEY (configuration, hour)
) STRICT, WITHOUT ROWID;

-- How far the event feed was read, per key of the account and configuration that the reader asked for; 0 and '' mean
-- all.
CREATE TABLE feed_positions (
    account          INTEGER NOT NULL,
    configuration_id TEXT NOT NULL,
    seq              INTEGER NOT NULL,
    read_at          INTEGER NOT NULL,
    PRIMARY KEY (account, configuration_id)
) STRICT, WITHOUT ROWID;

-- The branding of the pages that a customer sees; at most one row. `revision` is in the URLs of the logo and the style sheet.
CREATE TABLE branding (
    one          INTEGER PRIMARY KEY CHECK (one = 1),
    product_name TEXT NOT NULL DEFAULT '',
    accent       TEXT,
    support      TEXT,
    return_url   TEXT,
    logo_type    TEXT,
    logo         BLOB,
    revision     INTEGER NOT NULL
) STRICT;

-- Settings of the OpenID provider that admins sign in through. The client secret is encrypted with a key stored outside
-- the database.
CREATE TABLE sso_provider (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    agreement     TEXT NOT NULL,
    client_secret BLOB,
    revision      INTEGER NOT NULL
) STRICT;

-- Identities of admins at OpenID providers. `managed` is 1 if sign-in assigns the role, 0 if an admin assigned it.
CREATE TABLE sso_identities (
    issuer     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    admin_id   TEXT NOT NULL REFERENCES admins (id),
    managed    INTEGER NOT NULL DEFAULT 0 CHECK (managed IN (0, 1)),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX sso_identities_by_admin ON sso_identities (admin_id, issuer);

-- Password checks that passed and wait for the one-time code, by the digest of the secret in the cookie of the browser.
CREATE TABLE sign_in_claims (
    digest     BLOB PRIMARY KEY,
    admin_id   TEXT NOT NULL REFERENCES admins (id),
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_in_claims_by_admin ON sign_in_claims (admin_id, created_at);

-- Wrong one-time codes of admins. `failures` counts those since the last right code; codes are refused until
-- `blocked_until`. `unseen` counts those since `unseen_since` that the admin has not confirmed to know of.
CREATE TABLE wrong_codes (
    admin_id      TEXT PRIMARY KEY REFERENCES admins (id),
    failures      INTEGER NOT NULL,
    blocked_until INTEGER,
    unseen        INTEGER NOT NULL,
    unseen_since  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Addresses from which a setup link was opened, per day (days since 1970 in UTC): each is one entry of the audit log.
CREATE TABLE setup_link_visits (
    link_id TEXT NOT NULL,
    day     INTEGER NOT NULL,
    address TEXT NOT NULL,
    PRIMARY KEY (link_id, day, address)
) STRICT, WITHOUT ROWID;

-- Attributes that identity providers send and no schema of the configuration declares: names and types, never values.
-- `name` is the full path. `kind` is a data type of SCIM, NULL if only null was sent. `refused` counts those of `calls` that
-- the strict preset refused.
CREATE TABLE undeclared_attributes (
    configuration INTEGER NOT NULL,
    resource_type TEXT NOT NULL,
    name          TEXT NOT NULL COLLATE NOCASE,
    kind          TEXT,
    multi_valued  INTEGER NOT NULL CHECK (multi_valued IN (0, 1)),
    calls         INTEGER NOT NULL,
    refused       INTEGER NOT NULL,
    first_seen    INTEGER NOT NULL,
    last_seen     INTEGER NOT NULL,
    PRIMARY KEY (configuration, resource_type, name)
) STRICT, WITHOUT ROWID;

-- Webhooks: endpoints to which events are sent. `headers` is a JSON object of names and values, which are encrypted. Lanes
-- without a row begin after `start_seq`, and those of configurations up to `backfill_until` with the current resources.
-- `kinds_since` is a JSON object of the kinds that were added later and the numbers after which their events are sent.
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
    updated_at       INTEGER NOT NULL,
    kinds_since      TEXT NOT NULL DEFAULT '{}',
    -- Whether a caller of an account created it. Such a webhook is paused while the operator does not allow webhooks of accounts.
    by_account       INTEGER NOT NULL DEFAULT 0 CHECK (by_account IN (0, 1))
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

-- OAuth clients of a configuration. `scope` is the most that their access tokens may do; `token_lifetime` is in seconds. `jwks`,
-- `jwks_url`, `issuer`, `subject` and `audience` describe the assertions of those without secrets.
CREATE TABLE oauth_clients (
    client         INTEGER PRIMARY KEY,
    client_id      TEXT NOT NULL UNIQUE,
    configuration  INTEGER NOT NULL REFERENCES configurations (configuration),
    label          TEXT NOT NULL,
    authentication TEXT NOT NULL CHECK (authentication IN ('secret', 'private_key_jwt', 'federated')),
    scope          TEXT NOT NULL,
    token_lifetime INTEGER NOT NULL,
    jwks           TEXT,
    jwks_url       TEXT,
    issuer         TEXT,
    subject        TEXT,
    audience       TEXT,
    state          TEXT NOT NULL CHECK (state IN ('active', 'disabled')),
    created_at     INTEGER NOT NULL,
    last_used_at   INTEGER
) STRICT;
CREATE INDEX oauth_clients_by_configuration ON oauth_clients (configuration);

-- Secrets of OAuth clients. Only the digest of a secret is stored.
CREATE TABLE oauth_secrets (
    id           TEXT PRIMARY KEY,
    client       INTEGER NOT NULL REFERENCES oauth_clients (client),
    digest       BLOB NOT NULL,
    label        TEXT NOT NULL,
    hint         TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    expires_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_secrets_by_client ON oauth_secrets (client);
CREATE INDEX oauth_secrets_by_end ON oauth_secrets (expires_at);

-- Ids of assertions that were used, until they expire: each works once.
CREATE TABLE oauth_assertions (
    client     INTEGER NOT NULL REFERENCES oauth_clients (client),
    digest     BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (client, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_assertions_by_end ON oauth_assertions (expires_at);

-- Deleted users and groups that can be restored. `state` is 'deleting' while a deletion runs in steps, and 'restoring' while the
-- memberships of a restored resource return in steps. `name` is the userName of a user or the displayName of a group.
CREATE TABLE tombstones (
    tombstone     INTEGER PRIMARY KEY,
    configuration INTEGER NOT NULL REFERENCES configurations (configuration),
    type          TEXT NOT NULL,
    id            TEXT NOT NULL UNIQUE,
    state         TEXT NOT NULL CHECK (state IN ('deleting', 'deleted', 'restoring')),
    deleted_at    INTEGER NOT NULL,
    -- The request that deleted it, and its token.
    request_id    TEXT,
    token_id      TEXT,
    token_label   TEXT,
    version       INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    last_modified INTEGER NOT NULL,
    name          TEXT,
    name_key      TEXT,
    external_id   TEXT,
    label         TEXT,
    -- Argon2id digest of the password.
    digest        TEXT,
    body          TEXT NOT NULL
) STRICT;
CREATE INDEX tombstones_by_time ON tombstones (configuration, deleted_at, id);
CREATE INDEX tombstones_by_name ON tombstones (configuration, name_key, deleted_at) WHERE name_key IS NOT NULL;
CREATE INDEX tombstones_by_external_id ON tombstones (configuration, external_id, deleted_at) WHERE external_id IS NOT NULL;

-- Memberships of deleted resources. `ids` are the ids, 16 bytes each, of groups that had the resource as a member, or of members.
CREATE TABLE tombstone_members (
    slice     INTEGER PRIMARY KEY,
    tombstone INTEGER NOT NULL REFERENCES tombstones (tombstone),
    role      TEXT NOT NULL CHECK (role IN ('group', 'member')),
    ids       BLOB NOT NULL
) STRICT;
CREATE INDEX tombstone_members_by_tombstone ON tombstone_members (tombstone);

-- Requests to export or to erase the personal data of a user. `progress` is a JSON object that says where the work continues,
-- `counts` one of what was found, `user_ids` a JSON list of the users, and `receipt` a list of backups, all as of the end.
-- `email` is removed when an erasure ends. `revision` increases with each step.
CREATE TABLE personal_data_requests (
    request      INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    account      INTEGER NOT NULL REFERENCES accounts (account),
    kind         TEXT NOT NULL CHECK (kind IN ('export', 'erasure')),
    state        TEXT NOT NULL CHECK (state IN ('running', 'done')),
    user_id      TEXT,
    email        TEXT,
    actor_kind   TEXT NOT NULL,
    actor_id     TEXT NOT NULL,
    actor_name   TEXT NOT NULL,
    address      TEXT,
    request_id   TEXT,
    progress     TEXT NOT NULL,
    counts       TEXT NOT NULL DEFAULT '{}',
    user_ids     TEXT NOT NULL DEFAULT '[]',
    receipt      TEXT,
    revision     INTEGER NOT NULL DEFAULT 0,
    created_at   INTEGER NOT NULL,
    completed_at INTEGER
) STRICT;
CREATE INDEX personal_data_requests_by_account ON personal_data_requests (account, request);
CREATE INDEX personal_data_requests_running ON personal_data_requests (request) WHERE state = 'running';
CREATE INDEX personal_data_requests_completed ON personal_data_requests (kind, completed_at) WHERE state = 'done';

-- While a request runs: the ids and the values of the user that are looked for, a JSON object.
CREATE TABLE personal_data_subjects (
    request INTEGER PRIMARY KEY REFERENCES personal_data_requests (request),
    content TEXT NOT NULL
) STRICT;

-- The parts of the file of an export: items of a section, separated by commas.
CREATE TABLE personal_data_parts (
    part    INTEGER PRIMARY KEY,
    request INTEGER NOT NULL REFERENCES personal_data_requests (request),
    section TEXT NOT NULL,
    items   TEXT NOT NULL
) STRICT;
CREATE INDEX personal_data_parts_by_request ON personal_data_parts (request, section, part);

-- Accounts that were imported from another instance. `export_id` is that of the last file that was applied or is being applied,
-- `progress` a JSON object that says where the work continues, NULL when nothing is left of the file. Events after `feed_removed`
-- of the feed with the id `feed_id` were in the export; `is_final` is 1 if the account could not change any more.
CREATE TABLE account_imports (
    account      INTEGER PRIMARY KEY REFERENCES accounts (account),
    export_id    TEXT NOT NULL,
    source_id    TEXT NOT NULL,
    feed_id      TEXT NOT NULL,
    feed_removed INTEGER NOT NULL,
    feed_end     INTEGER NOT NULL,
    is_final     INTEGER NOT NULL CHECK (is_final IN (0, 1)),
    progress     TEXT,
    started_at   INTEGER NOT NULL,
    completed_at INTEGER
) STRICT;

-- How the numbers of imported rows follow from those of the other instance: the numbers `first` to `last` of a kind begin here
-- with `new_first`.
CREATE TABLE account_import_ranges (
    account   INTEGER NOT NULL REFERENCES accounts (account),
    kind      TEXT NOT NULL,
    first     INTEGER NOT NULL,
    last      INTEGER NOT NULL,
    new_first INTEGER NOT NULL,
    PRIMARY KEY (account, kind, first)
) STRICT, WITHOUT ROWID;
CREATE INDEX account_import_ranges_by_number ON account_import_ranges (kind, new_first);
