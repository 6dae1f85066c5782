//! Settings of the whole server.

use serde_json::json;

use crate::error::Result;
use crate::model::audit_context::AuditContext;
pub use crate::store::StoreStatistics;
use crate::store::tables::audit::{self, NewAuditEntry};
use crate::store::tables::instance;
use crate::store::{Snapshot, Tx};

/// Returns the stored public URL of the server.
///
/// # Errors
/// Errors of the store.
pub fn get_public_url(at: &Snapshot<'_>) -> Result<String> {
    instance::get_public_url(at)
}

/// Returns whether accounts may manage their own configurations.
///
/// # Errors
/// Errors of the store.
pub fn is_self_service_enabled(at: &Snapshot<'_>) -> Result<bool> {
    instance::is_self_service_enabled(at)
}

/// Sets the public URL of the server, already checked by `settings::parse_public_url`. All URLs in later responses
/// start with it.
///
/// # Errors
/// Errors of the store.
pub fn set_public_url(tx: &Tx<'_>, context: &AuditContext, url: &str) -> Result<()> {
    let before = instance::get_public_url(tx)?;
    if before == url {
        return Ok(());
    }
    instance::set_public_url(tx, url)?;
    let entry = NewAuditEntry {
        action: "settings.updated",
        before: Some(json!({"publicUrl": before})),
        after: Some(json!({"publicUrl": url})),
        ..NewAuditEntry::default()
    };
    audit::append_entry(tx, context, &entry)
}

/// Enables or disables self-service: whether accounts may manage their own configurations. It takes effect with the
/// commit.
///
/// # Errors
/// Errors of the store.
pub fn set_self_service(tx: &Tx<'_>, context: &AuditContext, on: bool) -> Result<()> {
    let before = instance::is_self_service_enabled(tx)?;
    if before == on {
        return Ok(());
    }
    instance::set_self_service(tx, on)?;
    let entry = NewAuditEntry {
        action: "settings.updated",
        before: Some(json!({"selfService": before})),
        after: Some(json!({"selfService": on})),
        ..NewAuditEntry::default()
    };
    audit::append_entry(tx, context, &entry)
}
