-- Why a call failed: an error code of docs/errors.md, and the attribute it is about. NULL for successful calls, and for
-- calls of earlier versions.
ALTER TABLE requests ADD COLUMN reason TEXT;
ALTER TABLE requests ADD COLUMN reason_field TEXT;

-- The cause of the last failed call: the reason why a token was refused, or an error code.
ALTER TABLE configurations ADD COLUMN last_cause TEXT;
