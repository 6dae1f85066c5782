-- Staged configurations: created paused, until they are resumed for the first time.
ALTER TABLE configurations ADD COLUMN staged INTEGER NOT NULL DEFAULT 0 CHECK (staged IN (0, 1));

-- Users whose `active` is true, the limit of them with the operator's own sentence, and the refused calls.
ALTER TABLE configuration_usage ADD COLUMN active_users INTEGER NOT NULL DEFAULT 0;
ALTER TABLE configuration_usage ADD COLUMN active_users_limit INTEGER;
ALTER TABLE configuration_usage ADD COLUMN active_users_message TEXT;
ALTER TABLE configuration_usage ADD COLUMN refused_users INTEGER NOT NULL DEFAULT 0;
ALTER TABLE configuration_usage ADD COLUMN last_refused_at INTEGER;
ALTER TABLE account_usage ADD COLUMN active_users INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account_usage ADD COLUMN active_users_limit INTEGER;
ALTER TABLE account_usage ADD COLUMN active_users_message TEXT;
UPDATE configuration_usage SET active_users = (
    SELECT count(*) FROM resources r
    WHERE r.configuration = configuration_usage.configuration AND r.type = 'User' AND r.active = 1
);
UPDATE account_usage SET active_users = (
    SELECT coalesce(sum(u.active_users), 0) FROM configuration_usage u WHERE u.account = account_usage.account
);
