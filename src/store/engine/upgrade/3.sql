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
INSERT INTO traffic (configuration, hour, accepted, refused, missed)
SELECT configuration, at / 3600000,
       sum(missed = 0 AND NOT (failed OR status = 401)), sum(missed = 0 AND (failed OR status = 401)), sum(missed)
FROM requests GROUP BY configuration, at / 3600000;

-- How far the event feed was read, per account and configuration that the reader asked for; '' means all.
CREATE TABLE feed_positions (
    account_id       TEXT NOT NULL,
    configuration_id TEXT NOT NULL,
    seq              INTEGER NOT NULL,
    read_at          INTEGER NOT NULL,
    PRIMARY KEY (account_id, configuration_id)
) STRICT, WITHOUT ROWID;

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

-- Network address of the caller of each logged call.
ALTER TABLE requests ADD COLUMN address TEXT;
