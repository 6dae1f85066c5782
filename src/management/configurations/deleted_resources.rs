//! Deleted users and groups of a configuration: list them, and restore one or those of a time range.

use serde_json::json;

use crate::clock::Millis;
use crate::error::{Error, Reason, Result};
use crate::management::configurations;
use crate::model::audit_context::{AccountScope, AuditContext};
use crate::provisioning::Scope;
use crate::provisioning::tombstones::restore::{self, RestoredResource};
use crate::provisioning::tombstones::{self, DeletedFilter, DeletedPage};
use crate::store::tables::audit::NewAuditEntry;
use crate::store::{Snapshot, Tx};

/// Deleted users and groups that one call for a time range restores. The next call continues after them.
pub const RESTORED_PER_CALL: usize = 100;

/// A page of deleted users and groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedList {
    /// The page.
    pub page: DeletedPage,
    /// How long they can be restored after their deletion, in milliseconds.
    pub restorable_ms: Millis,
}

/// Returns at most `limit` deleted users and groups of a configuration that can be restored now, newest deletion first.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope.
pub fn list_deleted(
    at: &Snapshot<'_>,
    scope: &AccountScope,
    id: &str,
    filter: &DeletedFilter,
    (now, limit): (Millis, usize),
) -> Result<DeletedList> {
    let configuration = configurations::find_configuration(at, scope, id)?;
    Ok(DeletedList {
        page: tombstones::list_restorable(at, configuration.key, filter, (now, limit))?,
        restorable_ms: configuration.switches.tombstone_days.millis(),
    })
}

/// Restores a deleted user or group with the same id. If it has many memberships, they return in steps afterwards.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope, or has no such deleted user or group. `Conflict` if
/// its name is in use. `QuotaExceeded`. It can fail after its first change: run it with `Store::write`.
pub fn restore_deleted(tx: &Tx<'_>, context: &AuditContext, id: &str, resource: &str) -> Result<RestoredResource> {
    let configuration = configurations::find_configuration(tx, &context.scope, id)?;
    let scope = Scope::load(tx, configuration.clone())?;
    let restored = restore::restore_resource(tx, &scope, resource)?;
    let after = json!({"resourceType": restored.resource_type, "version": restored.version});
    let entry = NewAuditEntry::new("resource.restored", None, Some(after));
    let entry = NewAuditEntry { subject_id: Some(&restored.id), ..entry };
    configurations::append_audit_entry(tx, context, &configuration, entry)?;
    Ok(restored)
}

/// Why the restore of one of several deleted resources failed: a conflict with the current state. The others can be restored.
///
/// # Errors
/// Other errors.
pub fn find_conflict(error: Error) -> Result<Reason> {
    match error.reason() {
        reason @ (Reason::UserNameTaken
        | Reason::GroupNameTaken
        | Reason::QuotaExceeded
        | Reason::DeletedResourceNotFound) => Ok(reason),
        _ => Err(error),
    }
}
