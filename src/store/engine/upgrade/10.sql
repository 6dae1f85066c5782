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

-- Access tokens: `client` got them, with the secret that has the id `secret`.
ALTER TABLE tokens ADD COLUMN client INTEGER REFERENCES oauth_clients (client);
ALTER TABLE tokens ADD COLUMN secret TEXT;
DROP INDEX tokens_by_configuration;
CREATE INDEX tokens_by_configuration ON tokens (configuration, client);
CREATE INDEX tokens_by_client ON tokens (client, created_at) WHERE client IS NOT NULL;
CREATE INDEX tokens_by_end ON tokens (expires_at) WHERE client IS NOT NULL;

-- Public id of the OAuth client that was created last with the link.
ALTER TABLE setup_links ADD COLUMN client_made TEXT;
