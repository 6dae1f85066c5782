//! PATCH (RFC 7644 section 3.5.2). The work of a PATCH depends on the request and on the stored resource, so it is estimated
//! first. A small one is evaluated in the transaction that writes it. A large one is evaluated on a snapshot, and the
//! transaction only writes the result if the resource still has the same version. So it does not delay other writes, and
//! no update is lost.

use crate::error::Result;
use crate::provisioning::Scope;
use crate::provisioning::large_changes::{self, MEMBERS_INLINE_MAX};
use crate::provisioning::members;
use crate::provisioning::members::diff::{self, MemberDiff};
use crate::provisioning::plans::ResourcePlan;
use crate::provisioning::resources::{
    DerivedValues, ResourceChange, ResourceWrite, WriteResult, build_rules, find_current, parse_attributes,
    write_change, write_members,
};
use crate::scim::dialect::DialectNotes;
use crate::scim::filter::Predicate;
use crate::scim::index;
use crate::scim::members::MemberEdit;
use crate::scim::patch::{self, Patch, PatchEdit};
use crate::scim::render::PartialText;
use crate::scim::schema::{Attribute, ResourceType};
use crate::scim::validate::{self, Attributes};
use crate::scim::work::WorkBudget;
use crate::store::tables::resources::StoredResource;
use crate::store::{Snapshot, Tx};

/// Up to this estimate a PATCH is evaluated in the transaction. One byte of the stored text, visited once, is one unit; one
/// member is [`MEMBER_BYTES`] units.
const SMALL_WORK_MAX: usize = 512 * 1024;
/// Estimated work of one member.
const MEMBER_BYTES: usize = 64;

/// The work of a PATCH, for each byte of the stored text and for each member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchWeight {
    /// Edits of attributes, and comparisons in their paths.
    text: usize,
    /// Comparisons with members.
    members: usize,
    /// Members that the request names.
    named: usize,
    /// Whether all members are replaced.
    replaces: bool,
}

impl PatchWeight {
    /// Returns the weight of a PATCH.
    pub fn of(patch: &Patch) -> Self {
        let mut weight = Self { text: 0, members: 0, named: 0, replaces: false };
        for edit in &patch.edits {
            match edit {
                PatchEdit::Attribute(edit) => {
                    weight.text += 1 + edit.path.filter.as_ref().map_or(0, Predicate::count_tests);
                }
                PatchEdit::Members(_, MemberEdit::RemoveWhere(condition)) => {
                    weight.members += 1 + condition.count_tests();
                }
                PatchEdit::Members(_, MemberEdit::Add(list)) => weight.named += list.len(),
                PatchEdit::Members(_, MemberEdit::Remove(list)) => weight.named += list.len(),
                PatchEdit::Members(_, MemberEdit::Replace(list)) => {
                    weight.named += list.len();
                    weight.replaces = true;
                }
            }
        }
        // The text is read and written once, even for a change of the password only.
        weight.text += usize::from(weight.text > 0 || patch.password.is_some());
        weight
    }

    /// Whether the work is small for a resource of any size: the PATCH only adds or removes few members by their ids.
    pub fn is_always_small(self) -> bool {
        self.text == 0 && self.changes_few_members()
    }

    /// Whether the work on members is small for a group of any size.
    pub fn changes_few_members(self) -> bool {
        self.members == 0 && self.named <= MEMBERS_INLINE_MAX && !self.replaces
    }

    /// Whether the PATCH names too many members for one transaction.
    pub fn has_many_members(self) -> bool {
        self.named > MEMBERS_INLINE_MAX
    }

    fn is_small_for(self, stored: &StoredResource) -> bool {
        let members = usize::try_from(stored.member_count).unwrap_or_default();
        let replaced = if self.replaces { stored.member_count } else { 0 };
        let text = stored.body.len().saturating_mul(self.text);
        let members = members.saturating_mul(MEMBER_BYTES).saturating_mul(self.members);
        let has_few_members = !large_changes::exceeds_inline(self.named, replaced);
        has_few_members && text.saturating_add(members) <= SMALL_WORK_MAX
    }
}

