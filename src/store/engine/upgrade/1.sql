-- The reference schema: what a new database file contains, and the result of all upgrade steps.
-- Timestamps are milliseconds since 1970-01-01T00:00:00Z. Ids are UUIDs in lower case with hyphens.

-- Settings and state of this server instance, such as its public URL.
CREATE TABLE instance (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- An account is a customer of the operator. The id is chosen by the operator.
CREATE TABLE accounts (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One SCIM provisioning configuration of an account. The row stays after deletion: events and leftovers refer to it.
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
    deleted_at      INTEGER
) STRICT;
CREATE UNIQUE INDEX configurations_by_name ON configurations (account_id, connection_name) WHERE deleted_at IS NULL;

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
    revoked_at    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_by_configuration ON tokens (configuration);

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

-- Group memberships. A user's `groups` attribute is derived from this table and never stored.
CREATE TABLE group_members (
    group_resource  INTEGER NOT NULL REFERENCES resources (resource),
    member_resource INTEGER NOT NULL REFERENCES resources (resource),
    PRIMARY KEY (group_resource, member_resource)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_members_by_member ON group_members (member_resource, group_resource);

-- How many resources of each type a configuration has, per range of 4096 row numbers. A list request reads its total
-- from here, and finds the resource at any position without counting from the first.
CREATE TABLE resource_counts (
    configuration INTEGER NOT NULL REFERENCES configurations (configuration),
    type          TEXT NOT NULL,
    stretch       INTEGER NOT NULL,
    total         INTEGER NOT NULL,
    PRIMARY KEY (configuration, type, stretch)
) STRICT, WITHOUT ROWID;

-- Events, appended in the transaction of the change. The newest row is never removed, so seq never decreases.
CREATE TABLE events (
    seq           INTEGER PRIMARY KEY,
    account_id    TEXT NOT NULL,
    configuration INTEGER NOT NULL,
    kind          TEXT NOT NULL,
    resource_id   TEXT,
    payload       TEXT NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT;
