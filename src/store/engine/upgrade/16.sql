-- The branding of the pages that a customer sees; at most one row. `revision` is in the URLs of the logo and the style sheet.
CREATE TABLE branding (
    one          INTEGER PRIMARY KEY CHECK (one = 1),
    product_name TEXT NOT NULL DEFAULT '',
    accent       TEXT,
    support      TEXT,
    return_url   TEXT,
    logo_type    TEXT,
    logo         BLOB,
    revision     INTEGER NOT NULL
) STRICT;
