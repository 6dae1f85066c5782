-- The hold on mass removals. `hold_flags`: 1 if removals are counted; 2, 4 and 8 if there are rows in removals of users,
-- memberships and groups; 16 if an admin rejected removals; 32 if users are protected. `held` is 1 while the changes wait for
-- a decision.
ALTER TABLE configurations ADD COLUMN held INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1));
ALTER TABLE configurations ADD COLUMN hold_flags INTEGER NOT NULL DEFAULT 0;

-- Events that publish changes of a pause or a hold: earlier events that are not published have them one by one.
ALTER TABLE events ADD COLUMN restated INTEGER NOT NULL DEFAULT 0 CHECK (restated IN (0, 1));

-- Settings of the hold, and the last hold: why it began, with which numbers, and the decision. Configurations of earlier
-- versions have no row: they are not held until the settings are changed.
CREATE TABLE holds (
    configuration  INTEGER PRIMARY KEY REFERENCES configurations (configuration),
    settings       TEXT NOT NULL,
    exempt_until   INTEGER,
    -- When a hold was last allowed: earlier removals count no more.
    allowed_at     INTEGER,
    held_since     INTEGER,
    reason         TEXT CHECK (reason IN ('users', 'memberships', 'groups', 'protected')),
    -- Removals in the window, including those of the time of the hold, and those of them that are published.
    counted        INTEGER NOT NULL DEFAULT 0,
    published      INTEGER NOT NULL DEFAULT 0,
    -- With how many removals the hold began, in a window that started then.
    threshold      INTEGER NOT NULL DEFAULT 0,
    window_minutes INTEGER NOT NULL DEFAULT 0,
    window_start   INTEGER NOT NULL DEFAULT 0,
    decision       TEXT CHECK (decision IN ('allow', 'reject')),
    -- Id of the request that decided.
    request_id     TEXT,
    -- How far the removals are undone, while they are: JSON. Those that could not be undone, with the reason: a JSON list.
    rejection      TEXT,
    conflicts      TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE INDEX holds_rejecting ON holds (configuration) WHERE rejection IS NOT NULL;

-- How many removals there were in the last minutes, as counters of short periods. With row ids, because a full window would
-- not fit in the page of an index.
CREATE TABLE removal_windows (
    configuration INTEGER NOT NULL,
    kind          TEXT NOT NULL,
    periods       BLOB NOT NULL,
    PRIMARY KEY (configuration, kind)
) STRICT;

-- What was removed: a user, a group, or a membership (the group and its member). `rejected_at` is set if an admin undid it.
CREATE TABLE removals (
    configuration INTEGER NOT NULL,
    kind          TEXT NOT NULL,
    subject       TEXT NOT NULL,
    member        TEXT NOT NULL DEFAULT '',
    removed_at    INTEGER NOT NULL,
    rejected_at   INTEGER,
    PRIMARY KEY (configuration, kind, subject, member)
) STRICT, WITHOUT ROWID;
CREATE INDEX removals_by_rejection ON removals (rejected_at) WHERE rejected_at IS NOT NULL;

-- Users whose removal waits for the decision of an admin: a userName, with its normalized form, or an externalId.
CREATE TABLE protected_users (
    configuration INTEGER NOT NULL,
    name          TEXT NOT NULL,
    key           TEXT NOT NULL,
    PRIMARY KEY (configuration, name)
) STRICT, WITHOUT ROWID;

-- The last undo of each configuration: what it changed since a time is undone, in steps.
CREATE TABLE undos (
    configuration INTEGER PRIMARY KEY,
    since         INTEGER NOT NULL,
    started_at    INTEGER NOT NULL,
    ended_at      INTEGER,
    -- Numbers of the last event before `since`, and before the start.
    first_seq     INTEGER NOT NULL,
    last_seq      INTEGER NOT NULL,
    -- How far it is, as JSON. NULL after the end.
    progress      TEXT,
    -- Id of the request that started it.
    request_id    TEXT,
    restored      INTEGER NOT NULL,
    activated     INTEGER NOT NULL,
    deactivated   INTEGER NOT NULL,
    joined        INTEGER NOT NULL,
    left_groups   INTEGER NOT NULL,
    conflicts     INTEGER NOT NULL,
    -- The first changes that could not be undone, with the reason: a JSON list.
    conflict_list TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE INDEX undos_running ON undos (configuration) WHERE progress IS NOT NULL;

-- While an undo runs: users and memberships (a group and its member) of which the oldest change was undone. Later ones are skipped.
CREATE TABLE undone_changes (
    configuration INTEGER NOT NULL,
    subject       TEXT NOT NULL,
    member        TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (configuration, subject, member)
) STRICT, WITHOUT ROWID;
