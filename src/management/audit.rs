//! The audit log: administrative changes and their actors.

pub use crate::store::tables::audit::{AuditEntry, AuditQuery, list_entries as list_audit_entries};
