//! Create, read and replace (RFC 7644 sections 3.3 to 3.5.1); `patches` has PATCH, `deletion` has DELETE.
//!
//! Each function checks everything that can be rejected before it writes, and only its first write can be rejected by
//! the database. So a rejected operation has no effect, even without a savepoint.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Reason, Result, ScimType};
use crate::model::quota::{QuotaKind, UsageAmounts};
use crate::model::switches::{ActiveRemovalMode, InputMode, PasswordHandling};
use crate::provisioning::Scope;
use crate::provisioning::events::{self, AttributeUpdate};
use crate::provisioning::large_changes;
use crate::provisioning::members::{self, MembershipDelta, RemovalCounting, ResolvedMemberEdit};
use crate::provisioning::passwords;
use crate::provisioning::publication::Publication;
use crate::provisioning::quotas::write_within_quotas;
use crate::provisioning::rendered::{Members, RenderedResource, collection_for};
use crate::provisioning::safety_net::mass_removals::{self, CountedChange};
use crate::provisioning::tombstones::restore;
use crate::provisioning::tombstones::revival::Revival;
use crate::scim::dialect::{ActiveRemoval, DialectNotes, DialectRules, NoteCode};
use crate::scim::entity_tag::VersionConditions;
use crate::scim::index::{self, IndexKeys};
use crate::scim::members::{MemberEdit, MemberRef};
use crate::scim::password::PasswordChange;
use crate::scim::render;
use crate::scim::schema::ResourceType;
use crate::scim::validate::{self, Attributes, ResourceDraft};
use crate::scim::work::check_resource_length;
use crate::store::tables::resources::{
    self, FoundResource, InsertedVersion, ResourceCollection, ResourceValues, StoredResource,
};
use crate::store::tables::{members as member_rows, pending_changes, usage};
use crate::store::{Snapshot, Tx};

/// An accepted write.
#[derive(Debug)]
pub struct WriteResult {
    /// The resource after the write.
    pub resource: RenderedResource,
    /// Notes on tolerated or skipped parts of the request.
    pub notes: DialectNotes,
}

/// Result of the transaction of a write.
#[derive(Debug)]
pub enum WriteProgress {
    /// The write is complete.
    Complete(WriteResult),
    /// The steps of a large change of the resource with this key are left.
    Started(i64, WriteResult),
}

/// Returns the rules by which a configuration reads requests, for the protocol core.
pub fn build_rules(scope: &Scope) -> DialectRules {
    DialectRules {
        strict: scope.switches.input == InputMode::Strict,
        create_on_no_target: scope.switches.create_on_missing_target,
        store_passwords: scope.switches.passwords == PasswordHandling::Verify,
        active_removal: match scope.switches.active_removal {
            ActiveRemovalMode::Keep => ActiveRemoval::Keep,
            ActiveRemovalMode::Remove => ActiveRemoval::Remove,
            ActiveRemovalMode::Refuse => ActiveRemoval::Refuse,
        },
    }
}

/// Returns the resource with this id.
///
/// # Errors
/// 404 if the configuration has no such resource of this type.
pub fn read_resource(
    at: &Snapshot<'_>,
    scope: &Scope,
    resource_type: &ResourceType,
    id: &str,
    members: Members,
) -> Result<RenderedResource> {
    let stored = find_resource(at, scope, resource_type, id)?;
    RenderedResource::load(at, stored, resource_type, members)
}

/// Returns the resource with this id if it is small, so that it can be read and rendered on the event loop.
///
/// # Errors
/// 404 if the configuration has no such resource of this type.
pub fn read_small_resource(
    at: &Snapshot<'_>,
    scope: &Scope,
    resource_type: &ResourceType,
    id: &str,
    with_members: bool,
) -> Result<Option<RenderedResource>> {
    let found = resources::find_resource_with_membership(at, collection_for(scope, resource_type), id)?
        .ok_or_else(|| Error::new(Reason::ScimResourceNotFound))?;
    RenderedResource::load_small(at, found, resource_type, with_members)
}

fn find_resource(at: &Snapshot<'_>, scope: &Scope, resource_type: &ResourceType, id: &str) -> Result<StoredResource> {
    resources::find_resource_by_id(at, collection_for(scope, resource_type), id)?
        .ok_or_else(|| Error::new(Reason::ScimResourceNotFound))
}

