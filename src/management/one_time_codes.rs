//! One-time codes (TOTP) of admins, and recovery codes for a lost device.

use serde_json::json;

use crate::auth::secret::TokenDigest;
use crate::error::Result;
use crate::management::sessions::{self, Session};
use crate::model::audit_context::AuditContext;
use crate::store::Tx;
use crate::store::tables::admins as rows;
use crate::store::tables::audit::{self, NewAuditEntry};

pub use crate::store::tables::admins::count_recovery_codes;

/// The confirmed one-time codes of an admin.
#[derive(Debug)]
pub struct CodesSetup<'a> {
    /// Encrypted secret.
    pub sealed_secret: &'a [u8],
    /// Time step whose code confirmed the device. The code cannot be used again.
    pub confirmed_step: i64,
    /// Digests of the recovery codes.
    pub recovery: &'a [TokenDigest],
}

/// Enables one-time codes for an admin.
///
/// # Errors
/// Errors of the store.
pub fn enable_codes(tx: &Tx<'_>, context: &AuditContext, id: &str, setup: &CodesSetup<'_>) -> Result<()> {
    rows::set_totp_secret(tx, id, Some(setup.sealed_secret))?;
    rows::consume_totp_step(tx, id, setup.confirmed_step)?;
    for digest in setup.recovery {
        rows::add_recovery_code(tx, id, digest)?;
    }
    append_audit_entry(tx, context, id, true)
}

/// Disables one-time codes for an admin and removes the recovery codes.
pub fn disable_codes(tx: &Tx<'_>, context: &AuditContext, id: &str) -> Result<()> {
    rows::set_totp_secret(tx, id, None)?;
    append_audit_entry(tx, context, id, false)
}

/// Marks a code of the admin of `session` as used and starts the session: the one-time code of the time step `step`, or
/// a recovery code if `step` is `None`. Returns false if the code is not valid or already used.
pub fn sign_in_with_code(
    tx: &Tx<'_>,
    step: Option<i64>,
    recovery: &TokenDigest,
    digest: &TokenDigest,
    session: &Session,
) -> Result<bool> {
    let is_right = match step {
        Some(step) => rows::consume_totp_step(tx, &session.admin, step)?,
        None => rows::consume_recovery_code(tx, &session.admin, recovery)?,
    };
    if is_right {
        sessions::start_session(tx, digest, session)?;
    }
    Ok(is_right)
}

fn append_audit_entry(tx: &Tx<'_>, context: &AuditContext, id: &str, on: bool) -> Result<()> {
    let after = Some(json!({"oneTimeCodes": on}));
    audit::append_entry(
        tx,
        context,
        &NewAuditEntry { action: "admin.updated", subject_id: Some(id), after, ..NewAuditEntry::default() },
    )
}
