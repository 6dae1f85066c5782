//! Leftovers: users and groups of deleted configurations, and their purge. Also the deletion of a user whose personal data is erased.

use std::sync::Arc;

use crate::error::{Reason, Result};
use crate::management::schema_extensions;
use crate::model::account::AccountFilter;
use crate::model::configuration::Configuration;
use crate::model::event::{EventAction, EventKind, EventSubject};
use crate::model::switches::TombstoneDays;
use crate::provisioning::Scope;
use crate::provisioning::deletion::{self, PendingReferences};
use crate::provisioning::large_changes::{self, steps};
use crate::provisioning::members::RemovalCounting;
use crate::provisioning::resources::{ResourceWrite, parse_attributes};
use crate::scim::index;
use crate::scim::schema::USER_TYPE;
use crate::store::tables::directory::{self, DeletedConfiguration};
use crate::store::tables::events::{self, NewEvent};
use crate::store::tables::purge::{self, PendingPurge, ResourceToPurge};
use crate::store::tables::resources::{self, ResourceCollection};
use crate::store::tables::{configurations, counts, held_changes, pending_references, tombstones, webhook_attempts};
use crate::store::{Snapshot, Tx};

pub use crate::store::tables::purge::find_next_purge;

/// Rows that the call which starts a purge removes itself.
pub(crate) const FIRST_STEP_MAX: usize = 2_000;
/// Rows that one later step removes. The limit bounds the delay of other writes.
pub const ROWS_PER_STEP: usize = 1_000;
/// Memberships that one step of the deletion in a deleted configuration removes.
const MEMBERSHIPS_PER_STEP: usize = 1_000;
/// Events that one step redacts or skips.
const REDACTED_PER_STEP: i64 = 5_000;

/// A deleted configuration and the number of its remaining resources by type.
pub type LeftoverCounts = (DeletedConfiguration, Vec<(String, i64)>);

/// Returns at most `limit` deleted configurations with remaining resources, after the row `after`, of one account or of
/// all.
pub fn list_leftovers(
    at: &Snapshot<'_>,
    filter: Option<&AccountFilter>,
    after: i64,
    limit: u32,
) -> Result<Vec<LeftoverCounts>> {
    let found = directory::list_leftovers(at, filter, after, limit)?;
    found.into_iter().map(|left| Ok((left.clone(), counts::list_counts(at, left.source.configuration)?))).collect()
}

/// Removes at most `limit` rows of a configuration that is being purged, appends the deletion events of its users and
/// groups, and redacts personal data in its earlier events.
pub fn run_purge_step(tx: &Tx<'_>, purging: &PendingPurge, limit: usize) -> Result<()> {
    tx.allow_on_full_disk();
    large_changes::discard_changes(tx, purging.configuration)?;
    let mut left = limit;
    left = left.saturating_sub(tombstones::delete_tombstones(tx, purging.configuration, None, left)?);
    left = left.saturating_sub(purge::delete_index_values(tx, purging.configuration, left)?);
    while left > 0 {
        let leaving = purge::list_remaining_resources(tx, purging.configuration, left)?;
        if leaving.is_empty() {
            // Responses of webhooks can contain personal data.
            let removed = webhook_attempts::delete_attempts_of_configuration(tx, purging.configuration, left)?;
            if removed > 0 {
                return Ok(());
            }
            purge::purge_remaining_rows(tx, purging.configuration)?;
            return redact_events(tx, purging);
        }
        for one in &leaving {
            // A group can have many members. The last step that finds fewer than it may remove has removed all of them.
            left = left.saturating_sub(purge::delete_memberships(tx, purging.configuration, one, left)?);
            left = left.saturating_sub(purge::delete_held_memberships(tx, purging.configuration, one, left)?);
            if left == 0 {
                return Ok(());
            }
            remove_resource(tx, purging, one)?;
            left -= 1;
        }
    }
    Ok(())
}

