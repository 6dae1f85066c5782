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

-- What a set-up link is for, and the id of the token that was created last with it.
ALTER TABLE setup_links ADD COLUMN purpose TEXT NOT NULL DEFAULT 'setup' CHECK (purpose IN ('setup', 'replace-token'));
ALTER TABLE setup_links ADD COLUMN token_made TEXT;
