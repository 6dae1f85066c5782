//! Undo of what a configuration changed since a time: preview, start and state.

use serde_json::json;

use crate::clock::{Millis, format_rfc3339};
use crate::error::{Reason, Result};
use crate::management::configurations::{append_audit_entry, find_configuration};
use crate::model::audit_context::{AccountScope, AuditContext};
use crate::provisioning::safety_net::reversal_preview;
pub use crate::provisioning::safety_net::reversal_preview::{ReversalPreview, UndoneChange};
use crate::provisioning::safety_net::reversals as steps;
use crate::store::tables::audit::NewAuditEntry;
use crate::store::tables::undos;
pub use crate::store::tables::undos::{ReversalCounts, StoredReversal};
use crate::store::{Snapshot, Tx};

/// Returns what an undo would do.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope. `UndoTimeInvalid`.
pub fn preview_reversal(
    at: &Snapshot<'_>,
    scope: &AccountScope,
    id: &str,
    (since, now): (Millis, Millis),
) -> Result<ReversalPreview> {
    let found = find_configuration(at, scope, id)?;
    check_time(since, now)?;
    reversal_preview::preview_reversal(at, found.key, since, now)
}

/// Starts an undo, which runs in steps. Changes after its start stay.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope. `UndoTimeInvalid`, `UndoRunning`.
pub fn start_reversal(tx: &Tx<'_>, context: &AuditContext, id: &str, since: Millis) -> Result<StoredReversal> {
    let found = find_configuration(tx, &context.scope, id)?;
    check_time(since, tx.now)?;
    if undos::find_reversal(tx, found.key)?.is_some_and(|reversal| reversal.progress.is_some()) {
        return Err(Reason::ReversalRunning.into());
    }
    steps::begin_reversal(tx, found.key, since)?;
    let after = json!({"since": format_rfc3339(since)});
    append_audit_entry(tx, context, &found, NewAuditEntry::new("configuration.undone", None, Some(after)))?;
    find_reversal(tx, &context.scope, id)
}

/// Returns the last undo of a configuration.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope. `UndoNotFound` if there was none.
pub fn find_reversal(at: &Snapshot<'_>, scope: &AccountScope, id: &str) -> Result<StoredReversal> {
    let found = find_configuration(at, scope, id)?;
    undos::find_reversal(at, found.key)?.ok_or_else(|| Reason::ReversalNotFound.into())
}

fn check_time(since: Millis, now: Millis) -> Result<()> {
    let oldest = steps::find_oldest_reversal(now);
    if (oldest..=now).contains(&since) {
        return Ok(());
    }
    Err(Reason::ReversalTimeInvalid.on_field("since").with("oldest", format_rfc3339(oldest)))
}
