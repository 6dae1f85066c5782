//! Accounts: the customers of the operator.

pub mod account_names;
pub mod account_scope;

use serde_json::json;

use crate::error::{ErrorKind, Reason, Result};
pub use crate::management::accounts::account_scope::find_account;
use crate::management::{configuration_lifecycle, webhooks};
use crate::model::account::{self, Account, AccountAccess, AccountRef, AccountState};
use crate::model::audit_context::{AccountScope, AuditContext};
use crate::model::names;
use crate::store::tables::accounts as rows;
use crate::store::tables::audit::{self, NewAuditEntry};
use crate::store::{Snapshot, Tx};

/// Returns at most `limit` accounts of the account scope, ordered by id. With `after`, only ids after it are returned.
pub fn list_accounts(at: &Snapshot<'_>, scope: &AccountScope, after: Option<&str>, limit: u32) -> Result<Vec<Account>> {
    rows::list_accounts(at, scope.account().map(|own| own.key), after, limit)
}

/// Returns the name of an account, also after it was deleted; its id if it has no row.
pub fn find_name(at: &Snapshot<'_>, account: &AccountRef) -> Result<String> {
    Ok(rows::find_account_name(at, account.key)?.unwrap_or_else(|| account.id.clone()))
}

/// Returns where an account is while it moves to another instance.
pub fn find_state(at: &Snapshot<'_>, account: &AccountRef) -> Result<AccountState> {
    rows::find_state(at, account.key)
}

/// Returns the number of admins, sessions and credentials that the deletion of an account of the scope ends.
///
/// # Errors
/// `NotFound` if there is none or it is outside the scope.
pub fn count_access(at: &Snapshot<'_>, scope: &AccountScope, id: &str) -> Result<AccountAccess> {
    rows::count_access(at, find_account(at, scope, id)?.key)
}

/// Appends an audit entry for an export of the users of all configurations of the account scope. `is_filtered`: only those
/// that a search has found.
pub fn record_user_export(tx: &Tx<'_>, context: &AuditContext, file: &str, is_filtered: bool) -> Result<()> {
    let after = Some(json!({"file": file, "isFiltered": is_filtered}));
    let entry = NewAuditEntry::new("users.exported", None, after);
    audit::append_entry(tx, context, &NewAuditEntry { account: context.scope.account(), ..entry })
}

/// Creates an account and returns it. The id of a deleted account can be used again.
///
/// # Errors
/// `Invalid` names an invalid argument. `Conflict` if an account with this id exists.
pub fn create_account(tx: &Tx<'_>, context: &AuditContext, id: &str, name: Option<&str>) -> Result<Account> {
    account::check_id(id)?;
    if !context.scope.covers_id(id) {
        return Err(Reason::AccountIdForeign.into());
    }
    let name = name.map(|name| names::check_name("name", name)).transpose()?;
    let (account, is_new) = rows::ensure_account(tx, id)?;
    if !is_new {
        return Err(Reason::AccountExists.into());
    }
    if let Some(name) = name {
        rows::rename_account(tx, account.key, name)?;
    }
    let created = find_account(tx, &AccountScope::AllAccounts, id)?;
    let after = json!({"name": created.name});
    audit::append_entry(
        tx,
        context,
        &NewAuditEntry { after: Some(after), ..build_audit_entry(&created.reference(), "account.created") },
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
    rows::rename_account(tx, found.key, name)?;
    let account = found.reference();
    let (before, after) = (Some(json!({"name": found.name})), Some(json!({"name": name})));
    audit::append_entry(tx, context, &NewAuditEntry { before, after, ..build_audit_entry(&account, "account.updated") })
}

/// Deletes an account with its webhooks and ends all access to it: sessions, admins, API keys, tokens and setup links. Returns how many
/// of each ended. Its id can then be used for a new account.
///
/// # Errors
/// `NotFound`. `Conflict` if it has configurations or leftovers.
pub fn delete_account(tx: &Tx<'_>, context: &AuditContext, id: &str) -> Result<AccountAccess> {
    tx.allow_on_full_disk();
    let found = find_account_to_delete(tx, context, id)?;
    if !rows::list_leftover_ids(tx, found.key)?.is_empty() {
        return Err(Reason::AccountHasLeftovers.into());
    }
    record_deletion(tx, context, &found, &[])
}

/// The same, and purges the leftovers of its deleted configurations.
///
/// # Errors
/// `NotFound`. `Conflict` if it has configurations. It can fail after its first change: run it with `Store::write`.
pub fn delete_and_purge_account(tx: &Tx<'_>, context: &AuditContext, id: &str) -> Result<AccountAccess> {
    tx.allow_on_full_disk();
    let found = find_account_to_delete(tx, context, id)?;
    let left = rows::list_leftover_ids(tx, found.key)?;
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

fn record_deletion(tx: &Tx<'_>, context: &AuditContext, found: &Account, purged: &[String]) -> Result<AccountAccess> {
    let access = rows::count_access(tx, found.key)?;
    rows::end_access(tx, found.key)?;
    let webhooks = webhooks::delete_webhooks_of_account(tx, &found.reference())?;
    rows::mark_account_deleted(tx, found.key)?;
    let before = json!({"name": found.name, "purgedConfigurations": purged});
    let after = json!({
        "adminsDisabled": access.admins,
        "sessionsEnded": access.sessions,
        "apiKeysRevoked": access.api_keys,
        "tokensRevoked": access.tokens,
        "setupLinksEnded": access.setup_links,
        "webhooksDeleted": webhooks,
    });
    let account = found.reference();
    let entry = build_audit_entry(&account, "account.deleted");
    audit::append_entry(tx, context, &NewAuditEntry { before: Some(before), after: Some(after), ..entry })?;
    Ok(access)
}

fn build_audit_entry<'a>(account: &'a AccountRef, action: &'a str) -> NewAuditEntry<'a> {
    NewAuditEntry { action, account: Some(account), subject_id: Some(&account.id), ..NewAuditEntry::default() }
}
