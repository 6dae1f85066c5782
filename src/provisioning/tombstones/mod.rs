//! Tombstones: what a deletion stores so that the user or group can be restored. They have the document, the memberships and who
//! deleted it, for as many days as the switch `tombstoneDays` of the configuration says. SCIM does not see them.

pub(super) mod references;
pub mod restore;
pub(super) mod revival;

use crate::clock::Millis;
use crate::error::Result;
use crate::log;
use crate::model::switches::{PasswordHandling, Switches};
use crate::provisioning::Scope;
use crate::provisioning::rendered::collection_for;
use crate::scim::fold;
use crate::scim::index::IndexKeys;
use crate::scim::schema::ResourceType;
use crate::store::tables::resources::StoredResource;
use crate::store::tables::tombstones::{self, DeletionState, MembershipRole, NewTombstone, StoredTombstone};
pub use crate::store::tables::tombstones::{DeletedPosition, DeletedQuery, DeletedResource};
use crate::store::tables::{configurations, holds, passwords};
use crate::store::{Snapshot, Tx};

/// Deleted resources that one page examines. A page of a search ends early with a cursor.
const EXAMINED_MAX: usize = 5_000;
/// Configurations that one step of the removal of expired tombstones examines.
const CONFIGURATIONS_PER_STEP: usize = 100;

/// Returns the time from which on deleted resources can be restored.
pub(super) fn find_oldest_time(now: Millis, switches: &Switches) -> Millis {
    now.saturating_sub(switches.tombstone_days.millis()).saturating_add(1)
}

/// A resource that is being deleted.
#[derive(Debug, Clone, Copy)]
pub(super) struct LeavingResource<'d> {
    /// The configuration.
    pub(super) scope: &'d Scope,
    /// Its resource type.
    pub(super) resource_type: &'d ResourceType,
    /// Its row.
    pub(super) stored: &'d StoredResource,
    /// Whether an admin may undo the deletion, because the configuration is held.
    pub(super) is_held: bool,
}

impl LeavingResource<'_> {
    fn has_tombstone(&self) -> bool {
        self.is_held || !self.scope.switches.tombstone_days.is_zero()
    }
}

/// Begins the tombstone of a resource that is deleted in steps. They add its memberships.
pub(super) fn begin_tombstone(tx: &Tx<'_>, leaving: &LeavingResource<'_>) -> Result<()> {
    if tx.is_disk_full() || !leaving.has_tombstone() {
        return Ok(());
    }
    insert_tombstone(tx, leaving, &IndexKeys::default(), DeletionState::Deleting)
}

/// Adds memberships that a step of a deletion ended. On a full disk they are left out.
pub(super) fn add_memberships<'i>(
    tx: &Tx<'_>,
    stored: &StoredResource,
    role: MembershipRole,
    ids: impl IntoIterator<Item = &'i str>,
) -> Result<()> {
    if tx.is_disk_full() {
        return Ok(());
    }
    tombstones::add_memberships(tx, stored.configuration, &stored.id, role, ids)
}

/// Stores the tombstone of a resource that is deleted now. On a full disk it is left out: a deletion is always possible. Returns
/// whether there is one.
pub(super) fn complete_tombstone(tx: &Tx<'_>, leaving: &LeavingResource<'_>, keys: &IndexKeys) -> Result<bool> {
    if !leaving.has_tombstone() || tx.is_disk_full() {
        let unfinished = tombstones::find_unfinished(tx, leaving.stored.configuration, &leaving.stored.id)?;
        let Some(unfinished) = unfinished else { return Ok(false) };
        if !leaving.has_tombstone() {
            tombstones::delete_tombstone(tx, unfinished)?;
            return Ok(false);
        }
    }
    insert_tombstone(tx, leaving, keys, DeletionState::Deleted)?;
    Ok(true)
}

fn insert_tombstone(tx: &Tx<'_>, leaving: &LeavingResource<'_>, keys: &IndexKeys, state: DeletionState) -> Result<()> {
    let LeavingResource { scope, resource_type, stored, .. } = *leaving;
    let digest = match scope.switches.passwords {
        PasswordHandling::Verify => passwords::find_digest(tx, stored)?,
        PasswordHandling::Ignore => None,
    };
    let request_id = log::current_request_id();
    let new = NewTombstone {
        resource_type: &resource_type.name,
        stored,
        state,
        request_id: request_id.as_deref(),
        token_id: scope.token.as_deref(),
        name_key: select_name_key(resource_type, keys),
        external_id: keys.external_id.as_deref(),
        label: keys.label.as_deref(),
        digest: digest.as_ref().map(|digest| digest.0.as_str()),
    };
    tombstones::store_tombstone(tx, &new)
}

