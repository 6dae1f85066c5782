//! Rows of `accounts`. The row of a deleted account stays, because events and the audit log refer to it.

use rusqlite::{Row, named_params, params};

use super::rows::read_columns;
use super::usage;
use crate::error::Result;
use crate::model::account::Account;
use crate::store::{Snapshot, Tx};

/// Creates the account if it does not exist, with its id as the name. Recreates a deleted account. Returns true if it
/// was created.
pub fn ensure_account(tx: &Tx<'_>, id: &str) -> Result<bool> {
    let created = tx.execute(
        "INSERT INTO accounts (id, name, created_at) VALUES (:id, :id, :now)
         ON CONFLICT (id) DO UPDATE SET name = :id, created_at = :now, deleted_at = NULL WHERE deleted_at IS NOT NULL",
        named_params! {":id": id, ":now": tx.now},
    )? == 1;
    if created {
        usage::insert_account_usage(tx, id)?;
    }
    Ok(created)
}

const SELECT_ACCOUNTS: &str = "SELECT a.id, a.name, a.created_at,
        (SELECT count(*) FROM configurations c WHERE c.account_id = a.id AND c.deleted_at IS NULL) AS configurations
     FROM accounts a WHERE a.deleted_at IS NULL";

/// Returns the account with this id, or `None` if it is unknown or deleted.
pub fn find_account_by_id(at: &Snapshot<'_>, id: &str) -> Result<Option<Account>> {
    at.find_row(&format!("{SELECT_ACCOUNTS} AND a.id = ?1"), [id], read_account)
}

/// Returns at most `limit` accounts, ordered by id: those with ids after `after`, if given, and only the account
/// `only`, if given.
pub fn list_accounts(at: &Snapshot<'_>, only: Option<&str>, after: Option<&str>, limit: u32) -> Result<Vec<Account>> {
    at.list_rows(
        &format!("{SELECT_ACCOUNTS} AND a.id > coalesce(?1, '') AND (?2 IS NULL OR a.id = ?2) ORDER BY a.id LIMIT ?3"),
        params![after, only, limit],
        read_account,
    )
}

/// Changes the name of the account.
pub fn rename_account(tx: &Tx<'_>, id: &str, name: &str) -> Result<()> {
    tx.run("UPDATE accounts SET name = ?2 WHERE id = ?1", [id, name])
}

/// Marks the account as deleted and revokes its API keys.
pub fn mark_account_deleted(tx: &Tx<'_>, id: &str) -> Result<()> {
    tx.run("UPDATE accounts SET deleted_at = ?2 WHERE id = ?1", params![id, tx.now])?;
    tx.run("UPDATE api_keys SET revoked_at = ?2 WHERE account_id = ?1 AND revoked_at IS NULL", params![id, tx.now])
}

/// Returns the ids of the account's deleted configurations that still have users or groups, oldest first.
pub fn list_leftover_ids(at: &Snapshot<'_>, id: &str) -> Result<Vec<String>> {
    at.list_values(
        "SELECT c.id FROM configurations c
         WHERE c.account_id = ?1 AND c.deleted_at IS NOT NULL
           AND (c.holds = 1
                OR EXISTS (SELECT 1 FROM resource_counts r WHERE r.configuration = c.configuration AND r.total > 0))
         ORDER BY c.configuration",
        [id],
    )
}

fn read_account(row: &Row<'_>) -> rusqlite::Result<Account> {
    read_columns!(row, Account { id, name, created_at, configurations })
}
