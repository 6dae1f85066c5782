-- The pages of the database get checksums: the server replaces the file by its backup, see store/engine/database.rs.
-- Earlier programs must not open it, because they would write pages without checksums.

-- Large changes that run in steps: of the members of a group, or the deletion of a resource with many memberships. Until
-- it ends, no other write changes the resource. `reserved` is the growth of the members that already counts for the quotas,
-- `changed` is the change of their number so far.
CREATE TABLE pending_changes (
    resource      INTEGER PRIMARY KEY,
    configuration INTEGER NOT NULL,
    type          TEXT NOT NULL,
    deletes       INTEGER NOT NULL CHECK (deletes IN (0, 1)),
    reserved      INTEGER NOT NULL,
    changed       INTEGER NOT NULL
) STRICT;

-- The steps of a change of members that are left. Members that join have the lower numbers. `members` are pairs of a row
-- number and a hash of the id.
CREATE TABLE pending_member_slices (
    resource INTEGER NOT NULL,
    slice    INTEGER NOT NULL,
    joins    INTEGER NOT NULL CHECK (joins IN (0, 1)),
    members  BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX pending_member_slices_in_order ON pending_member_slices (resource, slice);