/// The name by which a resource is found again: `userName` of a user, `displayName` of a group.
fn select_name_key<'k>(resource_type: &ResourceType, keys: &'k IndexKeys) -> Option<&'k str> {
    let name = if resource_type.members().is_some() { &keys.display_name } else { &keys.user_name };
    name.as_deref()
}

/// Returns the tombstone that a create request revives, if the configuration enables this: one of the same name or else of the
/// same `externalId`, the newest.
pub(super) fn find_revivable(
    tx: &Tx<'_>,
    scope: &Scope,
    resource_type: &ResourceType,
    keys: &IndexKeys,
) -> Result<Option<StoredTombstone>> {
    if !scope.switches.revive_deleted {
        return Ok(None);
    }
    let (collection, since) = (collection_for(scope, resource_type), find_oldest_time(tx.now, &scope.switches));
    if let Some(name) = select_name_key(resource_type, keys)
        && let Some(found) = tombstones::find_tombstone_by_name(tx, collection, name, since)?
    {
        return Ok(Some(found));
    }
    let external_id = keys.external_id.as_deref().filter(|id| !id.is_empty());
    external_id.map_or(Ok(None), |id| tombstones::find_tombstone_by_external_id(tx, collection, id, since))
}

/// Selects deleted users and groups.
#[derive(Debug, Clone, Default)]
pub struct DeletedFilter {
    /// Type, times and position.
    pub rows: DeletedQuery,
    /// Only those whose name, display name or `externalId` contains this text, in any case.
    pub text: Option<String>,
}

impl DeletedFilter {
    fn matches(&self, found: &DeletedResource, folded: &str) -> bool {
        let contains = |text: &Option<String>| text.as_ref().is_some_and(|text| fold::fold_case(text).contains(folded));
        self.text.is_none() || [&found.name, &found.display_name, &found.external_id].into_iter().any(contains)
    }
}

/// A page of deleted users and groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeletedPage {
    /// Newest deletion first.
    pub items: Vec<DeletedResource>,
    /// Position of the next page. `None` on the last page.
    pub next: Option<DeletedPosition>,
}

/// Returns at most `limit` deleted users and groups of a configuration that can be restored. A page can have fewer, and still
/// have a next one.
pub(crate) fn list_restorable(
    at: &Snapshot<'_>,
    configuration: i64,
    filter: &DeletedFilter,
    (now, limit): (Millis, usize),
) -> Result<DeletedPage> {
    let oldest = find_oldest_time(now, &configurations::load_switches(at, configuration)?);
    let since = filter.rows.since.map_or(oldest, |since| since.max(oldest));
    let query = DeletedQuery { since: Some(since), ..filter.rows.clone() };
    let most = if filter.text.is_some() { EXAMINED_MAX.max(limit) } else { limit };
    // One more than may be examined shows whether there are more.
    let mut found = tombstones::list_deleted(at, configuration, &query, most + 1)?;
    let mut has_more = found.len() > most;
    found.truncate(most);
    let folded = filter.text.as_deref().map(|text| fold::fold_case(text).into_owned()).unwrap_or_default();
    let (mut items, mut last) = (Vec::new(), None);
    for one in found {
        if items.len() == limit {
            has_more = true;
            break;
        }
        last = Some((one.deleted_at, one.id.clone()));
        if filter.matches(&one, &folded) {
            items.push(one);
        }
    }
    Ok(DeletedPage { items, next: last.filter(|_| has_more) })
}

/// Removes at most `limit` rows of tombstones whose time has ended, of configurations with a key after `after`. Returns the key
/// after which the next step continues, or `None` if all configurations are done.
pub fn remove_expired_tombstones(tx: &Tx<'_>, after: i64, limit: usize) -> Result<Option<i64>> {
    tx.allow_on_full_disk();
    let mut last = after;
    for _ in 0..CONFIGURATIONS_PER_STEP {
        let Some(configuration) = tombstones::find_next_configuration(tx, last)? else { return Ok(None) };
        let before = find_oldest_time(tx.now, &configurations::load_switches(tx, configuration)?);
        // During a hold, an admin can undo every deletion.
        if !holds::is_held(tx, configuration)?
            && tombstones::delete_tombstones(tx, configuration, Some(before), limit)? > 0
        {
            break;
        }
        last = configuration;
    }
    Ok(Some(last))
}