/// A resource to create, with everything that can be computed before the transaction.
#[derive(Debug)]
pub struct PreparedResource {
    draft: ResourceDraft,
    keys: IndexKeys,
    body: String,
}

impl PreparedResource {
    /// Computes the keys and the stored text of a draft.
    ///
    /// # Errors
    /// 413 if the resource is too large.
    pub fn new(draft: ResourceDraft, resource_type: &ResourceType) -> Result<Self> {
        index::check_indexed_text(None, &draft.attributes, resource_type)?;
        let body = render::build_stored_text(&draft.attributes, resource_type);
        check_resource_length(body.len(), 0)?;
        Ok(Self { keys: index::build_index_keys(&draft.attributes, resource_type), body, draft })
    }

    /// Whether there are too many members for one transaction.
    pub fn has_many_members(&self) -> bool {
        has_many_members(&self.draft)
    }

    /// Removes the members, if they are too many for one transaction. `plans::resolve_new_members` is the next step then.
    pub fn take_many_members(&mut self) -> Option<Vec<MemberRef>> {
        self.draft.members.take_if(|members| large_changes::exceeds_inline(members.len(), 0))
    }

    /// A digest of what the request creates: two requests with the same digest create equal resources of this type.
    pub fn digest(&self, type_name: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(format!("{type_name}\0"));
        hash.update(self.body.len().to_be_bytes());
        hash.update(&self.body);
        for member in self.draft.members.iter().flatten() {
            hash.update(format!("{member:?}\0"));
        }
        hash.finalize().into()
    }

    /// The notes on its content.
    pub(super) fn notes(&self) -> &DialectNotes {
        &self.draft.notes
    }

    /// The change of the password.
    pub fn password_mut(&mut self) -> &mut Option<PasswordChange> {
        &mut self.draft.password
    }
}

/// The resource that a write is about, its precondition, and the members in the result.
#[derive(Debug, Clone, Copy)]
pub struct ResourceWrite<'w> {
    /// The configuration.
    pub scope: &'w Scope,
    /// Its resource type.
    pub resource_type: &'w ResourceType,
    /// Its id.
    pub id: &'w str,
    /// Conditions on its version.
    pub conditions: Option<&'w VersionConditions>,
    /// Members that the result contains.
    pub members: Members,
    /// Whether a deactivation counts for the hold. What an admin undoes does not.
    pub(crate) counting: RemovalCounting,
}

impl<'w> ResourceWrite<'w> {
    /// An unconditional write whose result contains no members.
    pub fn new(scope: &'w Scope, resource_type: &'w ResourceType, id: &'w str) -> Self {
        let counting = RemovalCounting::Counted;
        Self { scope, resource_type, id, conditions: None, members: Members::Skip, counting }
    }

    fn collection(&self) -> ResourceCollection<'w> {
        collection_for(self.scope, self.resource_type)
    }
}

/// Whether the new content of a resource has too many members for one transaction.
pub fn has_many_members(draft: &ResourceDraft) -> bool {
    draft.members.as_ref().is_some_and(|members| large_changes::exceeds_inline(members.len(), 0))
}

/// Creates a resource with the given id (RFC 7644 section 3.3).
///
/// # Errors
/// 409 uniqueness if its name is in use. 400 invalidValue for members that do not exist. `QuotaExceeded`.
pub fn create_resource(tx: &Tx<'_>, write: &ResourceWrite<'_>, prepared: &PreparedResource) -> Result<WriteResult> {
    let ResourceWrite { scope, id, .. } = *write;
    let mut notes = prepared.draft.notes.clone();
    let joining = prepared.draft.members.clone().map(MemberEdit::Add);
    let joining = joining.map(|edit| members::resolve_edit(tx, scope, id, &edit, &mut notes)).transpose()?;
    create_with_resolved(tx, write, prepared, joining.into_iter().collect(), notes)
}

