//! Rows of `accounts`. The row of a deleted account stays, because events and the audit log refer to it, and its
//! key is never used again.

use std::collections::BTreeSet;

use rusqlite::{Row, named_params, params};

use super::rows::{read_by_name, read_columns};
use super::{events, usage};
use crate::clock::Millis;
use crate::error::Result;
use crate::model::account::{Account, AccountAccess, AccountRef, AccountState};
use crate::store::{Snapshot, Tx};

/// Creates the account if it does not exist, with its id as the name. The id of a deleted account gets a new row. Returns
/// the account, and whether it was created.
pub fn ensure_account(tx: &Tx<'_>, id: &str) -> Result<(AccountRef, bool)> {
    if let Some(found) = find_account_ref(tx, id)? {
        return Ok((found, false));
    }
    tx.run(
        "INSERT INTO accounts (id, name, created_at) VALUES (:id, :id, :now)",
        named_params! {":id": id, ":now": tx.now},
    )?;
    let key = tx.connection().last_insert_rowid();
    usage::insert_account_usage(tx, key)?;
    if count_deleted(tx, id)? > 0 {
        let seq = events::append_account_marker(tx)?;
        tx.run("UPDATE accounts SET created_seq = ?2 WHERE account = ?1", [key, seq])?;
    }
    Ok((AccountRef { key, id: id.to_owned() }, true))
}

/// Records a test event of an account. Returns false if the one before is less than `interval` old.
pub fn record_test_event(tx: &Tx<'_>, key: i64, interval: Millis) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE accounts SET test_event_at = ?2
         WHERE account = ?1 AND (test_event_at IS NULL OR abs(?2 - test_event_at) >= ?3)",
        (key, tx.now, interval),
    )?;
    Ok(changed > 0)
}

read_by_name!(AccountState);

/// Returns where the account with this key is while it moves. An account without a row, such as that of no configuration, is
/// active.
pub fn find_state(at: &Snapshot<'_>, key: i64) -> Result<AccountState> {
    Ok(at.find_value("SELECT state FROM accounts WHERE account = ?1", [key])?.unwrap_or_default())
}

/// Stores where the account is, and since when. The revision of its configurations increases, so that caches reload them.
pub fn set_state(tx: &Tx<'_>, key: i64, state: AccountState) -> Result<()> {
    let sql = "UPDATE accounts SET state = ?2, state_since = ?3 WHERE account = ?1";
    tx.run(sql, params![key, state.as_str(), tx.now])?;
    tx.run("UPDATE configurations SET revision = revision + 1 WHERE account = ?1", [key])
}

/// Returns the account with this id that is not deleted.
pub fn find_account_ref(at: &Snapshot<'_>, id: &str) -> Result<Option<AccountRef>> {
    let key = at.find_value("SELECT account FROM accounts WHERE id = ?1 AND deleted_at IS NULL", [id])?;
    Ok(key.map(|key| AccountRef { key, id: id.to_owned() }))
}

/// Returns the newest account with this id, also after it was deleted, so that its last events and audit entries are found.
pub fn find_newest_account_ref(at: &Snapshot<'_>, id: &str) -> Result<Option<AccountRef>> {
    let key: Option<i64> = at.read_value("SELECT max(account) FROM accounts WHERE id = ?1", [id])?;
    Ok(key.map(|key| AccountRef { key, id: id.to_owned() }))
}

/// Returns the number of the marker in the event feed from which on its id refers to this account, and no longer to an earlier
/// one. 0 if there is no earlier one.
pub fn find_created_seq(at: &Snapshot<'_>, key: i64) -> Result<i64> {
    Ok(at.find_value("SELECT created_seq FROM accounts WHERE account = ?1", [key])?.unwrap_or(0))
}

/// Returns the number of deleted accounts that had this id.
pub fn count_deleted(at: &Snapshot<'_>, id: &str) -> Result<i64> {
    at.read_value("SELECT count(*) FROM accounts WHERE id = ?1 AND deleted_at IS NOT NULL", [id])
}

const SELECT_ACCOUNTS: &str = "SELECT a.account, a.id, a.name, a.created_at,
        (SELECT count(*) FROM configurations c WHERE c.account = a.account AND c.deleted_at IS NULL) AS configurations
     FROM accounts a WHERE a.deleted_at IS NULL";

/// Returns the account with this id, or `None` if it is unknown or deleted.
pub fn find_account_by_id(at: &Snapshot<'_>, id: &str) -> Result<Option<Account>> {
    at.find_row(&format!("{SELECT_ACCOUNTS} AND a.id = ?1"), [id], read_account)
}

/// Returns at most `limit` accounts, ordered by id: those with ids after `after`, if given, and only the account
/// with the key `only`, if given.
pub fn list_accounts(at: &Snapshot<'_>, only: Option<i64>, after: Option<&str>, limit: u32) -> Result<Vec<Account>> {
    at.list_rows(
        &format!(
            "{SELECT_ACCOUNTS} AND a.id > coalesce(?1, '') AND (?2 IS NULL OR a.account = ?2) ORDER BY a.id LIMIT ?3"
        ),
        params![after, only, limit],
        read_account,
    )
}

