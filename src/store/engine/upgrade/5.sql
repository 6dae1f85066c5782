-- Admins: claims of a sign-in that waits for its one-time code, wrong codes, and limits of setup links.
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

-- Tokens created with the link.
ALTER TABLE setup_links ADD COLUMN tokens_made INTEGER NOT NULL DEFAULT 0;

-- The latest expiry of a token that is created with a set-up link: the expiry of the credential that created the link.
-- NULL for links of credentials that do not expire, and for links of earlier versions.
ALTER TABLE setup_links ADD COLUMN tokens_end_at INTEGER;
-- Quotas.
-- How much each configuration stores, and limits of its own: NULL for the default of the operator, 0 for no limit. `bytes`
-- are those of the documents of its users and groups. The counters change in the transaction of the rows that they count.
CREATE TABLE configuration_usage (
    configuration           INTEGER PRIMARY KEY REFERENCES configurations (configuration),
    account_id              TEXT NOT NULL,
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

-- The sums of the configurations of each account, including deleted ones until they are purged, and limits of its own.
CREATE TABLE account_usage (
    account_id           TEXT PRIMARY KEY REFERENCES accounts (id),
    users                INTEGER NOT NULL DEFAULT 0,
    groups               INTEGER NOT NULL DEFAULT 0,
    members              INTEGER NOT NULL DEFAULT 0,
    bytes                INTEGER NOT NULL DEFAULT 0,
    configurations_limit INTEGER,
    users_limit          INTEGER,
    groups_limit         INTEGER,
    members_limit        INTEGER,
    bytes_limit          INTEGER
) STRICT, WITHOUT ROWID;

INSERT INTO configuration_usage (configuration, account_id) SELECT configuration, account_id FROM configurations;
INSERT INTO account_usage (account_id) SELECT id FROM accounts;
WITH counted (configuration, users, groups, members, bytes) AS (
    SELECT configuration, sum(type = 'User'), sum(type = 'Group'), sum(member_count), sum(octet_length(body))
    FROM resources GROUP BY configuration)
UPDATE configuration_usage SET users = c.users, groups = c.groups, members = c.members, bytes = c.bytes
FROM counted c WHERE c.configuration = configuration_usage.configuration;
WITH logged (configuration, bytes) AS (
    SELECT configuration,
           sum(200 + octet_length(path) + octet_length(notes) + ifnull(octet_length(detail), 0)
               + ifnull(octet_length(request_body), 0) + ifnull(octet_length(response_body), 0))
    FROM requests GROUP BY configuration)
UPDATE configuration_usage SET request_log_bytes = l.bytes
FROM logged l WHERE l.configuration = configuration_usage.configuration;
WITH summed (account_id, users, groups, members, bytes) AS (
    SELECT account_id, sum(users), sum(groups), sum(members), sum(bytes) FROM configuration_usage GROUP BY account_id)
UPDATE account_usage SET users = s.users, groups = s.groups, members = s.members, bytes = s.bytes
FROM summed s WHERE s.account_id = account_usage.account_id;
