//! Bulk creates with circular references: all of them are created, or none (RFC 7644 section 3.7.1).

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::{Error, Reason, Result};
use crate::provisioning::Scope;
use crate::provisioning::patches;
use crate::provisioning::rendered::Members;
use crate::provisioning::resources::{self, PreparedResource, ResourceWrite, WriteResult};
use crate::scim::dialect::DialectNotes;
use crate::scim::members::{MemberEdit, MemberRef};
use crate::scim::patch::{Patch, PatchEdit};
use crate::scim::schema::ResourceType;
use crate::scim::schema::undeclared::UndeclaredAttributes;
use crate::scim::validate::ResourceDraft;
use crate::store::Tx;

/// Maximum number of members that the resources of a cycle have together: they are created in one transaction.
const CYCLE_MEMBERS_MAX: usize = 2_000;

/// A resource to create with a predetermined id, which the other resources of its cycle refer to.
#[derive(Debug)]
pub struct PendingCreate {
    /// Its resource type.
    pub resource_type: Arc<ResourceType>,
    /// Its id.
    pub id: String,
    /// Its content.
    pub draft: ResourceDraft,
}

impl PendingCreate {
    fn write<'w>(&'w self, scope: &'w Scope) -> ResourceWrite<'w> {
        ResourceWrite::new(scope, &self.resource_type, &self.id)
    }
}

/// Creates the resources of a cycle: first each without the members that do not exist yet, then those members are
/// added. Returns the resources and notes in the order of `cycle`. Run it in a savepoint: an error can occur after the
/// first write.
///
/// # Errors
/// 413 above [`CYCLE_MEMBERS_MAX`], and the errors of [`resources::create_resource`], with the index of the resource in the cycle.
pub fn create_cycle(
    tx: &Tx<'_>,
    scope: &Scope,
    cycle: &[PendingCreate],
) -> std::result::Result<Vec<WriteResult>, (usize, Error)> {
    let members = cycle.iter().filter_map(|one| one.draft.members.as_ref()).map(Vec::len).sum::<usize>();
    if members > CYCLE_MEMBERS_MAX {
        return Err((0, Reason::TooManyMembers.with("max", CYCLE_MEMBERS_MAX)));
    }
    let mut pending: HashSet<&str> = cycle.iter().map(|one| one.id.as_str()).collect();
    let mut joining = Vec::with_capacity(cycle.len());
    let mut notes = Vec::with_capacity(cycle.len());
    for (number, one) in cycle.iter().enumerate() {
        // A group that is a member of itself is not deferred: it is rejected.
        pending.remove(one.id.as_str());
        let (draft, later) = split_pending_members(&one.draft, &pending);
        notes.push(create_without_pending(tx, scope, one, draft).map_err(|error| (number, error))?);
        joining.push(later);
    }
    for (number, (one, later)) in cycle.iter().zip(joining).enumerate() {
        add_pending_members(tx, scope, one, later).map_err(|error| (number, error))?;
    }
    let result = |(number, (one, notes)): (usize, (&PendingCreate, DialectNotes))| {
        let resource = resources::read_resource(tx, scope, &one.resource_type, &one.id, Members::Skip)
            .map_err(|error| (number, error))?;
        Ok(WriteResult { resource, notes })
    };
    cycle.iter().zip(notes).enumerate().map(result).collect()
}

/// Returns the draft without the members that do not exist yet, and these members.
fn split_pending_members(draft: &ResourceDraft, pending: &HashSet<&str>) -> (ResourceDraft, Vec<MemberRef>) {
    let mut draft = draft.clone();
    let Some(members) = draft.members.take() else { return (draft, Vec::new()) };
    let (later, now) = members.into_iter().partition(|member| pending.contains(member.id.as_str()));
    draft.members = Some(now);
    (draft, later)
}

fn create_without_pending(
    tx: &Tx<'_>,
    scope: &Scope,
    one: &PendingCreate,
    draft: ResourceDraft,
) -> Result<DialectNotes> {
    let prepared = PreparedResource::new(draft, &one.resource_type)?;
    let done = resources::create_resource(tx, &one.write(scope), &prepared)?;
    if done.resource.stored.id != one.id {
        // The other resources of the cycle refer to an id that this resource did not get.
        return Err(Reason::BulkCycleUnsupported.into());
    }
    Ok(done.notes)
}

fn add_pending_members(tx: &Tx<'_>, scope: &Scope, one: &PendingCreate, later: Vec<MemberRef>) -> Result<()> {
    if later.is_empty() {
        return Ok(());
    }
    let patch = Patch {
        edits: vec![PatchEdit::Members(0, MemberEdit::Add(later))],
        password: None,
        notes: DialectNotes::default(),
        undeclared: UndeclaredAttributes::default(),
    };
    patches::patch_resource(tx, &one.write(scope), &patch).map(drop)
}
