//! Accounts: the customers of the operator.

use serde_json::json;

use crate::error::{Error, Reason, Result};
use crate::management::configurations::{self, ContentPolicy};
use crate::model::account::{self, Account};
use crate::model::audit_context::{AccountScope, AuditContext};
use crate::model::names;
use crate::store::tables::accounts as rows;
use crate::store::tables::audit::{self, NewAuditEntry};
use crate::store::{Snapshot, Tx};

/// Returns at most `limit` accounts of the account scope, ordered by id. With `after`, only ids after it are returned.
///
/// # Errors
/// Errors of the store.
pub fn list_accounts(
    at: &Snapshot<'_>,
    account_scope: &AccountScope,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Account>> {
    rows::list_accounts(at, account_scope.account(), after, limit)
}

/// Returns the account with this id if the account scope covers it.
///
/// # Errors
/// `NotFound` if there is none or it is outside the scope. The message is the same in both cases.
pub fn find_account(at: &Snapshot<'_>, account_scope: &AccountScope, id: &str) -> Result<Account> {
    let found = if account_scope.covers(id) { rows::find_account_by_id(at, id)? } else { None };
    found.ok_or_else(|| Reason::AccountNotFound.into())
}

/// Creates an account and returns it. The id of a deleted account can be used again.
///
/// # Errors
/// `Refused` names an invalid argument. `Conflict` if an account with this id exists.
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
/// `NotFound`. `Refused` if the name is invalid.
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

/// Deletes an account and revokes its API keys. With [`ContentPolicy::Purge`] the leftovers of its deleted
/// configurations are purged.
///
/// # Errors
/// `NotFound`. `Conflict` if it has configurations, or if it has leftovers and `content` is [`ContentPolicy::Keep`].
/// It can fail after its first change: run it with `Store::write`.
pub fn delete_account(tx: &Tx<'_>, context: &AuditContext, id: &str, content: ContentPolicy) -> Result<()> {
    let found = find_account(tx, &context.scope, id)?;
    if found.configurations > 0 {
        return Err(Reason::AccountHasConfigurations.with("count", found.configurations).into());
    }
    let left = rows::list_leftover_ids(tx, id)?;
    if content == ContentPolicy::Keep && !left.is_empty() {
        return Err(Reason::AccountHasLeftovers.into());
    }
    for configuration in &left {
        match configurations::delete_configuration(tx, context, configuration, ContentPolicy::Purge) {
            // The configuration is already being purged.
            Ok(_) | Err(Error::NotFound(_)) => {}
            Err(problem) => return Err(problem),
        }
    }
    rows::mark_account_deleted(tx, id)?;
    let before = json!({"name": found.name, "purgedConfigurations": left});
    audit::append_entry(
        tx,
        context,
        &NewAuditEntry { before: Some(before), ..build_audit_entry(&found, "account.deleted") },
    )
}

fn build_audit_entry<'a>(account: &'a Account, action: &'a str) -> NewAuditEntry<'a> {
    NewAuditEntry { action, account: Some(&account.id), subject_id: Some(&account.id), ..NewAuditEntry::default() }
}
