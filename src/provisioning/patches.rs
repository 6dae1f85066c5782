//! PATCH (RFC 7644 section 3.5.2). The work of a PATCH depends on the request and on the stored resource, so it is estimated
//! first. A small one is evaluated in the transaction that writes it. A large one is evaluated on a snapshot, and the
//! transaction only writes the result if the resource still has the same version. So it does not delay other writes, and
//! no update is lost.

use crate::error::Result;
use crate::provisioning::Scope;
use crate::provisioning::members::{self, ConditionalRemovals, MemberStep};
use crate::provisioning::resources::{
    DerivedValues, ResourceChange, ResourceWrite, WriteResult, build_rules, find_current, parse_attributes,
    write_change, write_members,
};
use crate::scim::dialect::DialectNotes;
use crate::scim::filter::Predicate;
use crate::scim::members::MemberEdit;
use crate::scim::patch::{self, Patch, PatchEdit};
use crate::scim::schema::ResourceType;
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
}

impl PatchWeight {
    /// Returns the weight of a PATCH.
    pub fn of(patch: &Patch) -> Self {
        let mut weight = Self { text: 0, members: 0 };
        for edit in &patch.edits {
            match edit {
                PatchEdit::Attribute(edit) => {
                    weight.text += 1 + edit.path.filter.as_ref().map_or(0, Predicate::count_tests);
                }
                PatchEdit::Members(_, MemberEdit::RemoveWhere(condition)) => {
                    weight.members += 1 + condition.count_tests();
                }
                PatchEdit::Members(..) => {}
            }
        }
        // The text is read and written once, even for a change of the password only.
        weight.text += usize::from(weight.text > 0 || patch.password.is_some());
        weight
    }

    /// Whether the work is small for a resource of any size: the PATCH only adds or removes members by their ids.
    pub fn is_always_small(self) -> bool {
        self.text == 0 && self.members == 0
    }

    fn is_small_for(self, stored: &StoredResource) -> bool {
        let members = usize::try_from(stored.member_count).unwrap_or_default();
        let text = stored.body.len().saturating_mul(self.text);
        let members = members.saturating_mul(MEMBER_BYTES).saturating_mul(self.members);
        text.saturating_add(members) <= SMALL_WORK_MAX
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
    let (before, after) = evaluate_edits(&stored, write.scope, write.resource_type, patch, &mut work)?;
    let change = ResourceChange { before, after, members, password: patch.password.as_ref(), derived: None, notes };
    write_change(tx, write, stored, change)
}

/// Whether the PATCH removes the members that match a filter.
pub fn has_member_conditions(patch: &Patch) -> bool {
    patch.edits.iter().any(|edit| matches!(edit, PatchEdit::Members(_, MemberEdit::RemoveWhere(_))))
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
    removals: ConditionalRemovals,
    work: WorkBudget,
}

/// The result of a PATCH, valid for one version of the resource.
#[derive(Debug)]
pub struct PatchPlan {
    version: i64,
    removals: ConditionalRemovals,
    /// `None` if only members change.
    text: Option<(Attributes, Attributes, DerivedValues)>,
}

impl PatchBasis {
    /// Reads the resource and evaluates the conditions on its members.
    ///
    /// # Errors
    /// Those of [`patch_resource`].
    pub fn read(at: &Snapshot<'_>, write: &ResourceWrite<'_>, patch: &Patch) -> Result<Self> {
        let stored = find_current(at, write)?;
        let (mut work, mut removals) = (WorkBudget::default(), ConditionalRemovals::new());
        if has_member_conditions(patch) {
            let notes = &mut DialectNotes::default();
            let steps = members::resolve_steps(at, write.scope, write.id, &patch.edits, notes)?;
            removals = members::evaluate_conditions(at, &stored, &steps, &mut work)?;
        }
        Ok(Self { stored, removals, work })
    }

    /// Evaluates the edits of the text. Needs no database.
    ///
    /// # Errors
    /// Those of [`patch_resource`].
    pub fn evaluate(self, scope: &Scope, resource_type: &ResourceType, patch: &Patch) -> Result<PatchPlan> {
        let Self { stored, removals, mut work } = self;
        let text = if changes_text(patch) {
            let (before, after) = evaluate_edits(&stored, scope, resource_type, patch, &mut work)?;
            let derived = DerivedValues::compute(&before, &after, resource_type)?;
            Some((before, after, derived))
        } else {
            None
        };
        Ok(PatchPlan { version: stored.version, removals, text })
    }
}

/// Writes a plan if the resource has the version of the plan. Otherwise returns `None` without a change.
///
/// # Errors
/// Those of [`patch_resource`].
pub fn write_patch_plan(
    tx: &Tx<'_>,
    write: &ResourceWrite<'_>,
    patch: &Patch,
    plan: PatchPlan,
) -> Result<Option<WriteResult>> {
    let stored = find_current(tx, write)?;
    if stored.version != plan.version {
        return Ok(None);
    }
    let mut notes = patch.notes.clone();
    // Resources can be deleted without a change of this one, so the ids are resolved in the transaction.
    let steps: Vec<MemberStep> = members::resolve_steps(tx, write.scope, write.id, &patch.edits, &mut notes)?;
    let members = members::complete_steps(steps, plan.removals);
    let done = match plan.text {
        None => write_members(tx, write, stored, members, notes),
        Some((before, after, derived)) => {
            let password = patch.password.as_ref();
            let change = ResourceChange { before, after, members, password, derived: Some(derived), notes };
            write_change(tx, write, stored, change)
        }
    };
    done.map(Some)
}
