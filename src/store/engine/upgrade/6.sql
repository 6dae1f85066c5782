-- Accounts get a key that is never reused; the id becomes a label. This block rebuilds accounts, configurations, api_keys,
-- admins, feed_positions and the usage tables, so it must be the first of this step: later blocks may add columns to the
-- new tables.
-- Copies, because a renamed table would have another text in the schema than in schema.sql.
CREATE TEMP TABLE old_accounts AS SELECT * FROM accounts;
CREATE TEMP TABLE old_configurations AS SELECT * FROM configurations;
CREATE TEMP TABLE old_api_keys AS SELECT * FROM api_keys;
CREATE TEMP TABLE old_admins AS SELECT * FROM admins;
CREATE TEMP TABLE old_feed_positions AS SELECT * FROM feed_positions;
CREATE TEMP TABLE old_configuration_usage AS SELECT * FROM configuration_usage;
CREATE TEMP TABLE old_account_usage AS SELECT * FROM account_usage;
DROP TABLE account_usage;
DROP TABLE configuration_usage;
DROP TABLE feed_positions;
DROP TABLE admins;
DROP TABLE api_keys;
DROP TABLE configurations;
DROP TABLE accounts;

CREATE TABLE accounts (
    account    INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL,
    name       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    -- The row of a deleted account stays because configurations refer to it.
    deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX accounts_by_id ON accounts (id) WHERE deleted_at IS NULL;
CREATE INDEX accounts_by_id_with_deleted ON accounts (id);
-- Up to now the row of a deleted account was used again. Rows that are older than the account belong to an earlier one.
INSERT INTO accounts (id, name, created_at, deleted_at)
SELECT id, id, 0, created_at FROM old_accounts o
WHERE EXISTS (SELECT 1 FROM audit e WHERE e.account_id = o.id AND e.at < o.created_at)
   OR EXISTS (SELECT 1 FROM old_configurations c WHERE c.account_id = o.id AND c.created_at < o.created_at
                  AND c.deleted_at IS NOT NULL)
   OR EXISTS (SELECT 1 FROM old_api_keys k WHERE k.account_id = o.id AND k.created_at < o.created_at
                  AND k.revoked_at IS NOT NULL);
CREATE TEMP TABLE earlier_accounts AS SELECT id, account, deleted_at AS until FROM accounts;
INSERT INTO accounts (id, name, created_at, deleted_at) SELECT id, name, created_at, deleted_at FROM old_accounts;
CREATE TEMP TABLE current_accounts AS SELECT id, max(account) AS account FROM accounts GROUP BY id;
CREATE UNIQUE INDEX temp.earlier_accounts_by_id ON earlier_accounts (id);
CREATE UNIQUE INDEX temp.current_accounts_by_id ON current_accounts (id);

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
    holds INTEGER NOT NULL DEFAULT 0 CHECK (holds IN (0, 1)),
    failures INTEGER NOT NULL DEFAULT 0,
    auth_failures INTEGER NOT NULL DEFAULT 0,
    recent_calls INTEGER NOT NULL DEFAULT 1,
    last_failure INTEGER,
    forgets_requests INTEGER NOT NULL DEFAULT 0 CHECK (forgets_requests IN (0, 1)),
    purge_seq INTEGER,
    last_cause TEXT
) STRICT;
CREATE INDEX configurations_by_account ON configurations (account);
CREATE INDEX configurations_catching_up ON configurations (configuration) WHERE holds = 1 AND sync = 1;
CREATE INDEX configurations_purging ON configurations (configuration) WHERE purge_seq IS NOT NULL;
CREATE UNIQUE INDEX configurations_by_name ON configurations (account, connection_name) WHERE deleted_at IS NULL;
INSERT INTO configurations
    (configuration, id, account, connection_name, source, provider, switches, revision, sync, created_at, last_sync,
     last_seen, deleted_at, holds, failures, auth_failures, recent_calls, last_failure, forgets_requests, purge_seq,
     last_cause)
SELECT configuration, o.id, ifnull(e.account, a.account), connection_name, source, provider, switches, revision, sync,
       created_at, last_sync, last_seen, deleted_at, holds, failures, auth_failures, recent_calls, last_failure,
       forgets_requests, purge_seq, last_cause
FROM old_configurations o JOIN current_accounts a ON a.id = o.account_id
    LEFT JOIN earlier_accounts e ON e.id = o.account_id AND o.created_at < e.until AND o.deleted_at IS NOT NULL;

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
INSERT INTO api_keys
    (id, digest, hint, name, account, permissions, created_at, last_used_at, expires_at, revoked_at)
SELECT o.id, digest, hint, name, ifnull(e.account, a.account), permissions, created_at, last_used_at, expires_at,
       revoked_at
FROM old_api_keys o LEFT JOIN current_accounts a ON a.id = o.account_id
    LEFT JOIN earlier_accounts e ON e.id = o.account_id AND o.created_at < e.until AND o.revoked_at IS NOT NULL;

-- An admin can be older than the account that it was assigned to, so admins belong to the newest account.
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
INSERT INTO admins
    (id, email, email_key, name, role_id, account, password_digest, totp_secret, totp_last_step, created_at,
     last_sign_in_at, disabled_at)
SELECT o.id, email, email_key, name, role_id, a.account, password_digest, totp_secret, totp_last_step, created_at,
       last_sign_in_at, disabled_at