/// Creates a resource with these resolved members.
///
/// # Errors
/// Those of [`create_resource`].
pub(super) fn create_with_resolved(
    tx: &Tx<'_>,
    write: &ResourceWrite<'_>,
    prepared: &PreparedResource,
    joining: Vec<ResolvedMemberEdit>,
    mut notes: DialectNotes,
) -> Result<WriteResult> {
    let ResourceWrite { scope, resource_type, .. } = *write;
    let active = usage::active_user_change(&resource_type.name, None, prepared.keys.active);
    let mut growth = usage::resource_amounts(&resource_type.name, 1, usage::text_bytes(&prepared.body))
        .with(QuotaKind::ActiveUsers, active)
        .with(QuotaKind::Members, members::find_largest_growth(0, &joining));
    let revival = Revival::find(tx, write.scope, write.resource_type, &prepared.keys)?;
    if let Some(revival) = &revival {
        growth = growth.plus(&UsageAmounts::default().with(QuotaKind::Members, revival.memberships));
        notes.add(NoteCode::DeletedResourceRevived);
    }
    write_within_quotas(tx, scope, &growth, || insert_prepared(tx, write, (prepared, revival), joining, notes))
}

/// Inserts a new resource with its resolved members.
fn insert_prepared(
    tx: &Tx<'_>,
    write: &ResourceWrite<'_>,
    (prepared, revival): (&PreparedResource, Option<Revival>),
    joining: Vec<ResolvedMemberEdit>,
    notes: DialectNotes,
) -> Result<WriteResult> {
    let ResourceWrite { scope, resource_type, members, .. } = *write;
    let PreparedResource { draft, keys, body } = prepared;
    let (id, version) = match &revival {
        None => (write.id, InsertedVersion::first(tx.now)),
        Some(revival) => (&*revival.tombstone.id, restore::find_next_version(&revival.tombstone, tx.now)),
    };
    let new = ResourceValues { id, keys, unique_name: scope.find_unique_name(tx, resource_type, keys)?, body };
    let mut publication = Publication::for_scope(tx, scope)?;
    let mut stored = match resources::insert_resource(tx, write.collection(), &new, version) {
        Err(error) if scope.switches.reactivate_on_conflict => {
            return reactivate_resource(tx, write, prepared, error);
        }
        inserted => inserted?,
    };
    passwords::apply_password(tx, scope, &stored, draft.password.as_ref())?;
    if let Some(revival) = &revival {
        publication.count_removals(scope, || {
            let is_whole =
                resource_type.members().is_none() || revival.has_all_members(tx, scope.configuration, &joining)?;
            Ok(CountedChange::of_restore(resource_type, id, keys.active).filter(|_| is_whole))
        })?;
        revival.publish(scope, resource_type, (&publication, &stored))?;
    } else {
        publication.hold_created(&resource_type.name, &stored)?;
        events::append_created(&publication, &events::describe_subject(&resource_type.name, &stored), body)?;
    }
    let delta = apply_members(tx, &mut stored, joining)?;
    if !delta.is_empty() {
        resources::set_member_count(tx, &stored)?;
        delta.publish(&publication, &resource_type.name, &stored)?;
    }
    let resource = match &revival {
        // A new resource is a member of no group.
        None => RenderedResource::load_found(tx, FoundResource { stored, is_member: false }, resource_type, members)?,
        Some(_) => RenderedResource::load(tx, stored, resource_type, members)?,
    };
    Ok(WriteResult { resource, notes })
}

/// Reactivates an inactive resource whose name a create request uses, if the configuration enables this.
fn reactivate_resource(
    tx: &Tx<'_>,
    write: &ResourceWrite<'_>,
    prepared: &PreparedResource,
    conflict: Error,
) -> Result<WriteResult> {
    let PreparedResource { draft, keys, .. } = prepared;
    let is_conflict = conflict.scim_type() == Some(ScimType::Uniqueness);
    let (true, Some(name)) = (is_conflict, &keys.user_name) else { return Err(conflict) };
    let Some(stored) = resources::find_resource_by_user_name(tx, write.collection(), name)? else {
        return Err(conflict);
    };
    let before = parse_attributes(&stored)?;
    // A user that is being deleted stays inactive.
    if before.get("active") != Some(&Value::Bool(false)) || pending_changes::is_changing(tx, stored.key)? {
        return Err(conflict);
    }
    let mut notes = draft.notes.clone();
    notes.add(NoteCode::InactiveResourceActivated);
    let password = draft.password.as_ref();
    let change =
        ResourceChange { before, after: draft.attributes.clone(), members: Vec::new(), password, derived: None, notes };
    write_change(tx, write, stored, change)
}

