//! Accounts: the customers of the operator.

use serde_json::json;

use crate::error::{ErrorKind, Reason, Result};
use crate::management::configuration_lifecycle;
use crate::model::account::{self, Account};
use crate::model::audit_context::{AccountScope, AuditContext};
use crate::model::names;
use crate::store::tables::accounts as rows;
use crate::store::tables::audit::{self, NewAuditEntry};
use crate::store::{Snapshot, Tx};

/// Returns at most `limit` accounts of the account scope, ordered by id. With `after`, only ids after it are returned.
pub fn list_accounts(at: &Snapshot<'_>, scope: &AccountScope, after: Option<&str>, limit: u32) -> Result<Vec<Account>> {
    rows::list_accounts(at, scope.account(), after, limit)
}

/// Returns the account with this id if the account scope covers it.
///
/// # Errors
/// `NotFound` if there is none or it is outside the scope. The message is the same in both cases.
pub fn find_account(at: &Snapshot<'_>, scope: &AccountScope, id: &str) -> Result<Account> {
    let found = if scope.covers(id) { rows::find_account_by_id(at, id)? } else { None };
    found.ok_or_else(|| Reason::AccountNotFound.into())
}

/// Creates an account and returns it. The id of a deleted account can be used again.
///
/// # Errors
/// `Invalid` names an invalid argument. `Conflict` if an account with this id exists.
pub fn create_account(tx: &Tx<'_>, context: &AuditContext, id: &str, name: Option<&str>) -> Result<Account> {
    account::check_id(id)?;
    if !context.scope.covers(id) {
        return Err(Reason::AccountIdForeign.into());
    }
    let name = name.map(|name| names::check_name("name", name)).transpose()?;
    if !rows::ensure_account(tx, id)? {
        return Err(Reason::AccountExists.into());
    }
    if let Some(name) = name {
        rows::rename_account(tx, id, name)?;
    }
    let created = find_account(tx, &AccountScope::AllAccounts, id)?;
    let after = json!({"name": created.name});
    audit::append_entry(
        tx,
        context,
        &NewAuditEntry { after: Some(after), ..build_audit_entry(&created, "account.created") },
    )?;
    Ok(created)
}

/// Changes the name of an account.
///
/// # Errors
/// `NotFound`. `Invalid` if the name is invalid.
pub fn rename_account(tx: &Tx<'_>, context: &AuditContext, id: &str, name: &str) -> Result<()> {
    let found = find_account(tx, &context.scope, id)?;
    let name = names::check_name("name", name)?;
    if name == found.name {
        return Ok(());
    }
    rows::rename_account(tx, id, name)?;
    let (before, after) = (Some(json!({"name": found.name})), Some(json!({"name": name})));
    audit::append_entry(tx, context, &NewAuditEntry { before, after, ..build_audit_entry(&found, "account.updated") })
}

/// Deletes an account and revokes its API keys.
///
/// # Errors
/// `NotFound`. `Conflict` if it has configurations or leftovers.
pub fn delete_account(tx: &Tx<'_>, context: &AuditContext, id: &str) -> Result<()> {
    let found = find_account_to_delete(tx, context, id)?;
    if !rows::list_leftover_ids(tx, id)?.is_empty() {
        return Err(Reason::AccountHasLeftovers.into());
    }
    record_deletion(tx, context, &found, &[])
}

/// The same, and purges the leftovers of its deleted configurations.
///
/// # Errors
/// `NotFound`. `Conflict` if it has configurations. It can fail after its first change: run it with `Store::write`.
pub fn delete_and_purge_account(tx: &Tx<'_>, context: &AuditContext, id: &str) -> Result<()> {
    let found = find_account_to_delete(tx, context, id)?;
    let left = rows::list_leftover_ids(tx, id)?;
    for configuration in &left {
        match configuration_lifecycle::purge_configuration(tx, context, configuration) {
            // The configuration is already being purged.
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(problem) => return Err(problem),
        }
    }
    record_deletion(tx, context, &found, &left)
}

fn find_account_to_delete(tx: &Tx<'_>, context: &AuditContext, id: &str) -> Result<Account> {
    let found = find_account(tx, &context.scope, id)?;
    if found.configurations > 0 {
        return Err(Reason::AccountHasConfigurations.with("count", found.configurations));
    }
    Ok(found)
}

fn record_deletion(tx: &Tx<'_>, context: &AuditContext, found: &Account, purged: &[String]) -> Result<()> {
    rows::mark_account_deleted(tx, &found.id)?;
    let before = json!({"name": found.name, "purgedConfigurations": purged});
    audit::append_entry(
        tx,
        context,
        &NewAuditEntry { before: Some(before), ..build_audit_entry(found, "account.deleted") },
    )
}

fn build_audit_entry<'a>(account: &'a Account, action: &'a str) -> NewAuditEntry<'a> {
    NewAuditEntry { action, account: Some(&account.id), subject_id: Some(&account.id), ..NewAuditEntry::default() }
}