/// Applies a PATCH request atomically, if it is small for the stored resource. Otherwise returns `None` without a change;
/// [`PatchBasis::read`] is the next step then.
///
/// # Errors
/// Those of [`patch_resource`].
pub fn patch_small_resource(
    tx: &Tx<'_>,
    write: &ResourceWrite<'_>,
    patch: &Patch,
    weight: PatchWeight,
) -> Result<Option<WriteResult>> {
    let stored = find_current(tx, write)?;
    if weight.is_small_for(&stored) { patch_stored(tx, write, patch, stored).map(Some) } else { Ok(None) }
}

/// Applies a PATCH request atomically (RFC 7644 section 3.5.2), with all its work in the transaction.
///
/// # Errors
/// 404, 412, 400 tooMany above the budget, 413 if the resource becomes too large, and the errors of the operations. The
/// detail names the operation.
pub fn patch_resource(tx: &Tx<'_>, write: &ResourceWrite<'_>, patch: &Patch) -> Result<WriteResult> {
    let stored = find_current(tx, write)?;
    patch_stored(tx, write, patch, stored)
}

fn patch_stored(tx: &Tx<'_>, write: &ResourceWrite<'_>, patch: &Patch, stored: StoredResource) -> Result<WriteResult> {
    let mut work = WorkBudget::default();
    let mut notes = patch.notes.clone();
    let steps = members::resolve_steps(tx, write.scope, write.id, &patch.edits, &mut notes)?;
    let removals = members::evaluate_conditions(tx, &stored, &steps, &mut work)?;
    let members = members::complete_steps(steps, removals);
    if !changes_text(patch) {
        return write_members(tx, write, stored, members, notes);
    }
    let partial = evaluate_partially(&stored, write, patch, &work)?;
    let (before, after, derived) = if let Some(evaluated) = partial {
        evaluated
    } else {
        let (before, after) = evaluate_edits(&stored, write.scope, write.resource_type, patch, &mut work)?;
        (before, after, None)
    };
    if before == after && patch.password.is_none() {
        return write_members(tx, write, stored, members, notes);
    }
    let change = ResourceChange { before, after, members, password: patch.password.as_ref(), derived, notes };
    write_change(tx, write, stored, change)
}

/// Largest stored text that is parsed in part, in bytes. The text that is not ASCII in a larger one is counted.
const PARTIAL_TEXT_MAX_BYTES: usize = index::FOREIGN_TEXT_MAX_BYTES;

/// Evaluates the edits of a text on the attributes that they name, and copies the others. Returns these attributes before and
/// after, with those from which names and events follow, and what follows from a difference or a new password. `None` if the
/// whole text must be parsed.
fn evaluate_partially(
    stored: &StoredResource,
    write: &ResourceWrite<'_>,
    patch: &Patch,
    work: &WorkBudget,
) -> Result<Option<(Attributes, Attributes, Option<DerivedValues>)>> {
    let of = write.resource_type;
    if stored.body.len() > PARTIAL_TEXT_MAX_BYTES {
        return Ok(None);
    }
    // The values of `schemas` in an event name all extensions.
    let edits_extension = of.extensions.iter().any(|extension| is_edited(patch, &extension.schema.id));
    let is_parsed = |name: &str| {
        let is_named = DESCRIBING.contains(&name) || is_edited(patch, name) || has_required(of, name);
        is_named || edits_extension && name.contains(':')
    };
    let Some((text, before)) = PartialText::parse(&stored.body, of, is_parsed) else { return Ok(None) };
    let mut after = before.clone();
    patch::apply_edits(&patch.edits, &mut after, of, build_rules(write.scope), &mut work.clone())?;
    validate::check_required(&after, of)?;
    if before == after && patch.password.is_none() {
        return Ok(Some((before, after, None)));
    }
    let body = text.build_text(&after, of);
    if body.len() > PARTIAL_TEXT_MAX_BYTES {
        return Ok(None);
    }
    let derived = DerivedValues { keys: index::build_changed_index_keys(&before, &after, of), body };
    Ok(Some((before, after, Some(derived))))
}

