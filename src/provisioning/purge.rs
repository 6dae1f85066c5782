//! Leftovers: users and groups of deleted configurations, and their purge.

use crate::error::Result;
use crate::model::account::AccountFilter;
use crate::model::event::{EventAction, EventKind, EventSubject};
use crate::provisioning::large_changes;
use crate::store::tables::directory::{self, DeletedConfiguration};
use crate::store::tables::events::{self, NewEvent};
use crate::store::tables::purge::{self, PendingPurge, ResourceToPurge};
use crate::store::tables::{counts, tombstones, webhook_attempts};
use crate::store::{Snapshot, Tx};

pub use crate::store::tables::purge::find_next_purge;

/// Rows that the call which starts a purge removes itself.
pub(crate) const FIRST_STEP_MAX: usize = 2_000;
/// Rows that one later step removes. The limit bounds the delay of other writes.
pub const ROWS_PER_STEP: usize = 1_000;
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
    purge::run_with_secure_delete(tx, || {
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
    })
}

/// Removes one resource. The event has only the id, because it stays after the purge. The deletion of a resource that
/// was never published is not published.
fn remove_resource(tx: &Tx<'_>, purging: &PendingPurge, leaving: &ResourceToPurge) -> Result<()> {
    purge::purge_resource(tx, purging.configuration, leaving)?;
    let ResourceToPurge { id, resource_type, version, last_modified, .. } = leaving;
    let subject = EventSubject { resource_type, id, version: *version, last_modified: *last_modified };
    let event = NewEvent {
        account: &purging.account,
        configuration: purging.configuration,
        kind: EventKind::Resource(resource_type, EventAction::Deleted),
        resource_id: Some(id),
        payload: &subject.build_payload(events::PURGED),
        is_published: leaving.is_published,
    };
    events::append_event(tx, &event).map(drop)
}

fn redact_events(tx: &Tx<'_>, purging: &PendingPurge) -> Result<()> {
    let (removed, end) = events::find_event_range(tx)?;
    let from = purging.redacted_seq.max(removed);
    let until = events::find_range_end(tx, from, REDACTED_PER_STEP)?;
    events::redact_events(tx, purging.configuration, from, until)?;
    purge::set_purge_progress(tx, purging.configuration, Some(until).filter(|until| *until < end))
}