/// Replaces a resource (RFC 7644 section 3.5.1). Attributes that the body omits are cleared, except `active` and
/// `members`, so that an incomplete template neither deactivates a user nor empties a group.
///
/// Returns `None` without a change if the group has or gets so many members that the new content must be evaluated outside
/// the transaction.
///
/// # Errors
/// 404, 412 if If-Match does not match the version, and the errors of [`create_resource`].
pub fn replace_small_resource(
    tx: &Tx<'_>,
    write: &ResourceWrite<'_>,
    draft: &ResourceDraft,
) -> Result<Option<WriteResult>> {
    let ResourceWrite { scope, resource_type, id, .. } = *write;
    let stored = find_current(tx, write)?;
    let is_large = |list: &Vec<MemberRef>| large_changes::exceeds_inline(list.len(), stored.member_count);
    if draft.members.as_ref().is_some_and(is_large) {
        return Ok(None);
    }
    let mut notes = draft.notes.clone();
    let members = draft.members.clone().map(MemberEdit::Replace);
    let members = members.map(|edit| members::resolve_edit(tx, scope, id, &edit, &mut notes)).transpose()?;
    let before = parse_attributes(&stored)?;
    let after = replace_attributes(&before, draft, resource_type);
    let members = members.filter(|_| resource_type.members().is_some());
    let members = members.into_iter().collect();
    let password = draft.password.as_ref();
    let change = ResourceChange { before, after, members, password, derived: None, notes };
    write_change(tx, write, stored, change).map(Some)
}

/// Returns the attributes of a resource after its replacement.
pub(super) fn replace_attributes(before: &Attributes, draft: &ResourceDraft, of: &ResourceType) -> Attributes {
    let mut after = draft.attributes.clone();
    if let (false, Some(active)) = (draft.mentions("active"), before.get("active")) {
        after.insert("active".to_owned(), active.clone());
        after = validate::sort_attributes(after, of);
    }
    after
}

/// Removes the values of an extension from a resource, because the extension is removed.
pub(crate) fn strip_extension(
    tx: &Tx<'_>,
    scope: &Scope,
    resource_type: &ResourceType,
    stored: StoredResource,
    urn: &str,
) -> Result<()> {
    edit_attributes(tx, scope, resource_type, stored, |attributes| drop(attributes.shift_remove(urn)))
}

/// Writes a change of attributes that the server makes itself. It does not count for the hold.
pub(super) fn edit_attributes(
    tx: &Tx<'_>,
    scope: &Scope,
    resource_type: &ResourceType,
    stored: StoredResource,
    edit: impl FnOnce(&mut Attributes),
) -> Result<()> {
    let before = parse_attributes(&stored)?;
    let mut after = before.clone();
    edit(&mut after);
    let notes = DialectNotes::default();
    let change = ResourceChange { before, after, members: Vec::new(), password: None, derived: None, notes };
    let id = stored.id.clone();
    let write = ResourceWrite { counting: RemovalCounting::Uncounted, ..ResourceWrite::new(scope, resource_type, &id) };
    write_change(tx, &write, stored, change).map(drop)
}

/// Activates or deactivates a user, as a change that the server makes itself.
pub(super) fn set_active(
    tx: &Tx<'_>,
    scope: &Scope,
    resource_type: &ResourceType,
    user: StoredResource,
    active: bool,
) -> Result<()> {
    edit_attributes(tx, scope, resource_type, user, |attributes| {
        attributes.insert("active".to_owned(), Value::Bool(active));
    })
}

/// Returns the resource of a write, after the check of its precondition.
///
/// # Errors
/// 404, 412, `ResourceChanging` if a large change of it is running.
pub(super) fn find_current(at: &Snapshot<'_>, write: &ResourceWrite<'_>) -> Result<StoredResource> {
    let ResourceWrite { resource_type, id, conditions, .. } = *write;
    let (stored, is_changing) = resources::find_resource_to_change(at, write.collection(), id)?
        .ok_or_else(|| Error::new(Reason::ScimResourceNotFound))?;
    if is_changing {
        return Err(Reason::ResourceChanging.into());
    }
    if let Some(conditions) = conditions.filter(|conditions| !conditions.is_empty()) {
        let resource = RenderedResource::load(at, stored, resource_type, Members::Skip)?;
        conditions.check(&resource.tag())?;
        return Ok(resource.stored);
    }
    Ok(stored)
}

