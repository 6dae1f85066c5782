//! The members that a request adds and removes, as they are computed on a snapshot. A member needs 16 bytes: such a difference can
//! have 200,000 of them, and is stored if it is large.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::provisioning::Scope;
use crate::provisioning::members::{
    MemberStep, ResolvedMemberEdit, check_any_known, complete_steps, evaluate_conditions, visit_added_members,
};
use crate::scim::dialect::DialectNotes;
use crate::scim::members::MemberRef;
use crate::scim::work::WorkBudget;
use crate::store::tables::members::{self, LinkedResource};
use crate::store::tables::resources::StoredResource;
use crate::store::{Snapshot, Tx};

/// Length of an encoded key.
const KEY_BYTES: usize = 16;

/// The row number of a member and a hash of its id. A row number can be used again after a deletion; the hash detects this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemberKey {
    row: i64,
    hash: u64,
}

impl MemberKey {
    fn new(row: i64, id: &str) -> Self {
        Self { row, hash: hash_id(id) }
    }

    /// The hash of the id of the member, as [`hash_id`] computes it.
    pub(crate) fn hash(self) -> u64 {
        self.hash
    }

    /// Encodes keys as bytes.
    pub(crate) fn encode(keys: &[Self]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(keys.len() * KEY_BYTES);
        for key in keys {
            bytes.extend(key.row.to_le_bytes());
            bytes.extend(key.hash.to_le_bytes());
        }
        bytes
    }

    /// Decodes the result of [`Self::encode`].
    pub(crate) fn decode(bytes: &[u8]) -> Vec<Self> {
        let (keys, _) = bytes.as_chunks::<KEY_BYTES>();
        let decode = |key: &[u8; KEY_BYTES]| {
            let (mut row, mut hash) = ([0; 8], [0; 8]);
            row.copy_from_slice(&key[..8]);
            hash.copy_from_slice(&key[8..]);
            Self { row: i64::from_le_bytes(row), hash: u64::from_le_bytes(hash) }
        };
        keys.iter().map(decode).collect()
    }
}

/// FNV-1a: the hash is stored, so it must not depend on the version of a library.
pub(crate) fn hash_id(id: &str) -> u64 {
    id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The members that a request adds and removes, in the order of their row numbers.
#[derive(Debug, Default)]
pub(crate) struct MemberDiff {
    pub(crate) joining: Vec<MemberKey>,
    pub(crate) leaving: Vec<MemberKey>,
}

impl MemberDiff {
    /// How many members change.
    pub(crate) fn len(&self) -> usize {
        self.joining.len() + self.leaving.len()
    }

    fn between(before: &BTreeMap<i64, u64>, after: &BTreeMap<i64, u64>) -> Self {
        let missing_in = |one: &BTreeMap<i64, u64>, other: &BTreeMap<i64, u64>| {
            let missing = one.iter().filter(|(row, _)| !other.contains_key(row));
            missing.map(|(row, hash)| MemberKey { row: *row, hash: *hash }).collect()
        };
        Self { joining: missing_in(after, before), leaving: missing_in(before, after) }
    }
}

/// Evaluates the edits of a request on the members of a group, without a change.
///
/// # Errors
/// 400 tooMany above the budget.
pub(crate) fn compute_diff(
    at: &Snapshot<'_>,
    group: &StoredResource,
    steps: Vec<MemberStep>,
    work: &mut WorkBudget,
) -> Result<MemberDiff> {
    if steps.is_empty() {
        return Ok(MemberDiff::default());
    }
    let removals = evaluate_conditions(at, group, &steps, work)?;
    let before = load_current_keys(at, group)?;
    let mut after = before.clone();
    for edit in complete_steps(steps, removals) {
        let added = match edit {
            ResolvedMemberEdit::Remove(list) => {
                for member in list {
                    after.remove(&member.key);
                }
                continue;
            }
            ResolvedMemberEdit::Add(list) => list,
            ResolvedMemberEdit::Replace(list) => {
                after.clear();
                list
            }
        };
        after.extend(added.iter().map(|member| (member.key, hash_id(&member.id))));
    }
    Ok(MemberDiff::between(&before, &after))
}

/// Compares the members of a group with the list that replaces them.
///
/// # Errors
/// 400 invalidValue for members that do not exist.
pub(crate) fn compute_replacement(
    at: &Snapshot<'_>,
    scope: &Scope,
    group: &StoredResource,
    members: &[MemberRef],
    notes: &mut DialectNotes,
) -> Result<MemberDiff> {
    let mut after = BTreeMap::new();
    visit_added_members(at, (scope, &group.id), members, notes, |member| {
        after.insert(member.key, hash_id(&member.id));
    })?;
    check_any_known(after.len(), members)?;
    Ok(MemberDiff::between(&load_current_keys(at, group)?, &after))
}

/// Returns the members of a new group.
///
/// # Errors
/// 400 invalidValue for members that do not exist.
pub(crate) fn resolve_new_members(
    at: &Snapshot<'_>,
    scope: &Scope,
    group: &str,
    members: &[MemberRef],
    notes: &mut DialectNotes,
) -> Result<MemberDiff> {
    let mut joining = Vec::with_capacity(members.len());
    visit_added_members(at, (scope, group), members, notes, |member| {
        joining.push(MemberKey::new(member.key, &member.id));
    })?;
    joining.sort_unstable_by_key(|member| member.row);
    Ok(MemberDiff { joining, leaving: Vec::new() })
}

fn load_current_keys(at: &Snapshot<'_>, group: &StoredResource) -> Result<BTreeMap<i64, u64>> {
    let mut keys = BTreeMap::new();
    if group.member_count > 0 {
        members::visit_member_ids(at, group, |row, id| keys.extend([(row, hash_id(id))]))?;
    }
    Ok(keys)
}

/// Returns the edits of a small difference. Members that were deleted since it was computed do not join.
pub(crate) fn load_edits(tx: &Tx<'_>, configuration: i64, diff: &MemberDiff) -> Result<Vec<ResolvedMemberEdit>> {
    Ok(vec![
        ResolvedMemberEdit::Remove(load_members(tx, configuration, &diff.leaving)?),
        ResolvedMemberEdit::Add(load_members(tx, configuration, &diff.joining)?),
    ])
}

/// Returns the members with these keys that still exist.
pub(crate) fn load_members(at: &Snapshot<'_>, configuration: i64, keys: &[MemberKey]) -> Result<Vec<LinkedResource>> {
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        let member = members::find_linked_resource(at, configuration, key.row)?;
        found.extend(member.filter(|member| hash_id(&member.id) == key.hash));
    }
    Ok(found)
}
