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
INSERT INTO traffic (configuration, hour, accepted, refused, missed)
SELECT configuration, at / 3600000,
       sum(missed = 0 AND NOT (failed OR status = 401)), sum(missed = 0 AND (failed OR status = 401)), sum(missed)
FROM requests GROUP BY configuration, at / 3600000;

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

-- The network address that each logged call came from.
ALTER TABLE requests ADD COLUMN address TEXT;
