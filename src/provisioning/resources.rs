//! Create, read, replace, patch and delete (RFC 7644 sections 3.3 to 3.6).
//!
//! Each function checks everything that can be rejected before it writes, and only its first write can be rejected by
//! the database. So a rejected operation has no effect, even without a savepoint.

use serde_json::Value;

use crate::error::{Error, Reason, Result, ScimType};
use crate::model::event::EventAction;
use crate::model::switches::{InputMode, PasswordHandling};
use crate::provisioning::Scope;
use crate::provisioning::events;
use crate::provisioning::members::{self, MembershipDelta, ResolvedMemberEdit};
use crate::provisioning::passwords;
use crate::provisioning::publication::Publication;
use crate::provisioning::rendered::{Members, RenderedResource, collection_for};
use crate::scim;
use crate::scim::dialect::{DialectNotes, DialectRules, NoteCode};
use crate::scim::entity_tag::{EntityTags, check_if_match};
use crate::scim::index::{self, IndexKeys};
use crate::scim::members::MemberEdit;
use crate::scim::password::PasswordChange;
use crate::scim::patch::{self, Patch, PatchEdit};
use crate::scim::render;
use crate::scim::schema::{DataType, ResourceType};
use crate::scim::validate::{self, Attributes, ResourceDraft};
use crate::store::tables::resources::{self, ResourceCollection, ResourceValues, StoredResource};
use crate::store::tables::{configurations, members as member_rows};
use crate::store::{Snapshot, Tx};

/// An accepted write.
#[derive(Debug)]
pub struct WriteResult {
    /// The resource after the write.
    pub resource: RenderedResource,
    /// Notes on tolerated or skipped parts of the request.
    pub notes: DialectNotes,
}

