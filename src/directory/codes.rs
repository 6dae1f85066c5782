//! One-time codes of people, and the recovery codes that stand in for a lost device.

use serde_json::json;

use crate::error::Result;
use crate::model::actor::By;
use crate::secret::TokenDigest;
use crate::store::audit::{self, Entry};
use crate::store::{Tx, admins as rows};

/// From now on the person is asked for a code. The code of `step` proved that the device is right, and is spent with it.
///
/// # Errors
/// Of the store only.
pub fn switch_on(tx: &Tx<'_>, by: &By, id: &str, sealed: &[u8], step: i64, recovery: &[TokenDigest]) -> Result<()> {
    rows::set_totp(tx, id, Some(sealed))?;
    rows::spend_totp(tx, id, step)?;
    for digest in recovery {
        rows::add_recovery_code(tx, id, digest)?;
    }
    audited(tx, by, id, true)
}

/// The person is asked for no code any more; the recovery codes go too.
///
/// # Errors
/// Of the store only.
pub fn switch_off(tx: &Tx<'_>, by: &By, id: &str) -> Result<()> {
    rows::set_totp(tx, id, None)?;
    audited(tx, by, id, false)
}

/// Spends what was typed: the code of that step, or else a recovery code. False where it was spent before, or is none.
///
/// # Errors
/// Of the store only.
pub fn spend(tx: &Tx<'_>, id: &str, step: Option<i64>, recovery: &TokenDigest) -> Result<bool> {
    match step {
        Some(step) => rows::spend_totp(tx, id, step),
        None => rows::spend_recovery_code(tx, id, recovery),
    }
}

fn audited(tx: &Tx<'_>, by: &By, id: &str, on: bool) -> Result<()> {
    let after = Some(json!({"oneTimeCodes": on}));
    audit::append(tx, by, &Entry { action: "admin.updated", subject_id: Some(id), after, ..Entry::default() })
}