/// The attributes that describe a resource in the row, in events and for the hold.
const DESCRIBING: [&str; 4] = ["userName", "displayName", "externalId", "active"];

/// Whether a PATCH edits the attribute or extension with this name.
fn is_edited(patch: &Patch, name: &str) -> bool {
    patch.edits.iter().any(|edit| {
        let PatchEdit::Attribute(edit) = edit else { return false };
        let edited = edit.path.extension.as_ref().or(edit.path.attribute.as_ref());
        edited.is_some_and(|edited| edited.eq_ignore_ascii_case(name))
    })
}

/// Whether an attribute is required, or an extension or a part of it.
fn has_required(of: &ResourceType, name: &str) -> bool {
    let is_required = |attribute: &Attribute| attribute.required;
    match of.extensions.iter().find(|extension| &*extension.schema.id == name) {
        Some(extension) => extension.required || extension.schema.attributes.iter().any(is_required),
        None => of.schema.attributes.iter().any(|attribute| attribute.required && &*attribute.name == name),
    }
}

/// Whether the PATCH changes members.
pub fn has_member_edits(patch: &Patch) -> bool {
    patch.edits.iter().any(|edit| matches!(edit, PatchEdit::Members(..)))
}

fn changes_text(patch: &Patch) -> bool {
    patch.password.is_some() || patch.edits.iter().any(|edit| matches!(edit, PatchEdit::Attribute(_)))
}

/// Returns the attributes before and after the edits.
fn evaluate_edits(
    stored: &StoredResource,
    scope: &Scope,
    resource_type: &ResourceType,
    patch: &Patch,
    work: &mut WorkBudget,
) -> Result<(Attributes, Attributes)> {
    let before = parse_attributes(stored)?;
    let mut after = before.clone();
    patch::apply_edits(&patch.edits, &mut after, resource_type, build_rules(scope), work)?;
    validate::check_required(&after, resource_type)?;
    Ok((before, validate::sort_attributes(after, resource_type)))
}

/// What a PATCH reads, at one version of the resource.
#[derive(Debug)]
pub struct PatchBasis {
    stored: StoredResource,
    members: MemberDiff,
    notes: DialectNotes,
    work: WorkBudget,
}

impl PatchBasis {
    /// Reads the resource and evaluates the edits of its members.
    ///
    /// # Errors
    /// Those of [`patch_small_resource`].
    pub fn read(at: &Snapshot<'_>, write: &ResourceWrite<'_>, patch: &Patch) -> Result<Self> {
        let stored = find_current(at, write)?;
        let (mut work, mut notes) = (WorkBudget::default(), patch.notes.clone());
        let steps = members::resolve_steps(at, write.scope, write.id, &patch.edits, &mut notes)?;
        let members = diff::compute_diff(at, &stored, steps, &mut work)?;
        Ok(Self { stored, members, notes, work })
    }

    /// Evaluates the edits of the text. Needs no database.
    ///
    /// # Errors
    /// Those of [`patch_small_resource`].
    pub fn evaluate(self, scope: &Scope, resource_type: &ResourceType, patch: &Patch) -> Result<ResourcePlan> {
        let Self { stored, members, notes, mut work } = self;
        let text = if changes_text(patch) {
            let (before, after) = evaluate_edits(&stored, scope, resource_type, patch, &mut work)?;
            let derived = DerivedValues::compute(&before, &after, resource_type)?;
            Some((before, after, derived))
        } else {
            None
        };
        Ok(ResourcePlan { version: stored.version, members, text, notes })
    }
}

#[cfg(test)]
mod tests;