/// Returns the rules by which a configuration reads requests, for the protocol core.
pub fn build_rules(scope: &Scope) -> DialectRules {
    DialectRules {
        strict: scope.switches.input == InputMode::Strict,
        create_on_no_target: scope.switches.create_on_missing_target,
        store_passwords: scope.switches.passwords == PasswordHandling::Verify,
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
    pub fn new(draft: ResourceDraft, resource_type: &ResourceType) -> Self {
        Self {
            keys: index::build_index_keys(&draft.attributes, resource_type),
            body: render::build_stored_text(&draft.attributes, resource_type),
            draft,
        }
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
    /// If-Match header.
    pub if_match: Option<&'w EntityTags>,
    /// Members that the result contains.
    pub members: Members,
}

impl<'w> ResourceWrite<'w> {
    /// An unconditional write whose result contains no members.
    pub fn new(scope: &'w Scope, resource_type: &'w ResourceType, id: &'w str) -> Self {
        Self { scope, resource_type, id, if_match: None, members: Members::Skip }
    }

    fn collection(&self) -> ResourceCollection<'w> {
        collection_for(self.scope, self.resource_type)
    }
}

/// Creates a resource with the given id (RFC 7644 section 3.3).
///
/// # Errors
/// 409 uniqueness if its name is in use. 400 invalidValue for members that do not exist.
pub fn create_resource(tx: &Tx<'_>, write: &ResourceWrite<'_>, prepared: &PreparedResource) -> Result<WriteResult> {
    let ResourceWrite { scope, resource_type, id, members, .. } = *write;
    let PreparedResource { draft, keys, body } = prepared;
    let mut notes = draft.notes.clone();
    let joining = resolve_replacement(tx, scope, id, draft.members.as_ref(), &mut notes)?;
    let new = ResourceValues { id, keys, unique_name: unique_name(tx, scope, resource_type, keys)?, body };
    let publication = Publication::for_scope(tx, scope)?;
    let mut stored = match resources::insert_resource(tx, write.collection(), &new) {
        Err(error) if scope.switches.reactivate_on_conflict => {
            return reactivate_resource(tx, write, prepared, error);
        }
        inserted => inserted?,
    };
    passwords::apply_password(tx, scope, &stored, draft.password.as_ref())?;
    publication.hold_created(&resource_type.name, &stored)?;
    events::append_created(&publication, &resource_type.name, id, body)?;
    let mut delta = MembershipDelta::default();
    if let Some(edit) = joining {
        members::apply_edit(tx, &mut stored, edit, &mut delta)?;
    }
    if !delta.is_empty() {
        resources::set_member_count(tx, &stored)?;
        delta.publish(&publication, &resource_type.name, id)?;
    }
    Ok(WriteResult { resource: RenderedResource::load(tx, stored, resource_type, members)?, notes })
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
    if before.get("active") != Some(&Value::Bool(false)) {
        return Err(conflict);
    }
    let mut notes = draft.notes.clone();
    notes.add(NoteCode::InactiveResourceActivated);
    let password = draft.password.as_ref();
    let change = ResourceChange { before, after: draft.attributes.clone(), members: Vec::new(), password };
    write_change(tx, write, stored, change, notes)
}

/// Replaces a resource (RFC 7644 section 3.5.1). Attributes that the body omits are cleared, except `active`, so that
/// an incomplete template neither deactivates nor reactivates a user.
///
/// # Errors
/// 404, 412 if If-Match does not match the version, and the errors of [`create_resource`].
pub fn replace_resource(tx: &Tx<'_>, write: &ResourceWrite<'_>, draft: &ResourceDraft) -> Result<WriteResult> {
    let ResourceWrite { scope, resource_type, id, .. } = *write;
    let stored = find_current(tx, write)?;
    let mut notes = draft.notes.clone();
    let members = resolve_replacement(tx, scope, id, Some(draft.members.as_ref().unwrap_or(&Vec::new())), &mut notes)?;
    let before = parse_attributes(&stored)?;
    let mut after = draft.attributes.clone();
    if let (false, Some(active)) = (draft.mentions("active"), before.get("active")) {
        after.insert("active".to_owned(), active.clone());
        after = validate::sort_attributes(after, resource_type);
    }
    let members = members.filter(|_| resource_type.members().is_some());
    let members = members.into_iter().collect();
    let change = ResourceChange { before, after, members, password: draft.password.as_ref() };
    write_change(tx, write, stored, change, notes)
}

/// Applies a PATCH request atomically (RFC 7644 section 3.5.2).
///
/// # Errors
/// 404, 412, and the errors of the operations. The detail names the operation.
pub fn patch_resource(tx: &Tx<'_>, write: &ResourceWrite<'_>, patch: &Patch) -> Result<WriteResult> {
    let ResourceWrite { scope, resource_type, id, .. } = *write;
    let stored = find_current(tx, write)?;
    let mut notes = patch.notes.clone();
    let mut members = Vec::new();
    for edit in &patch.edits {
        if let PatchEdit::Members(operation, edit) = edit {
            let resolved = members::resolve_edit(tx, scope, id, edit, &mut notes);
            members.push(resolved.map_err(|error| label_operation_error(error, *operation))?);
        }
    }
    let touches_text =
        patch.password.is_some() || patch.edits.iter().any(|edit| matches!(edit, PatchEdit::Attribute(_)));
    if !touches_text {
        return write_members(tx, write, stored, members, notes);
    }
    let before = parse_attributes(&stored)?;
    let mut after = before.clone();
    for edit in &patch.edits {
        if let PatchEdit::Attribute(edit) = edit {
            patch::apply_edit(edit, &mut after, resource_type, build_rules(scope))?;
        }
    }
    validate::check_required(&after, resource_type)?;
    let after = validate::sort_attributes(after, resource_type);
    let change = ResourceChange { before, after, members, password: patch.password.as_ref() };
    write_change(tx, write, stored, change, notes)
}

fn label_operation_error(error: Error, operation: usize) -> Error {
    // Errors of the server itself are not about an operation of the request.
    if error.status() < 500 { error.within(&patch::label_operation(operation)) } else { error }
}

/// Deletes a resource, its memberships and references to it, such as `manager` (RFC 7644 section 3.6). The version of
/// the resources that referred to it changes.
///
/// # Errors
/// 404, 412 if If-Match does not match the version.
pub fn delete_resource(tx: &Tx<'_>, write: &ResourceWrite<'_>) -> Result<()> {
    let ResourceWrite { scope, resource_type, id, .. } = *write;
    let stored = find_current(tx, write)?;
    let keys = index::build_index_keys(&parse_attributes(&stored)?, resource_type);
    let publication = Publication::for_scope(tx, scope)?;
    publication.hold_before_delete(&stored)?;
    leave_groups(tx, &publication, resource_type, &stored)?;
    if stored.member_count > 0 {
        member_rows::remove_all_members(tx, stored.key)?;
    }
    clear_references(tx, scope, &stored)?;
    resources::delete_resource(tx, write.collection(), &stored, &keys)?;
    events::append_deleted(&publication, &resource_type.name, id, &stored.body)
}

fn leave_groups(
    tx: &Tx<'_>,
    publication: &Publication<'_>,
    resource_type: &ResourceType,
    member: &StoredResource,
) -> Result<()> {
    let groups = member_rows::list_direct_groups(tx, member)?;
    if groups.is_empty() {
        return Ok(());
    }
    member_rows::remove_from_all_groups(tx, member)?;
    let left = [(member.id.clone(), resource_type.name.clone().into_owned())];
    for group in groups {
        events::append_members_changed(
            publication,
            &group.resource_type,
            &group.id,
            EventAction::MemberRemoved,
            &left,
        )?;
    }
    Ok(())
}

/// Clears single-valued references to a deleted resource: `manager` of the enterprise extension.
fn clear_references(tx: &Tx<'_>, scope: &Scope, deleted: &StoredResource) -> Result<()> {
    for resource_type in scope.types.iter() {
        for extension in &resource_type.extensions {
            let references = extension.schema.attributes.iter().filter(|attribute| {
                let refers = attribute.sub_attribute("$ref").is_some()
                    && attribute.sub_attribute("value").is_some_and(|value| value.indexed);
                refers && attribute.kind == DataType::Complex && !attribute.multi_valued
            });
            for attribute in references {
                let path = format!("{}:{}.value", extension.schema.id, attribute.name);
                for stored in
                    resources::list_resources_by_value(tx, collection_for(scope, resource_type), &path, &deleted.id)?
                {
                    if stored.key != deleted.key {
                        edit_attributes(tx, scope, resource_type, stored, |attributes| {
                            remove_extension_attribute(attributes, &extension.schema.id, &attribute.name);
                        })?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// Removes one attribute of an extension.
fn remove_extension_attribute(attributes: &mut Attributes, extension: &str, name: &str) {
    if let Some(Value::Object(parts)) = attributes.get_mut(extension) {
        parts.shift_remove(name);
        if parts.is_empty() {
            attributes.shift_remove(extension);
        }
    }
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

/// Writes a change of attributes that the server makes itself.
fn edit_attributes(
    tx: &Tx<'_>,
    scope: &Scope,
    resource_type: &ResourceType,
    stored: StoredResource,
    edit: impl FnOnce(&mut Attributes),
) -> Result<()> {
    let before = parse_attributes(&stored)?;
    let mut after = before.clone();
    edit(&mut after);
    let change = ResourceChange { before, after, members: Vec::new(), password: None };
    let id = stored.id.clone();
    let write = ResourceWrite::new(scope, resource_type, &id);
    write_change(tx, &write, stored, change, DialectNotes::default()).map(drop)
}

fn find_current(tx: &Tx<'_>, write: &ResourceWrite<'_>) -> Result<StoredResource> {
    let ResourceWrite { scope, resource_type, id, if_match, .. } = *write;
    let stored = find_resource(tx, scope, resource_type, id)?;
    if if_match.is_some() {
        let resource = RenderedResource::load(tx, stored, resource_type, Members::Skip)?;
        check_if_match(if_match, &resource.tag())?;
        return Ok(resource.stored);
    }
    Ok(stored)
}

/// A checked change of a resource.
struct ResourceChange<'w> {
    before: Attributes,
    after: Attributes,
    members: Vec<ResolvedMemberEdit>,
    password: Option<&'w PasswordChange>,
}

/// Writes a change and its events. Without a difference, nothing is written.
fn write_change(
    tx: &Tx<'_>,
    write: &ResourceWrite<'_>,
    mut stored: StoredResource,
    change: ResourceChange<'_>,
    notes: DialectNotes,
) -> Result<WriteResult> {
    let ResourceWrite { scope, resource_type, .. } = *write;
    let ResourceChange { before, after, members, password } = change;
    let sets_password = passwords::changes_password(tx, &stored, password)?;
    if before == after && !sets_password {
        return write_members(tx, write, stored, members, notes);
    }
    let (old_keys, keys) =
        (index::build_index_keys(&before, resource_type), index::build_index_keys(&after, resource_type));
    let body = render::build_stored_text(&after, resource_type);
    let id = stored.id.clone();
    let publication = Publication::for_scope(tx, scope)?;
    let image = publication.is_holding().then(|| stored.clone());
    let new = ResourceValues {
        id: &id,
        keys: &keys,
        unique_name: unique_name(tx, scope, resource_type, &keys)?,
        body: &body,
    };
    resources::update_resource(tx, write.collection(), &mut stored, &old_keys, &new)?;
    if let Some(image) = image {
        publication.hold_changed(&resource_type.name, &image, &old_keys)?;
    }
    if old_keys.label != keys.label {
        // The `display` value of the member changes in its groups, so their versions change (RFC 7644 section 3.14).
        publication.hold_groups_before_update(&stored)?;
        member_rows::increment_group_versions(tx, &stored)?;
    }
    passwords::apply_password(tx, scope, &stored, password)?;
    events::append_updated(&publication, &resource_type.name, &id, (&before, &after), sets_password)?;
    let delta = apply_members(tx, &mut stored, members)?;
    if !delta.is_empty() {
        resources::set_member_count(tx, &stored)?;
        delta.publish(&publication, &resource_type.name, &id)?;
    }
    Ok(WriteResult { resource: RenderedResource::load(tx, stored, resource_type, write.members)?, notes })
}

/// Writes a change of members only. The cost of adding a member does not depend on the size of the group.
fn write_members(
    tx: &Tx<'_>,
    write: &ResourceWrite<'_>,
    mut stored: StoredResource,
    members: Vec<ResolvedMemberEdit>,
    notes: DialectNotes,
) -> Result<WriteResult> {
    let ResourceWrite { scope, resource_type, .. } = *write;
    let publication = if members.is_empty() { None } else { Some(Publication::for_scope(tx, scope)?) };
    let delta = apply_members(tx, &mut stored, members)?;
    if let (Some(publication), false) = (publication, delta.is_empty()) {
        publication.hold_before_update(&stored)?;
        resources::touch_resource(tx, &mut stored)?;
        delta.publish(&publication, &resource_type.name, &stored.id)?;
    }
    Ok(WriteResult { resource: RenderedResource::load(tx, stored, resource_type, write.members)?, notes })
}

fn apply_members(
    tx: &Tx<'_>,
    stored: &mut StoredResource,
    members: Vec<ResolvedMemberEdit>,
) -> Result<MembershipDelta> {
    let mut delta = MembershipDelta::default();
    for edit in members {
        members::apply_edit(tx, stored, edit, &mut delta)?;
    }
    Ok(delta)
}

fn resolve_replacement(
    at: &Snapshot<'_>,
    scope: &Scope,
    id: &str,
    members: Option<&Vec<scim::members::MemberRef>>,
    notes: &mut DialectNotes,
) -> Result<Option<ResolvedMemberEdit>> {
    let Some(members) = members else { return Ok(None) };
    members::resolve_edit(at, scope, id, &MemberEdit::Replace(members.clone()), notes).map(Some)
}

/// The name that must be unique in addition to `userName`: the name of a group, if the configuration requires it. The
/// setting is read in the transaction, because it may have changed since the start of the request.
fn unique_name<'k>(
    tx: &Tx<'_>,
    scope: &Scope,
    resource_type: &ResourceType,
    keys: &'k IndexKeys,
) -> Result<Option<&'k str>> {
    let applies =
        resource_type.members().is_some() && configurations::load_switches(tx, scope.configuration)?.unique_group_names;
    Ok(keys.display_name.as_deref().filter(|_| applies))
}

fn parse_attributes(stored: &StoredResource) -> Result<Attributes> {
    render::parse_stored_text(&stored.body)
        .map_err(|problem| Error::database(format!("stored text of {}: {problem}", stored.id)))
}
