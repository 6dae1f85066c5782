//! Sessions of admins.

use serde_json::json;

use crate::clock::Millis;
use crate::error::Result;
use crate::model::audit_context::AuditContext;
use crate::store::tables::audit::{self, NewAuditEntry};
use crate::store::tables::{admins, sessions as rows};
use crate::store::{Snapshot, Tx};

/// Returns the number of sessions that were last used at `idle_since` or later and began at `began_since` or later.
///
/// # Errors
/// Errors of the store.
pub fn count_open_sessions(at: &Snapshot<'_>, idle_since: Millis, began_since: Millis) -> Result<u64> {
    rows::count_open_sessions(at, idle_since, began_since)
}

/// Ends one session of an admin. A session that has already ended is not an error and is not logged.
///
/// # Errors
/// Errors of the store.
pub fn end_session(tx: &Tx<'_>, context: &AuditContext, admin: &str, session: &str) -> Result<()> {
    let ended = rows::end_session(tx, admin, session)?;
    if ended { append_audit_entry(tx, context, admin, 1) } else { Ok(()) }
}

/// Ends all sessions of an admin except the session with the id `except`.
///
/// # Errors
/// Errors of the store.
pub fn end_other_sessions(tx: &Tx<'_>, context: &AuditContext, admin: &str, except: &str) -> Result<()> {
    let ended = rows::end_admin_sessions(tx, admin, Some(except))?;
    if ended > 0 { append_audit_entry(tx, context, admin, ended) } else { Ok(()) }
}

fn append_audit_entry(tx: &Tx<'_>, context: &AuditContext, admin: &str, ended: usize) -> Result<()> {
    let account = admins::find_admin_by_id(tx, admin)?.and_then(|found| found.account);
    let entry = NewAuditEntry {
        action: "session.ended",
        account: account.as_deref(),
        subject_id: Some(admin),
        after: Some(json!({"sessionsEnded": ended})),
        ..NewAuditEntry::default()
    };
    audit::append_entry(tx, context, &entry)
}
