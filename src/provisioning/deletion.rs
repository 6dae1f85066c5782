//! DELETE (RFC 7644 section 3.6), with the references to the deleted resource: `manager` of the enterprise extension, and the
//! like in other extensions. A manager may have thousands of reports, each of which is a change with an event. So a deletion
//! removes only the first references, and a background job removes the others in steps, between which other writes run.

use crate::error::{Reason, Result};
use crate::model::event::{EventAction, EventSubject};
use crate::provisioning::Scope;
use crate::provisioning::events::{self, EventMember, MemberNames};
use crate::provisioning::large_changes;
use crate::provisioning::members::RemovalCounting;
use crate::provisioning::publication::Publication;
use crate::provisioning::rendered::collection_for;
use crate::provisioning::resources::{ResourceWrite, edit_attributes, find_current, parse_attributes};
use crate::provisioning::safety_net::mass_removals::CountedChange;
use crate::provisioning::tombstones::references::{list_reference_attributes, remove_extension_attribute};
use crate::provisioning::tombstones::{self, LeavingResource};
use crate::scim::entity_tag::VersionConditions;
use crate::scim::index;
use crate::scim::schema::ResourceType;
use crate::store::Tx;
use crate::store::tables::members::ChangedGroup;
pub use crate::store::tables::pending_references::{PendingReferences, find_next_references};
use crate::store::tables::resources::StoredResource;
use crate::store::tables::tombstones::MembershipRole;
use crate::store::tables::{configurations, members as member_rows, membership_events, pending_references, resources};

/// References that one transaction removes.
pub(crate) const REFERENCES_PER_STEP: usize = 100;

/// Deletes a resource, its memberships and references to it, such as `manager` (RFC 7644 section 3.6). The version of
/// the resources that referred to it changes. Many references are removed in steps after the deletion.
///
/// A resource with many memberships is deleted in steps: returns its key then.
///
/// # Errors
/// 404, 412 if If-Match does not match the version.
pub fn delete_resource(tx: &Tx<'_>, write: &ResourceWrite<'_>) -> Result<Option<i64>> {
    tx.allow_on_full_disk();
    let stored = find_leaving(tx, write)?;
    let is_counted = write.counting == RemovalCounting::Counted;
    let describe = || {
        let change = CountedChange::of_deletion(write.resource_type, &stored.id, &parse_attributes(&stored)?);
        Ok(change.filter(|_| is_counted))
    };
    let mut publication = Publication::for_scope(tx, write.scope)?;
    publication.count_removals(write.scope, describe)?;
    let is_held = is_counted && publication.awaits_decision();
    if large_changes::start_deletion(tx, &write.resource_type.name, &stored)? {
        let leaving =
            LeavingResource { scope: write.scope, resource_type: write.resource_type, stored: &stored, is_held };
        tombstones::begin_tombstone(tx, &leaving)?;
        return Ok(Some(stored.key));
    }
    delete_stored(tx, write, &stored).map(|()| None)
}

/// Returns the resource of a deletion, after the check of its precondition. A running change of its members ends: the members
/// are deleted with the group. So a group can be deleted on a full disk, on which the change cannot be completed.
fn find_leaving(tx: &Tx<'_>, write: &ResourceWrite<'_>) -> Result<StoredResource> {
    let is_unconditional = write.conditions.is_none_or(VersionConditions::is_empty);
    match find_current(tx, write) {
        Err(error) if error.reason() == Reason::ResourceChanging && is_unconditional => {
            let collection = collection_for(write.scope, write.resource_type);
            if let Some(stored) = resources::find_resource_by_id(tx, collection, write.id)? {
                large_changes::discard_member_change(tx, stored.key)?;
            }
            find_current(tx, write)
        }
        found => found,
    }
}

