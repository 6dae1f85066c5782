//! Finds and lists configurations, and starts and pauses their publication.

use serde_json::{Value, json};

use crate::error::{Error, Reason, Result};
use crate::model::audit_context::{AccountScope, AuditContext};
use crate::model::configuration::Configuration;
use crate::model::event::{EventAction, EventKind};
use crate::model::ids;
use crate::provisioning::catch_up::{self, PendingCatchUp};
use crate::store::tables::audit::{self, NewAuditEntry};
use crate::store::tables::configurations as rows;
use crate::store::tables::{counts, events};
use crate::store::{Snapshot, Tx};

/// Returns the configuration with this id.
///
/// # Errors
/// `NotFound` if there is none or it is deleted.
pub fn find_configuration_by_id(snapshot: &Snapshot<'_>, id: &str) -> Result<Configuration> {
    rows::find_configuration_by_id(snapshot, id)?.ok_or_else(|| configuration_not_found(id))
}

/// Returns the configuration with this id if the account scope covers it.
///
/// # Errors
/// `NotFound` if there is none, it is deleted, or it is outside the scope. The message is the same in all cases.
pub fn find_configuration(snapshot: &Snapshot<'_>, account_scope: &AccountScope, id: &str) -> Result<Configuration> {
    find_configuration_by_id(snapshot, id).and_then(|found| {
        if account_scope.covers(&found.account) { Ok(found) } else { Err(configuration_not_found(id)) }
    })
}

/// Returns the configurations of one account, or of all accounts, oldest first.
pub fn list_configurations(snapshot: &Snapshot<'_>, account: Option<&str>) -> Result<Vec<Configuration>> {
    rows::list_configurations(snapshot, account)
}

/// Returns the number of users of a configuration.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope.
pub fn count_users(at: &Snapshot<'_>, account_scope: &AccountScope, id: &str) -> Result<i64> {
    counts::count_resources(at, find_configuration(at, account_scope, id)?.key, "User")
}

/// Starts or pauses the publication of changes to the operator's application. On start, held changes are published: up
/// to a limit in this call, the rest by [`catch_up::catch_up`] in steps.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope.
pub fn set_sync(tx: &Tx<'_>, context: &AuditContext, id: &str, sync: bool) -> Result<()> {
    let found = find_configuration(tx, &context.scope, id)?;
    if found.sync == sync {
        return Ok(());
    }
    rows::set_sync(tx, found.key, sync)?;
    let payload = json!({"syncToUserManagement": sync});
    append_event(tx, &found.account, found.key, EventAction::Updated, &payload)?;
    let before = json!({"syncToUserManagement": found.sync});
    append_audit_entry(tx, context, &found, "configuration.updated", Some(before), Some(payload))?;
    let pending = PendingCatchUp { configuration: found.key, account: found.account };
    catch_up::catch_up(tx, &pending, catch_up::FIRST_STEP_MAX)
}

/// Appends an event about a configuration itself.
pub(super) fn append_event(tx: &Tx<'_>, account: &str, key: i64, action: EventAction, payload: &Value) -> Result<()> {
    let kind = EventKind::Configuration(action);
    events::append_event(tx, account, key, kind, None, &payload.to_string())?;
    Ok(())
}

/// The audit log value of a configuration.
pub(super) fn describe_configuration(one: &Configuration) -> Value {
    json!({
        "connectionName": one.connection_name,
        "source": one.source.as_str(),
        "provider": one.provider,
        "syncToUserManagement": one.sync,
        "switches": one.switches,
    })
}

/// Appends an audit entry about a configuration.
pub(crate) fn append_audit_entry(
    tx: &Tx<'_>,
    context: &AuditContext,
    configuration: &Configuration,
    action: &str,
    before: Option<Value>,
    after: Option<Value>,
) -> Result<()> {
    let (account, configuration_id) = (Some(configuration.account.as_str()), Some(configuration.id.as_str()));
    audit::append_entry(
        tx,
        context,
        &NewAuditEntry { action, account, configuration_id, subject_id: None, before, after },
    )
}

pub(crate) fn configuration_not_found(id: &str) -> Error {
    // A text that is not an id is not repeated in the error: it could be a secret, such as a token.
    if ids::is_id(id) { Reason::ConfigurationIdNotFound.with("id", id) } else { Reason::ConfigurationNotFound.into() }
}