/// Removes one resource. The event has only the id, because it stays after the purge. The deletion of a resource that
/// was never published is not published.
fn remove_resource(tx: &Tx<'_>, purging: &PendingPurge, leaving: &ResourceToPurge) -> Result<()> {
    purge::purge_resource(tx, purging.configuration, leaving)?;
    let ResourceToPurge { id, resource_type, version, last_modified, .. } = leaving;
    let gate = held_changes::load_gate(tx, purging.configuration)?.unwrap_or_default();
    let subject = EventSubject { resource_type, id, version: *version, last_modified: *last_modified };
    let event = NewEvent {
        account: &purging.account,
        configuration: purging.configuration,
        kind: EventKind::Resource(resource_type, EventAction::Deleted),
        resource_id: Some(id),
        payload: &subject.build_payload(events::PURGED),
        is_published: leaving.is_published && gate.account_state.is_published_here(),
    };
    events::append_event(tx, &event).map(drop)
}

/// Deletes a user of any configuration, or runs the next step of its deletion. Returns whether nothing is left: neither the user
/// nor references to it.
///
/// # Errors
/// Errors of the store. It can fail after its first change: run it with `Store::write`.
pub fn remove_user(tx: &Tx<'_>, configuration: i64, id: &str) -> Result<bool> {
    tx.allow_on_full_disk();
    match configurations::find_configuration_by_key(tx, configuration)? {
        Some(found) => remove_existing_user(tx, found, id),
        None => purge_user(tx, configuration, id, MEMBERSHIPS_PER_STEP),
    }
}

fn remove_existing_user(tx: &Tx<'_>, configuration: Configuration, id: &str) -> Result<bool> {
    let key = configuration.key;
    let mut scope = Scope::load(tx, configuration)?;
    Arc::make_mut(&mut scope.switches).tombstone_days = TombstoneDays::new(0);
    let resource_type = scope.find_type(&USER_TYPE.name)?;
    // An admin removes it: that is not counted for the hold, and cannot be rejected.
    let write = ResourceWrite { counting: RemovalCounting::Uncounted, ..ResourceWrite::new(&scope, resource_type, id) };
    match deletion::delete_resource(tx, &write) {
        // References can be left, or steps.
        Ok(_) => return Ok(false),
        Err(error) if error.reason() == Reason::ScimResourceNotFound => {}
        Err(error) if error.reason() == Reason::ResourceChanging => {
            if let Some(resource) = steps::find_changing_resource(tx, &write)? {
                steps::run_change_step(tx, resource)?;
            }
            return Ok(false);
        }
        Err(error) => return Err(error),
    }
    let pending = PendingReferences { configuration: key, deleted: id.to_owned() };
    if !pending_references::has_references(tx, &pending)? {
        return Ok(true);
    }
    deletion::run_reference_step(tx, &pending)?;
    Ok(false)
}

/// Removes a user of a deleted configuration with at most `limit` of its memberships. Returns whether it is gone. A purge that
/// runs removes it itself.
fn purge_user(tx: &Tx<'_>, configuration: i64, id: &str, limit: usize) -> Result<bool> {
    let Some((account, is_purging)) = purge::find_owner(tx, configuration)? else { return Ok(true) };
    let Some(leaving) = purge::find_remaining_user(tx, configuration, id)? else { return Ok(true) };
    if is_purging {
        return Ok(false);
    }
    let removed = purge::delete_memberships(tx, configuration, &leaving, limit)?;
    let left = limit.saturating_sub(removed);
    let left = left.saturating_sub(purge::delete_held_memberships(tx, configuration, &leaving, left)?);
    if left == 0 {
        return Ok(false);
    }
    let collection = ResourceCollection { configuration, resource_type: &USER_TYPE.name };
    if let Some(stored) = resources::find_resource_by_id(tx, collection, id)? {
        let types = schema_extensions::load_resource_types(tx, configuration)?;
        let resource_type = types.iter().find(|one| one.name == USER_TYPE.name);
        let keys = index::build_index_keys(&parse_attributes(&stored)?, resource_type.unwrap_or(&*USER_TYPE));
        purge::delete_values_of_resource(tx, (configuration, stored.key), &keys.values)?;
    }
    let purging = PendingPurge { configuration, account, redacted_seq: 0 };
    remove_resource(tx, &purging, &leaving)?;
    Ok(true)
}

fn redact_events(tx: &Tx<'_>, purging: &PendingPurge) -> Result<()> {
    let (removed, end) = events::find_event_range(tx)?;
    let from = purging.redacted_seq.max(removed);
    let until = events::find_range_end(tx, from, REDACTED_PER_STEP)?;
    events::redact_events(tx, purging.configuration, from, until)?;
    purge::set_purge_progress(tx, purging.configuration, Some(until).filter(|until| *until < end))
}