/// Returns the id of the account with this key.
pub fn find_account_id(at: &Snapshot<'_>, key: i64) -> Result<Option<String>> {
    at.find_value("SELECT id FROM accounts WHERE account = ?1", [key])
}

/// Returns the name of the account with this key, also after it was deleted.
pub fn find_account_name(at: &Snapshot<'_>, key: i64) -> Result<Option<String>> {
    at.find_value("SELECT name FROM accounts WHERE account = ?1", [key])
}

/// Returns keys and names of the accounts with these keys, also of deleted ones.
pub fn list_account_names(at: &Snapshot<'_>, keys: &BTreeSet<i64>) -> Result<Vec<(i64, String)>> {
    let keys = format!("[{}]", keys.iter().map(i64::to_string).collect::<Vec<_>>().join(","));
    at.list_rows(
        "SELECT account, name FROM accounts WHERE account IN (SELECT value FROM json_each(?1))",
        [keys],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Changes the name of the account.
pub fn rename_account(tx: &Tx<'_>, key: i64, name: &str) -> Result<()> {
    tx.run("UPDATE accounts SET name = ?2 WHERE account = ?1", params![key, name])
}

/// Marks the account as deleted.
pub fn mark_account_deleted(tx: &Tx<'_>, key: i64) -> Result<()> {
    tx.run("UPDATE accounts SET deleted_at = ?2 WHERE account = ?1", params![key, tx.now])
}

/// Returns the number of admins, sessions and credentials that give access to the account.
pub fn count_access(at: &Snapshot<'_>, key: i64) -> Result<AccountAccess> {
    let count = |sql: &str| at.read_value(sql, [key]);
    Ok(AccountAccess {
        admins: count("SELECT count(*) FROM admins WHERE account = ?1 AND disabled_at IS NULL")?,
        sessions: count("SELECT count(*) FROM sessions WHERE admin_id IN (SELECT id FROM admins WHERE account = ?1)")?,
        api_keys: count("SELECT count(*) FROM api_keys WHERE account = ?1 AND revoked_at IS NULL")?,
        tokens: count(
            "SELECT count(*) FROM tokens WHERE revoked_at IS NULL AND client IS NULL AND configuration IN
                 (SELECT configuration FROM configurations WHERE account = ?1 AND deleted_at IS NULL)",
        )?,
        setup_links: count(
            "SELECT count(*) FROM setup_links WHERE ended_at IS NULL AND configuration IN
                 (SELECT configuration FROM configurations WHERE account = ?1 AND deleted_at IS NULL)",
        )?,
    })
}

/// Ends all access to the account: disables its admins, ends their sessions, sign-ins and invitations, revokes API keys and tokens,
/// ends setup links, and deletes the positions of its feed readers.
pub fn end_access(tx: &Tx<'_>, key: i64) -> Result<()> {
    for sql in [
        "DELETE FROM sessions WHERE admin_id IN (SELECT id FROM admins WHERE account = ?1) AND ?2 IS NOT NULL",
        "DELETE FROM sign_in_claims WHERE admin_id IN (SELECT id FROM admins WHERE account = ?1) AND ?2 IS NOT NULL",
        "UPDATE admins SET disabled_at = ?2 WHERE account = ?1 AND disabled_at IS NULL",
        "UPDATE api_keys SET revoked_at = ?2 WHERE account = ?1 AND revoked_at IS NULL",
        "UPDATE tokens SET revoked_at = ?2 WHERE revoked_at IS NULL
             AND configuration IN (SELECT configuration FROM configurations WHERE account = ?1)",
        "UPDATE oauth_clients SET state = 'disabled' WHERE ?2 IS NOT NULL
             AND configuration IN (SELECT configuration FROM configurations WHERE account = ?1)",
        "UPDATE setup_links SET ended_at = ?2 WHERE ended_at IS NULL
             AND configuration IN (SELECT configuration FROM configurations WHERE account = ?1)",
        "UPDATE admin_invites SET ended_at = ?2 WHERE account = ?1 AND ended_at IS NULL",
        "DELETE FROM feed_positions WHERE account = ?1 AND ?2 IS NOT NULL",
    ] {
        tx.run(sql, params![key, tx.now])?;
    }
    Ok(())
}

/// Returns the ids of the account's deleted configurations that still have users, groups or tombstones, oldest first.
pub fn list_leftover_ids(at: &Snapshot<'_>, key: i64) -> Result<Vec<String>> {
    at.list_values(
        "SELECT c.id FROM configurations c
         WHERE c.account = ?1 AND c.deleted_at IS NOT NULL
           AND (c.holds = 1
                OR EXISTS (SELECT 1 FROM resource_counts r WHERE r.configuration = c.configuration AND r.total > 0)
                OR EXISTS (SELECT 1 FROM tombstones t WHERE t.configuration = c.configuration))
         ORDER BY c.configuration",
        [key],
    )
}

fn read_account(row: &Row<'_>) -> rusqlite::Result<Account> {
    read_columns!(row, Account { key: "account", id, name, created_at, configurations })
}