FROM old_admins o LEFT JOIN current_accounts a ON a.id = o.account_id;
-- A deleted account gives no access: its admins are disabled, and their sessions end.
UPDATE admins SET disabled_at = (SELECT deleted_at FROM accounts a WHERE a.account = admins.account)
WHERE disabled_at IS NULL AND account IN (SELECT account FROM accounts WHERE deleted_at IS NOT NULL);
DELETE FROM sessions WHERE admin_id IN
    (SELECT id FROM admins WHERE account IN (SELECT account FROM accounts WHERE deleted_at IS NOT NULL));

CREATE TABLE feed_positions (
    account          INTEGER NOT NULL,
    configuration_id TEXT NOT NULL,
    seq              INTEGER NOT NULL,
    read_at          INTEGER NOT NULL,
    PRIMARY KEY (account, configuration_id)
) STRICT, WITHOUT ROWID;
INSERT INTO feed_positions (account, configuration_id, seq, read_at)
SELECT ifnull(a.account, 0), configuration_id, seq, read_at
FROM old_feed_positions o LEFT JOIN current_accounts a ON a.id = o.account_id
WHERE o.account_id = '' OR a.account IS NOT NULL;

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
    request_log_bytes_limit INTEGER
) STRICT;
INSERT INTO configuration_usage
    (configuration, account, users, groups, members, bytes, request_log_bytes, users_limit, groups_limit, members_limit,
     bytes_limit, request_log_bytes_limit)
SELECT configuration, c.account, users, groups, members, bytes, request_log_bytes, users_limit, groups_limit,
       members_limit, bytes_limit, request_log_bytes_limit
FROM old_configuration_usage JOIN configurations c USING (configuration);

-- The limits belong to the newest account with the id, the amounts to the account of each configuration.
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
    bytes_limit          INTEGER
) STRICT;
INSERT INTO account_usage (account, configurations_limit, users_limit, groups_limit, members_limit, bytes_limit)
SELECT a.account, configurations_limit, users_limit, groups_limit, members_limit, bytes_limit
FROM accounts a LEFT JOIN current_accounts n ON n.account = a.account
    LEFT JOIN old_account_usage o ON o.account_id = n.id;
WITH summed (account, users, groups, members, bytes) AS (
    SELECT account, sum(users), sum(groups), sum(members), sum(bytes) FROM configuration_usage GROUP BY account)
UPDATE account_usage SET users = s.users, groups = s.groups, members = s.members, bytes = s.bytes
FROM summed s WHERE s.account = account_usage.account;

-- Key of the account. `account_id` is its id at the time of the change.
ALTER TABLE audit ADD COLUMN account INTEGER;
UPDATE audit SET account = ifnull(
    (SELECT e.account FROM earlier_accounts e WHERE e.id = audit.account_id AND audit.at < e.until),
    (SELECT a.account FROM current_accounts a WHERE a.id = audit.account_id))
WHERE account_id IS NOT NULL;

DROP TABLE current_accounts;
DROP TABLE earlier_accounts;
DROP TABLE old_account_usage;
DROP TABLE old_configuration_usage;
DROP TABLE old_feed_positions;
DROP TABLE old_admins;
DROP TABLE old_api_keys;
DROP TABLE old_configurations;
DROP TABLE old_accounts;

-- Counts of audit entries that callers without credentials can cause, and an index of the calls without a known token.
CREATE TABLE audit_counts (
    action  TEXT NOT NULL,
    hour    INTEGER NOT NULL,
    subject TEXT NOT NULL,
    entry   INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    total   INTEGER NOT NULL,
    PRIMARY KEY (action, hour, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_refused ON requests (configuration, id) WHERE token_id IS NULL AND missed = 0;

-- The request log: the bodies of a call are compressed. The columns request_body and response_body have those of earlier
-- versions. A row counts 400 bytes for its other columns and the indexes.
ALTER TABLE requests ADD COLUMN bodies BLOB;
UPDATE configuration_usage SET request_log_bytes = 0;
WITH logged (configuration, bytes) AS (
    SELECT configuration,
           sum(400 + octet_length(path) + octet_length(notes) + ifnull(octet_length(detail), 0)
               + ifnull(octet_length(request_body), 0) + ifnull(octet_length(response_body), 0))
    FROM requests GROUP BY configuration)
UPDATE configuration_usage SET request_log_bytes = l.bytes
FROM logged l WHERE l.configuration = configuration_usage.configuration;

-- Switches of configurations: what a PATCH remove of `active` does. Named identity providers never mean the removal;
-- where input was strict, it was refused.
UPDATE configurations SET switches = json_set(switches, '$.active_removal',
    CASE
        WHEN switches ->> '$.input' = 'strict' THEN 'refuse'
        WHEN switches ->> '$.preset' IN ('okta', 'entra', 'idp') THEN 'keep'
        ELSE 'remove'
    END);

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

-- References to deleted resources.
-- Deleted resources that more resources referred to than one transaction may change. A job removes the references.
CREATE TABLE pending_references (
    configuration INTEGER NOT NULL REFERENCES configurations (configuration),
    deleted_id    TEXT NOT NULL,
    PRIMARY KEY (configuration, deleted_id)
) STRICT, WITHOUT ROWID;
