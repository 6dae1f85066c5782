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
