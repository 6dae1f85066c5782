-- Kinds of events that a webhook got after its creation: a JSON object of kinds and the numbers after which their events are sent.
ALTER TABLE webhooks ADD COLUMN kinds_since TEXT NOT NULL DEFAULT '{}';
-- Whether a caller of an account created it. Such a webhook is paused while the operator does not allow webhooks of accounts.
ALTER TABLE webhooks ADD COLUMN by_account INTEGER NOT NULL DEFAULT 0 CHECK (by_account IN (0, 1));
