//! Sessions of people, and their end.

use serde_json::json;

use crate::error::Result;
use crate::model::actor::By;
use crate::store::audit::{self, Entry};
use crate::store::{Tx, admins, sessions as rows};

/// Ends one session of a person; one that is over already leaves no trace.
///
/// # Errors
/// What the store says.
pub fn end(tx: &Tx<'_>, by: &By, admin: &str, session: &str) -> Result<()> {
    let ended = rows::end(tx, admin, session)?;
    if ended { audited(tx, by, admin, 1) } else { Ok(()) }
}

/// Ends all sessions of a person but the one with the id in `keep`.
///
/// # Errors
/// What the store says.
pub fn end_others(tx: &Tx<'_>, by: &By, admin: &str, keep: &str) -> Result<()> {
    let ended = rows::end_all(tx, admin, Some(keep))?;
    if ended > 0 { audited(tx, by, admin, ended) } else { Ok(()) }
}

fn audited(tx: &Tx<'_>, by: &By, admin: &str, ended: usize) -> Result<()> {
    let account = admins::by_id(tx, admin)?.and_then(|found| found.account);
    let entry = Entry {
        action: "session.ended",
        account: account.as_deref(),
        subject_id: Some(admin),
        after: Some(json!({"sessionsEnded": ended})),
        ..Entry::default()
    };
    audit::append(tx, by, &entry)
}
