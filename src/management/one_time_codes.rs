//! One-time codes (TOTP) of admins, and recovery codes for a lost device.

use serde_json::json;

use crate::auth::secret::TokenDigest;
use crate::error::Result;
use crate::model::audit_context::AuditContext;
use crate::store::Tx;
use crate::store::tables::admins as rows;
use crate::store::tables::audit::{self, NewAuditEntry};

/// Enables one-time codes for an admin. The code of the time step `step` confirmed the device and cannot be used again.
///
/// # Errors
/// Errors of the store.
pub fn enable_codes(
    tx: &Tx<'_>,
    context: &AuditContext,
    id: &str,
    sealed: &[u8],
    step: i64,
    recovery: &[TokenDigest],
) -> Result<()> {
    rows::set_totp_secret(tx, id, Some(sealed))?;
    rows::consume_totp_step(tx, id, step)?;
    for digest in recovery {
        rows::add_recovery_code(tx, id, digest)?;
    }
    append_audit_entry(tx, context, id, true)
}

/// Disables one-time codes for an admin and removes the recovery codes.
///
/// # Errors
/// Errors of the store.
pub fn disable_codes(tx: &Tx<'_>, context: &AuditContext, id: &str) -> Result<()> {
    rows::set_totp_secret(tx, id, None)?;
    append_audit_entry(tx, context, id, false)
}

/// Marks a code as used: the one-time code of the time step `step`, or a recovery code if `step` is `None`. Returns
/// false if the code is not valid or already used.
///
/// # Errors
/// Errors of the store.
pub fn consume_code(tx: &Tx<'_>, id: &str, step: Option<i64>, recovery: &TokenDigest) -> Result<bool> {
    match step {
        Some(step) => rows::consume_totp_step(tx, id, step),
        None => rows::consume_recovery_code(tx, id, recovery),
    }
}

fn append_audit_entry(tx: &Tx<'_>, context: &AuditContext, id: &str, on: bool) -> Result<()> {
    let after = Some(json!({"oneTimeCodes": on}));
    audit::append_entry(
        tx,
        context,
        &NewAuditEntry { action: "admin.updated", subject_id: Some(id), after, ..NewAuditEntry::default() },
    )
}
