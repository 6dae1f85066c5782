-- The request log: the bodies of a call are compressed. The columns request_body and response_body have those of earlier
-- versions. A row counts 400 bytes for its other columns and the indexes.
ALTER TABLE requests ADD COLUMN bodies BLOB;
UPDATE configuration_usage SET request_log_bytes = 0;
WITH logged (configuration, bytes) AS (
    SELECT configuration,
           sum(400 + octet_length(path) + octet_length(notes) + ifnull(octet_length(detail), 0)
               + ifnull(octet_length(request_body), 0) + ifnull(octet_length(response_body), 0))
    FROM requests GROUP BY configuration)
UPDATE configuration_usage SET request_log_bytes = l.bytes
FROM logged l WHERE l.configuration = configuration_usage.configuration;

-- Switches of configurations: what a PATCH remove of `active` does. Named identity providers never mean the removal;
-- where input was strict, it was refused.
UPDATE configurations SET switches = json_set(switches, '$.active_removal',
    CASE
        WHEN switches ->> '$.input' = 'strict' THEN 'refuse'
        WHEN switches ->> '$.preset' IN ('okta', 'entra', 'idp') THEN 'keep'
        ELSE 'remove'
    END);

-- Attributes that identity providers send and no schema of the configuration declares: names and types, never values.
-- `name` is the full path. `kind` is a data type of SCIM, NULL if only null was sent. `refused` counts those of `calls` that
-- the strict preset refused.
CREATE TABLE undeclared_attributes (
    configuration INTEGER NOT NULL,
    resource_type TEXT NOT NULL,
    name          TEXT NOT NULL COLLATE NOCASE,
    kind          TEXT,
    multi_valued  INTEGER NOT NULL CHECK (multi_valued IN (0, 1)),
    calls         INTEGER NOT NULL,
    refused       INTEGER NOT NULL,
    first_seen    INTEGER NOT NULL,
    last_seen     INTEGER NOT NULL,
    PRIMARY KEY (configuration, resource_type, name)
) STRICT, WITHOUT ROWID;
