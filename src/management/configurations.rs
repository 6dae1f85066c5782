//! Finds and lists configurations, and starts and pauses their publication.

pub mod deleted_resources;
pub mod holds;
pub mod reversals;

use serde_json::{Value, json};

use crate::clock::Millis;
use crate::error::{Error, Reason, Result};
use crate::model::audit_context::{AccountScope, AuditContext};
use crate::model::configuration::Configuration;
use crate::model::event::{EventAction, EventKind};
use crate::model::ids;
use crate::provisioning::catch_up::{self, PendingCatchUp};
use crate::store::tables::accounts;
use crate::store::tables::audit::{self, NewAuditEntry};
use crate::store::tables::configurations as rows;
use crate::store::tables::events::{self, NewEvent};
use crate::store::tables::{counts, holds as hold_rows};
use crate::store::{Snapshot, Tx};

pub use crate::store::tables::configurations::{find_configuration_by_key, list_configurations};

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
    let found = find_configuration_by_id(snapshot, id)?;
    if account_scope.covers(&found.account) { Ok(found) } else { Err(configuration_not_found(id)) }
}

/// The error of an id that no configuration in the account scope has.
pub fn configuration_not_found(id: &str) -> Error {
    Reason::ConfigurationNotFound.with("id", ids::name_in_message(id))
}

/// Returns the number of users of a configuration.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope.
pub fn count_users(at: &Snapshot<'_>, scope: &AccountScope, id: &str) -> Result<i64> {
    counts::count_resources(at, find_configuration(at, scope, id)?.key, "User")
}

/// Starts or pauses the publication of changes to the operator's application. On start, held changes are published: up
/// to a limit in this call, the rest by [`catch_up::catch_up`] in steps. A staged configuration goes live with its first
/// start.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope.
pub fn set_sync(tx: &Tx<'_>, context: &AuditContext, id: &str, sync: bool) -> Result<()> {
    let found = find_configuration(tx, &context.scope, id)?;
    if found.sync == sync {
        return Ok(());
    }
    if sync && found.is_simulated() {
        return Err(Reason::SimulatedNotLive.into());
    }
    rows::set_sync(tx, found.key, sync)?;
    // What is held from now on does not belong to it.
    hold_rows::forget_ended_hold(tx, found.key)?;
    let payload = json!({"syncToUserManagement": sync});
    append_event(tx, &found, EventAction::Updated, &payload)?;
    let before = json!({"syncToUserManagement": found.sync});
    append_audit_entry(tx, context, &found, NewAuditEntry::new("configuration.updated", Some(before), Some(payload)))?;
    let pending = PendingCatchUp { configuration: found.key, account: found.account.id };
    catch_up::catch_up(tx, &pending, catch_up::FIRST_STEP_MAX)
}

/// Shortest interval between two test events of an account.
const TEST_EVENT_INTERVAL: Millis = 10_000;

/// Appends a test event of a configuration to the feed, and an audit entry. Nothing changes, and a pause does not delay it.
/// Returns the number of the event.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope; 429 if the account had a test event within 10
/// seconds.
pub fn send_test_event(tx: &Tx<'_>, context: &AuditContext, id: &str) -> Result<i64> {
    let found = find_configuration(tx, &context.scope, id)?;
    if !accounts::record_test_event(tx, found.account.key, TEST_EVENT_INTERVAL)? {
        return Err(Reason::TestEventLimited.with("seconds", TEST_EVENT_INTERVAL / 1_000));
    }
    let payload = json!({"test": true});
    let event = NewEvent {
        account: &found.account,
        configuration: found.key,
        kind: EventKind::Configuration(EventAction::Tested),
        resource_id: None,
        payload: &payload.to_string(),
        is_published: true,
    };
    let seq = events::append_event(tx, &event)?;
    let entry = NewAuditEntry::new("configuration.tested", None, Some(json!({"seq": seq})));
    append_audit_entry(tx, context, &found, entry)?;
    Ok(seq)
}

/// Appends an event about a configuration itself.
pub(super) fn append_event(tx: &Tx<'_>, about: &Configuration, action: EventAction, payload: &Value) -> Result<()> {
    let event = NewEvent {
        account: &about.account,
        configuration: about.key,
        kind: EventKind::Configuration(action),
        resource_id: None,
        payload: &payload.to_string(),
        is_published: accounts::find_state(tx, about.account.key)?.is_published_here(),
    };
    events::append_event(tx, &event).map(drop)
}

/// The audit log value of a configuration.
pub(super) fn describe_configuration(one: &Configuration) -> Value {
    json!({
        "connectionName": one.connection_name,
        "source": one.source.as_str(),
        "provider": one.provider,
        "syncToUserManagement": one.sync,
        "staged": one.staged,
        "switches": one.switches,
    })
}

/// Appends an audit entry about a configuration.
pub(crate) fn append_audit_entry(
    tx: &Tx<'_>,
    context: &AuditContext,
    configuration: &Configuration,
    entry: NewAuditEntry<'_>,
) -> Result<()> {
    let (account, configuration_id) = (Some(&configuration.account), Some(configuration.id.as_str()));
    audit::append_entry(tx, context, &NewAuditEntry { account, configuration_id, ..entry })
}