/// Deletes a resource whose precondition was checked, and stores its tombstone.
pub(super) fn delete_stored(tx: &Tx<'_>, write: &ResourceWrite<'_>, stored: &StoredResource) -> Result<()> {
    let ResourceWrite { scope, resource_type, id, .. } = *write;
    let keys = index::build_index_keys(&parse_attributes(stored)?, resource_type);
    let publication = Publication::for_scope(tx, scope)?;
    let is_held = write.counting == RemovalCounting::Counted && publication.awaits_decision();
    let leaving = LeavingResource { scope, resource_type, stored, is_held };
    let is_restorable = tombstones::complete_tombstone(tx, &leaving, &keys)?;
    publication.hold_before_delete(stored)?;
    leave_groups(tx, &publication, resource_type, stored)?;
    if stored.member_count > 0 {
        if is_restorable {
            let mut ids = Vec::new();
            member_rows::visit_member_ids(tx, stored, |_, id| ids.push(id.to_owned()))?;
            tombstones::add_memberships(tx, stored, MembershipRole::Member, ids.iter().map(String::as_str))?;
        }
        if !publication.is_holding() {
            membership_events::delete_memberships_of_group(tx, stored)?;
        }
        member_rows::remove_all_members(tx, stored)?;
    }
    resources::delete_resource(tx, collection_for(scope, resource_type), stored, &keys)?;
    clear_first_references(tx, scope, id)?;
    events::append_deleted(&publication, &events::describe_subject(&resource_type.name, stored), &stored.body)
}

fn leave_groups(
    tx: &Tx<'_>,
    publication: &Publication<'_>,
    resource_type: &ResourceType,
    member: &StoredResource,
) -> Result<()> {
    let groups = member_rows::remove_from_all_groups(tx, member)?;
    if groups.is_empty() {
        return Ok(());
    }
    tombstones::add_memberships(tx, member, MembershipRole::Group, groups.iter().map(|group| group.id.as_str()))?;
    let left = [EventMember {
        value: member.id.clone(),
        resource_type: resource_type.name.clone().into_owned(),
        names: MemberNames::parse(&member.id, &member.body)?,
    }];
    for group in groups {
        let ChangedGroup { id, resource_type, version, last_modified, .. } = &group;
        let subject = EventSubject { resource_type, id, version: *version, last_modified: *last_modified };
        events::append_members_changed(publication, &subject, EventAction::MemberRemoved, &left)?;
    }
    Ok(())
}

/// Removes the first references to a resource that is deleted in this transaction. If there are more, the job removes them.
pub(super) fn clear_first_references(tx: &Tx<'_>, scope: &Scope, deleted: &str) -> Result<()> {
    if clear_references(tx, scope, deleted)? {
        return Ok(());
    }
    pending_references::insert_references(
        tx,
        &PendingReferences { configuration: scope.configuration, deleted: deleted.to_owned() },
    )
}

/// Removes some of the references to a deleted resource.
pub fn run_reference_step(tx: &Tx<'_>, pending: &PendingReferences) -> Result<()> {
    tx.allow_on_full_disk();
    let is_complete = match configurations::find_configuration_by_key(tx, pending.configuration)? {
        Some(configuration) => clear_references(tx, &Scope::load(tx, configuration)?, &pending.deleted)?,
        None => true,
    };
    if is_complete { pending_references::delete_references(tx, pending) } else { Ok(()) }
}

/// Removes at most [`REFERENCES_PER_STEP`] references. Returns whether none is left.
fn clear_references(tx: &Tx<'_>, scope: &Scope, deleted: &str) -> Result<bool> {
    let mut left = REFERENCES_PER_STEP;
    for (resource_type, extension, attribute) in list_reference_attributes(scope) {
        let path = format!("{extension}:{attribute}.value");
        // One more than may be removed shows whether there are more.
        let limit = left + 1;
        let found =
            resources::list_resources_by_value(tx, collection_for(scope, resource_type), (&path, deleted), limit)?;
        let is_complete = found.len() <= left;
        for stored in found.into_iter().take(left) {
            tx.check_deadline()?;
            left -= 1;
            edit_attributes(tx, scope, resource_type, stored, |attributes| {
                remove_extension_attribute(attributes, extension, attribute);
            })?;
        }
        if !is_complete {
            return Ok(false);
        }
    }
    Ok(true)
}
