-- Lists of paused configurations by name and e-mail address are index look-ups, and a password that is set during a pause is
-- published afterwards.
ALTER TABLE held_resources ADD COLUMN display_name_key TEXT;
ALTER TABLE held_resources ADD COLUMN password_set INTEGER NOT NULL DEFAULT 0 CHECK (password_set IN (0, 1));
UPDATE held_resources SET display_name_key = scim_key(body ->> 'displayName') WHERE body IS NOT NULL;
CREATE INDEX held_resources_by_display_name ON held_resources (configuration, type, display_name_key, resource);

-- The e-mail addresses in the bodies of held_resources, normalized for comparison.
CREATE TABLE held_emails (
    configuration INTEGER NOT NULL,
    key           TEXT NOT NULL,
    id            TEXT NOT NULL,
    PRIMARY KEY (configuration, key, id)
) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO held_emails (configuration, key, id)
    SELECT configuration, key, id FROM
        (SELECT h.configuration, scim_key(CASE e.type WHEN 'object' THEN e.value ->> 'value' END) AS key, h.id
         FROM held_resources h, json_each(h.body, '$.emails') e)
    WHERE key IS NOT NULL;

-- The newest published event of each membership that is published, and, with an empty group_id, the newest published event
-- about any membership of the member.
CREATE TABLE membership_events (
    member_id TEXT NOT NULL,
    group_id  TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    PRIMARY KEY (member_id, group_id)
) STRICT, WITHOUT ROWID;
-- In the order of the events, so that the newest one replaces the others. A removal has a negative number.
INSERT OR REPLACE INTO membership_events (member_id, group_id, seq)
    SELECT m.value ->> 'value', '', e.seq
    FROM events e CROSS JOIN json_each(CASE WHEN json_valid(e.payload) THEN e.payload ELSE '{}' END, '$.members') m
    WHERE e.kind IN ('group.member_added', 'group.member_removed') AND e.published = 1 AND m.type = 'object'
    ORDER BY e.seq;
INSERT OR REPLACE INTO membership_events (member_id, group_id, seq)
    SELECT m.value ->> 'value', e.resource_id, CASE e.kind WHEN 'group.member_added' THEN e.seq ELSE -e.seq END
    FROM events e CROSS JOIN json_each(CASE WHEN json_valid(e.payload) THEN e.payload ELSE '{}' END, '$.members') m
    WHERE e.kind IN ('group.member_added', 'group.member_removed') AND e.published = 1 AND m.type = 'object'
        AND e.resource_id IS NOT NULL
    ORDER BY e.seq;
DELETE FROM membership_events
    WHERE seq < 0
        OR NOT EXISTS (SELECT 1 FROM resources r WHERE r.id = member_id)
            AND NOT EXISTS (SELECT 1 FROM held_resources h WHERE h.id = member_id)
        OR group_id <> '' AND NOT EXISTS (SELECT 1 FROM resources r WHERE r.id = group_id)
            AND NOT EXISTS (SELECT 1 FROM held_resources h WHERE h.id = group_id);

-- The number of a marker in the event feed: the account was created then, after an earlier one with the same id. 0 for others.
ALTER TABLE accounts ADD COLUMN created_seq INTEGER NOT NULL DEFAULT 0;