/// A checked change of a resource. If `derived` was computed before, the attributes can leave out those that are equal before and
/// after, except the names and `active`.
#[derive(Debug)]
pub(super) struct ResourceChange<'w> {
    pub(super) before: Attributes,
    pub(super) after: Attributes,
    pub(super) members: Vec<ResolvedMemberEdit>,
    pub(super) password: Option<&'w PasswordChange>,
    /// If it was computed before the transaction.
    pub(super) derived: Option<DerivedValues>,
    pub(super) notes: DialectNotes,
}

/// What the store writes in addition to the attributes. It depends only on them.
#[derive(Debug)]
pub(super) struct DerivedValues {
    /// Index keys before and after, of the values that change.
    pub(super) keys: (IndexKeys, IndexKeys),
    /// The stored text after the change.
    pub(super) body: String,
}

impl DerivedValues {
    /// Computes the values of a change.
    ///
    /// # Errors
    /// 413 if the resource becomes too large.
    pub(super) fn compute(before: &Attributes, after: &Attributes, of: &ResourceType) -> Result<Self> {
        index::check_indexed_text(Some(before), after, of)?;
        Ok(Self {
            keys: index::build_changed_index_keys(before, after, of),
            body: render::build_stored_text(after, of),
        })
    }
}

/// Writes a change and its events. Without a difference, nothing is written.
///
/// # Errors
/// 413 if the resource becomes too large, 409 uniqueness, `QuotaExceeded`.
pub(super) fn write_change(
    tx: &Tx<'_>,
    write: &ResourceWrite<'_>,
    stored: StoredResource,
    mut change: ResourceChange<'_>,
) -> Result<WriteResult> {
    if !passwords::changes_password(tx, &stored, change.password)? {
        change.password = None;
    }
    if change.before == change.after && change.password.is_none() {
        return write_members(tx, write, stored, change.members, change.notes);
    }
    let derived = match change.derived.take() {
        Some(derived) => derived,
        None => DerivedValues::compute(&change.before, &change.after, write.resource_type)?,
    };
    check_resource_length(derived.body.len(), stored.body.len())?;
    let is_deactivation = only_deactivates(&change);
    if is_deactivation {
        tx.allow_on_full_disk();
    }
    let bytes = usage::text_bytes(&derived.body) - usage::text_bytes(&stored.body);
    let (before, after) = (derived.keys.0.active, derived.keys.1.active);
    let growth = UsageAmounts::default()
        .with(QuotaKind::ActiveUsers, usage::active_user_change(&write.resource_type.name, before, after))
        .with(QuotaKind::Bytes, if is_deactivation { 0 } else { bytes })
        .with(QuotaKind::Members, members::find_largest_growth(stored.member_count, &change.members));
    // A uniqueness error after the members have changed or removals were counted must leave nothing.
    let (old, new) = &derived.keys;
    let changes_names = old.user_name != new.user_name || old.display_name != new.display_name;
    let changes_first = changes_names && (!change.members.is_empty() || before != after);
    write_within_quotas(tx, write.scope, &growth, || {
        if !changes_first {
            return update_changed(tx, write, stored, change, derived);
        }
        tx.run_in_savepoint(|| update_changed(tx, write, stored, change, derived))
    })
}

/// Whether a change does nothing but set `active` to false. It always fits, although the text grows by a few bytes: users
/// can be locked out above a quota and on a full disk, too.
fn only_deactivates(change: &ResourceChange<'_>) -> bool {
    let is_other = |(name, _): &(&String, &Value)| name.as_str() != "active";
    let (before, after) = (change.before.iter().filter(is_other), change.after.iter().filter(is_other));
    let deactivates = change.after.get("active") == Some(&Value::Bool(false));
    deactivates && change.members.is_empty() && change.password.is_none() && before.eq(after)
}

