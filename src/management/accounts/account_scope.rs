//! The account scope of a call: found by the id of an account, and checked when the call uses or creates the account.

use crate::error::{Error, Reason, Result};
use crate::model::account::{Account, AccountFilter, AccountRef};
use crate::model::audit_context::AccountScope;
use crate::store::tables::accounts as rows;
use crate::store::{Snapshot, Tx};

/// Returns the scope of one account by its id. If there is no such account, the scope covers nothing until the account
/// is created.
pub fn find_scope(at: &Snapshot<'_>, id: &str) -> Result<AccountScope> {
    Ok(AccountScope::Account(rows::find_account_ref(at, id)?.unwrap_or_else(|| AccountRef::unresolved(id))))
}

/// Returns the scope of the newest account with this id, also after it was deleted.
pub fn find_newest_scope(at: &Snapshot<'_>, id: &str) -> Result<AccountScope> {
    Ok(AccountScope::Account(rows::find_newest_account_ref(at, id)?.unwrap_or_else(|| AccountRef::unresolved(id))))
}

/// Returns the filter with the key of its account. An id selects the newest account with it. The account of a call that
/// started without one becomes the account that has the id now. Without such an account the filter selects nothing.
pub fn resolve_filter(at: &Snapshot<'_>, filter: AccountFilter) -> Result<AccountFilter> {
    let (found, id) = match &filter {
        AccountFilter::WithId(id) => (rows::find_newest_account_ref(at, id)?, id),
        AccountFilter::Only(account) if account.key == AccountRef::NO_KEY => {
            (rows::find_account_ref(at, &account.id)?, &account.id)
        }
        AccountFilter::Only(_) => return Ok(filter),
    };
    Ok(AccountFilter::Only(found.unwrap_or_else(|| AccountRef::unresolved(id))))
}

/// Returns the account with this id if the account scope covers it.
///
/// # Errors
/// `NotFound` if there is none or it is outside the scope. The message is the same in both cases.
pub fn find_account(at: &Snapshot<'_>, scope: &AccountScope, id: &str) -> Result<Account> {
    let found = rows::find_account_by_id(at, id)?.filter(|found| scope.covers(&found.reference()));
    found.ok_or_else(|| Reason::AccountNotFound.into())
}

/// Returns the account with this id, and creates it if it does not exist.
///
/// # Errors
/// `NotFound` if the scope is limited to another account, or to an account that was deleted.
pub fn ensure_account(tx: &Tx<'_>, scope: &AccountScope, id: &str) -> Result<AccountRef> {
    let existing = rows::find_account_ref(tx, id)?;
    if let Some(own) = scope.account() {
        let is_own = own.id == id && (own.key == AccountRef::NO_KEY || existing.as_ref() == Some(own));
        if !is_own {
            return Err(Error::from(Reason::AccountNotFound));
        }
    }
    match existing {
        Some(found) => Ok(found),
        None => Ok(rows::ensure_account(tx, id)?.0),
    }
}

/// Returns the number of deleted accounts that had the id of the scope, 0 for all accounts.
pub fn count_deleted(at: &Snapshot<'_>, scope: &AccountScope) -> Result<i64> {
    scope.account_id().map_or(Ok(0), |id| rows::count_deleted(at, id))
}
