//! Rows of `accounts`.

use rusqlite::{OptionalExtension, Row, named_params};

use super::{Snapshot, Tx};
use crate::error::Result;
use crate::model::account::Account;

/// Makes the account where there is none, named like its id. True where it is new.
pub fn ensure(tx: &Tx<'_>, id: &str) -> Result<bool> {
    let made = tx
        .connection()
        .prepare_cached(
            "INSERT INTO accounts (id, name, created_at) VALUES (:id, :id, :now)
             ON CONFLICT (id) DO NOTHING",
        )?
        .execute(named_params! {":id": id, ":now": tx.now})?;
    Ok(made == 1)
}

/// The account with that id.
pub fn by_id(snapshot: &Snapshot<'_>, id: &str) -> Result<Option<Account>> {
    let account = snapshot
        .connection()
        .prepare_cached("SELECT id, name, created_at FROM accounts WHERE id = ?1")?
        .query_row([id], account)
        .optional()?;
    Ok(account)
}

fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account { id: row.get("id")?, name: row.get("name")?, created_at: row.get("created_at")? })
}
