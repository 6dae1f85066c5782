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

-- The version at the deletion, and its time, while the deletion is held: no event about the resource has a higher one.
ALTER TABLE held_resources ADD COLUMN deleted_version INTEGER;
ALTER TABLE held_resources ADD COLUMN deleted_modified INTEGER;
