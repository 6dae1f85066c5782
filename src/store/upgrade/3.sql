-- The network address that each logged call came from.
ALTER TABLE requests ADD COLUMN address TEXT;
