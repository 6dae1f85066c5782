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
