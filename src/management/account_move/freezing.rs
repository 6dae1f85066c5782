//! Where an account is while it moves. A frozen account does not change any more: what was accepted before is completed first.

use serde_json::json;

use crate::error::{Reason, Result};
use crate::management::accounts;
use crate::model::account::{Account, AccountFilter, AccountRef, AccountState};
use crate::model::audit_context::{AccountScope, AuditContext};
use crate::provisioning::catch_up::{self, PendingCatchUp};
use crate::provisioning::deletion::{self, PendingReferences};
use crate::provisioning::large_changes::steps;
use crate::provisioning::purge;
use crate::provisioning::safety_net::{rejections, reversals};
use crate::store::tables::account_move::work::{self, PendingWork, WorkKind};
use crate::store::tables::accounts as rows;
use crate::store::tables::audit::{self, NewAuditEntry};
use crate::store::tables::purge::PendingPurge;
use crate::store::tables::{configurations, webhooks};
use crate::store::{Snapshot, Tx};

/// An account and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountWithState {
    /// The account.
    pub account: Account,
    /// Where it is.
    pub state: AccountState,
    /// Ids of its configurations that are not deleted.
    pub configuration_ids: Vec<String>,
}

/// Returns at most `limit` accounts with ids after `after`, ordered by id, with where they are.
pub fn list_states(at: &Snapshot<'_>, after: Option<&str>, limit: u32) -> Result<Vec<AccountWithState>> {
    let found = accounts::list_accounts(at, &AccountScope::AllAccounts, after, limit)?;
    let add_state = |account: Account| {
        let state = rows::find_state(at, account.key)?;
        let filter = AccountFilter::Only(account.reference());
        let configurations = configurations::list_configurations(at, Some(&filter))?;
        let configuration_ids = configurations.into_iter().map(|one| one.id).collect();
        Ok(AccountWithState { account, state, configuration_ids })
    };
    found.into_iter().map(add_state).collect()
}

/// Returns the account with this id, and where it is.
///
/// # Errors
/// `AccountNotFound`.
pub fn find_account(at: &Snapshot<'_>, id: &str) -> Result<(AccountRef, AccountState)> {
    let account = rows::find_account_ref(at, id)?.ok_or(Reason::AccountNotFound)?;
    let state = rows::find_state(at, account.key)?;
    Ok((account, state))
}

/// Freezes an account: from the commit on, calls that change it are refused, and its webhooks send nothing. Freezing a frozen account
/// has no effect. Returns the account.
///
/// # Errors
/// `AccountNotFound`. `AccountStateWrong` if it is not served here.
pub fn freeze_account(tx: &Tx<'_>, context: &AuditContext, id: &str) -> Result<AccountRef> {
    let (account, state) = find_account(tx, id)?;
    if state != AccountState::Frozen {
        change_state(tx, context, (&account, state), (AccountState::Active, AccountState::Frozen))?;
    }
    Ok(account)
}

/// Ends the freeze of an account that does not move: it is served here again.
///
/// # Errors
/// `AccountNotFound`. `AccountStateWrong` if it is not frozen.
pub fn unfreeze_account(tx: &Tx<'_>, context: &AuditContext, id: &str) -> Result<()> {
    let (account, state) = find_account(tx, id)?;
    change_state(tx, context, (&account, state), (AccountState::Frozen, AccountState::Active))
}

/// Records that another instance serves a frozen account. Nothing is deleted.
///
/// # Errors
/// `AccountNotFound`. `AccountStateWrong` if it is not frozen.
pub fn mark_moved(tx: &Tx<'_>, context: &AuditContext, id: &str) -> Result<()> {
    let (account, state) = find_account(tx, id)?;
    change_state(tx, context, (&account, state), (AccountState::Frozen, AccountState::Moved))
}

fn change_state(
    tx: &Tx<'_>,
    context: &AuditContext,
    (account, state): (&AccountRef, AccountState),
    (expected, new): (AccountState, AccountState),
) -> Result<()> {
    if state != expected {
        return Err(Reason::AccountStateWrong.with("state", state).with("expected", expected));
    }
    rows::set_state(tx, account.key, new)?;
    webhooks::mark_changed(tx)?;
    let action = match new {
        AccountState::Active => "account.unfrozen",
        AccountState::Moved => "account.moved",
        AccountState::Frozen | AccountState::Importing => "account.frozen",
    };
    let entry = NewAuditEntry {
        account: Some(account),
        subject_id: Some(&account.id),
        ..NewAuditEntry::new(action, Some(json!({"state": state.as_str()})), Some(json!({"state": new.as_str()})))
    };
    audit::append_entry(tx, context, &entry)
}

/// Runs the next step of what an account still has to complete. Returns false if nothing is left.
///
/// # Errors
/// `AccountBusy` for a request about personal data, which the server runs.
pub fn run_pending_step(tx: &Tx<'_>, account: &AccountRef) -> Result<bool> {
    let Some(PendingWork { kind, key, subject, redacted_seq }) = work::find_next_work(tx, account.key)? else {
        return Ok(false);
    };
    match kind {
        WorkKind::Change => steps::run_change_step(tx, key).map(drop)?,
        WorkKind::References => {
            deletion::run_reference_step(tx, &PendingReferences { configuration: key, deleted: subject })?;
        }
        WorkKind::Rejection => rejections::run_rejection_step(tx, key, rejections::CHANGES_PER_STEP)?,
        WorkKind::Reversal => reversals::run_reversal_step(tx, key)?,
        WorkKind::CatchUp => {
            let pending = PendingCatchUp { configuration: key, account: account.id.clone() };
            catch_up::catch_up(tx, &pending, catch_up::CHANGES_PER_STEP)?;
        }
        WorkKind::Purge => {
            let purging = PendingPurge { configuration: key, account: account.id.clone(), redacted_seq };
            purge::run_purge_step(tx, &purging, purge::ROWS_PER_STEP)?;
        }
        WorkKind::PersonalData => return Err(Reason::AccountBusy.with("work", kind)),
    }
    Ok(true)
}

/// Returns how many requests of the webhooks of an account were begun and have no recorded answer. They end within the time limit of
/// a request, or the server is not running.
pub fn count_open_requests(at: &Snapshot<'_>, account: &AccountRef) -> Result<i64> {
    work::count_open_requests(at, account.key)
}
