//! The audit log: administrative changes and their actors.

use crate::error::Result;
use crate::store::Snapshot;
use crate::store::tables::audit as rows;
pub use crate::store::tables::audit::{AuditEntry, AuditQuery};

/// Returns at most `limit` entries that match the query, newest first.
///
/// # Errors
/// Errors of the store.
pub fn list_audit_entries(at: &Snapshot<'_>, query: &AuditQuery, limit: u32) -> Result<Vec<AuditEntry>> {
    rows::list_entries(at, query, limit)
}