/// Writes a change with the values that follow from it.
fn update_changed(
    tx: &Tx<'_>,
    write: &ResourceWrite<'_>,
    mut stored: StoredResource,
    change: ResourceChange<'_>,
    derived: DerivedValues,
) -> Result<WriteResult> {
    let ResourceWrite { scope, resource_type, .. } = *write;
    let ResourceChange { before, after, members, password, notes, .. } = change;
    let DerivedValues { keys: (old_keys, keys), body } = derived;
    let id = stored.id.clone();
    let member_count = stored.member_count;
    let mut publication = Publication::for_scope(tx, scope)?;
    let delta = members::apply_edits(tx, &mut stored, members)?;
    publication.count_removals(scope, || {
        let change = delta.describe(&id).or_else(|| CountedChange::of_activity(resource_type, &id, &before, &after));
        Ok(change.filter(|_| write.counting == RemovalCounting::Counted))
    })?;
    member_rows::count_member_changes(tx, stored.configuration, stored.member_count - member_count)?;
    let image = publication.is_holding().then(|| StoredResource { member_count, ..stored.clone() });
    let new = ResourceValues {
        id: &id,
        keys: &keys,
        unique_name: scope.find_unique_name(tx, resource_type, &keys)?,
        body: &body,
    };
    resources::update_resource(tx, write.collection(), &mut stored, &old_keys, &new)?;
    mass_removals::follow_protected_user(tx, scope.configuration, resource_type, (&before, &after))?;
    if let Some(image) = image {
        publication.hold_changed(&resource_type.name, &image, &index::build_index_keys(&before, resource_type))?;
        if password.is_some() {
            publication.hold_password(&id)?;
        }
    }
    if old_keys.label != keys.label {
        // The `display` value of the member changes in its groups, so their versions change (RFC 7644 section 3.14).
        publication.hold_groups_before_update(&stored)?;
        member_rows::increment_group_versions(tx, &stored)?;
    }
    passwords::apply_password(tx, scope, &stored, password)?;
    let change = AttributeUpdate {
        before: &before,
        after: &after,
        derives_schemas_of: Some(resource_type),
        sets_password: password.is_some(),
    };
    events::append_updated(&publication, &events::describe_subject(&resource_type.name, &stored), change)?;
    if !delta.is_empty() {
        resources::set_member_count(tx, &stored)?;
        delta.publish(&publication, &resource_type.name, &stored)?;
    }
    Ok(WriteResult { resource: RenderedResource::load(tx, stored, resource_type, write.members)?, notes })
}

/// Writes a change of members only. The cost of adding a member does not depend on the size of the group.
pub(super) fn write_members(
    tx: &Tx<'_>,
    write: &ResourceWrite<'_>,
    mut stored: StoredResource,
    members: Vec<ResolvedMemberEdit>,
    notes: DialectNotes,
) -> Result<WriteResult> {
    let ResourceWrite { scope, resource_type, .. } = *write;
    if !members.is_empty() {
        if members::only_remove(&members) {
            tx.allow_on_full_disk();
        }
        let growth = members::find_largest_growth(stored.member_count, &members);
        let growth = UsageAmounts::default().with(QuotaKind::Members, growth);
        write_within_quotas(tx, scope, &growth, || update_members(tx, write, &mut stored, members))?;
    }
    Ok(WriteResult { resource: RenderedResource::load(tx, stored, resource_type, write.members)?, notes })
}

/// Changes the members of a group, with its version, its events and the usage of the configuration.
pub(super) fn update_members(
    tx: &Tx<'_>,
    write: &ResourceWrite<'_>,
    stored: &mut StoredResource,
    members: Vec<ResolvedMemberEdit>,
) -> Result<()> {
    let before = stored.member_count;
    let group = (&*write.resource_type.name, &mut *stored);
    members::change_members(tx, write.scope, group, members, RemovalCounting::Counted)?;
    member_rows::count_member_changes(tx, stored.configuration, stored.member_count - before)
}

fn apply_members(
    tx: &Tx<'_>,
    stored: &mut StoredResource,
    members: Vec<ResolvedMemberEdit>,
) -> Result<MembershipDelta> {
    let before = stored.member_count;
    let delta = members::apply_edits(tx, stored, members)?;
    member_rows::count_member_changes(tx, stored.configuration, stored.member_count - before)?;
    Ok(delta)
}

pub(super) fn parse_attributes(stored: &StoredResource) -> Result<Attributes> {
    render::parse_stored_text(&stored.body)
        .map_err(|problem| Error::undecodable(format_args!("stored text of {}", stored.id), problem))
}
