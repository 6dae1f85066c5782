-- Where the account is while it moves to another instance, and since when.
ALTER TABLE accounts ADD COLUMN state TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'frozen', 'moved', 'importing'));
ALTER TABLE accounts ADD COLUMN state_since INTEGER;

-- Accounts that were imported from another instance. `export_id` is that of the last file that was applied or is being applied,
-- `progress` a JSON object that says where the work continues, NULL when nothing is left of the file. Events after `feed_removed`
-- of the feed with the id `feed_id` were in the export; `is_final` is 1 if the account could not change any more.
CREATE TABLE account_imports (
    account      INTEGER PRIMARY KEY REFERENCES accounts (account),
    export_id    TEXT NOT NULL,
    source_id    TEXT NOT NULL,
    feed_id      TEXT NOT NULL,
    feed_removed INTEGER NOT NULL,
    feed_end     INTEGER NOT NULL,
    is_final     INTEGER NOT NULL CHECK (is_final IN (0, 1)),
    progress     TEXT,
    started_at   INTEGER NOT NULL,
    completed_at INTEGER
) STRICT;

-- How the numbers of imported rows follow from those of the other instance: the numbers `first` to `last` of a kind begin here
-- with `new_first`.
CREATE TABLE account_import_ranges (
    account   INTEGER NOT NULL REFERENCES accounts (account),
    kind      TEXT NOT NULL,
    first     INTEGER NOT NULL,
    last      INTEGER NOT NULL,
    new_first INTEGER NOT NULL,
    PRIMARY KEY (account, kind, first)
) STRICT, WITHOUT ROWID;
CREATE INDEX account_import_ranges_by_number ON account_import_ranges (kind, new_first);
