//! Writes that were evaluated on a snapshot. The transaction only writes the result, if the resource still has the same
//! version. So large writes do not delay others, and no update is lost.

use crate::error::Result;
use crate::provisioning::large_changes;
use crate::provisioning::members::ResolvedMemberEdit;
use crate::provisioning::members::diff::{self, MemberDiff};
use crate::provisioning::publication::Publication;
use crate::provisioning::resources::{
    DerivedValues, PreparedResource, ResourceChange, ResourceWrite, WriteProgress, WriteResult, create_with_resolved,
    find_current, parse_attributes, replace_attributes, write_change, write_members,
};
use crate::provisioning::safety_net::mass_removals::CountedChange;
use crate::scim::dialect::DialectNotes;
use crate::scim::members::MemberRef;
use crate::scim::password::PasswordChange;
use crate::scim::validate::{Attributes, ResourceDraft};
use crate::store::tables::resources::StoredResource;
use crate::store::{Snapshot, Tx};

/// The result of a PUT or PATCH, valid for one version of the resource.
#[derive(Debug)]
pub struct ResourcePlan {
    pub(super) version: i64,
    pub(super) members: MemberDiff,
    /// Attributes before and after, and what follows from them. `None` if only members change.
    pub(super) text: Option<(Attributes, Attributes, DerivedValues)>,
    pub(super) notes: DialectNotes,
}

/// Evaluates a PUT.
///
/// # Errors
/// Those of [`super::resources::replace_small_resource`].
pub fn plan_replacement(at: &Snapshot<'_>, write: &ResourceWrite<'_>, draft: &ResourceDraft) -> Result<ResourcePlan> {
    let ResourceWrite { scope, resource_type, .. } = *write;
    let stored = find_current(at, write)?;
    let mut notes = draft.notes.clone();
    let members = match draft.members.as_deref().filter(|_| resource_type.members().is_some()) {
        None => MemberDiff::default(),
        Some(list) => diff::compute_replacement(at, scope, &stored, list, &mut notes)?,
    };
    let before = parse_attributes(&stored)?;
    let after = replace_attributes(&before, draft, resource_type);
    let derived = DerivedValues::compute(&before, &after, resource_type)?;
    Ok(ResourcePlan { version: stored.version, members, text: Some((before, after, derived)), notes })
}

/// Writes a plan if the resource has the version of the plan. Otherwise returns `None` without a change. Changes of many
/// members are only started.
///
/// # Errors
/// Those of PUT and PATCH.
pub fn write_plan(
    tx: &Tx<'_>,
    write: &ResourceWrite<'_>,
    plan: ResourcePlan,
    password: Option<&PasswordChange>,
) -> Result<Option<WriteProgress>> {
    let stored = find_current(tx, write)?;
    if stored.version != plan.version {
        return Ok(None);
    }
    let ResourcePlan { members: diff, text, notes, .. } = plan;
    let key = stored.key;
    let write_text = |stored: StoredResource, members: Vec<ResolvedMemberEdit>| match text {
        None => write_members(tx, write, stored, members, notes),
        Some((before, after, derived)) => {
            let change = ResourceChange { before, after, members, password, derived: Some(derived), notes };
            write_change(tx, write, stored, change)
        }
    };
    if !large_changes::is_large(&diff) {
        let members = diff::load_edits(tx, stored.configuration, &diff)?;
        return write_text(stored, members).map(|done| Some(WriteProgress::Complete(done)));
    }
    tx.run_in_savepoint(|| {
        // The steps remove the members, but the hold begins with the write.
        Publication::for_scope(tx, write.scope)?
            .count_removals(write.scope, || Ok(CountedChange::of_large_change(write.id, &diff.leaving)))?;
        large_changes::start_member_change(tx, &write.resource_type.name, &stored, &diff)?;
        Ok(Some(WriteProgress::Started(key, write_text(stored, Vec::new())?)))
    })
}

/// The many members of a new group, and the notes on them.
#[derive(Debug)]
pub struct NewMembers {
    diff: MemberDiff,
    notes: DialectNotes,
}

/// Evaluates the members of a new group.
///
/// # Errors
/// 400 invalidValue for members that do not exist.
pub fn resolve_new_members(at: &Snapshot<'_>, write: &ResourceWrite<'_>, members: &[MemberRef]) -> Result<NewMembers> {
    let mut notes = DialectNotes::default();
    let diff = diff::resolve_new_members(at, write.scope, write.id, members, &mut notes)?;
    Ok(NewMembers { diff, notes })
}

/// Creates a group with many members. If they are too many for one transaction, adding them is only started.
///
/// # Errors
/// The errors of [`super::resources::create_resource`].
pub fn create_with_members(
    tx: &Tx<'_>,
    write: &ResourceWrite<'_>,
    prepared: &PreparedResource,
    members: &NewMembers,
) -> Result<WriteProgress> {
    let mut notes = prepared.notes().clone();
    notes.extend(&members.notes);
    if !large_changes::is_large(&members.diff) {
        let joining = diff::load_edits(tx, write.scope.configuration, &members.diff)?;
        return create_with_resolved(tx, write, prepared, joining, notes).map(WriteProgress::Complete);
    }
    tx.run_in_savepoint(|| {
        let WriteResult { resource, notes } = create_with_resolved(tx, write, prepared, Vec::new(), notes.clone())?;
        let key = resource.stored.key;
        large_changes::start_member_change(tx, &write.resource_type.name, &resource.stored, &members.diff)?;
        Ok(WriteProgress::Started(key, WriteResult { resource, notes }))
    })
}
