//! Create, read, replace, patch and delete (RFC 7644 sections 3.3 to 3.6).
//!
//! Each function settles everything that can be refused before it writes, and its first write is the only one
//! that the database can refuse: so a refused operation leaves nothing behind, without a savepoint.

use serde_json::Value;

use super::Scope;
use super::events;
use super::flow::Flow;
use super::memberships::{self, Net, Resolved};
use super::passwords;
use super::shown::{Shown, collection};
use crate::error::{Error, Result};
use crate::model::event::Happening;
use crate::model::switches::{Input, Passwords};
use crate::scim;
use crate::scim::dialect::{Notes, Rules};
use crate::scim::index::{self, Keys};
use crate::scim::members::MemberEdit;
use crate::scim::password::Password;
use crate::scim::patch::{self, Edit, Patch};
use crate::scim::schema::{Kind, ResourceType};
use crate::scim::validate::{self, Attributes, Draft};
use crate::scim::version::{Tags, check_if_match};
use crate::scim::{ScimType, render};
use crate::store::resources::{self, New, Stored};
use crate::store::{Snapshot, Tx, configurations, members};

/// An accepted write.
#[derive(Debug)]
pub struct Done {
    /// The resource as it is now.
    pub shown: Shown,
    /// What was tolerated or left out on the way.
    pub notes: Notes,
}

/// How a configuration reads requests, in the words of the protocol core.
pub fn rules(scope: &Scope) -> Rules {
    Rules {
        strict: scope.switches.input == Input::Strict,
        create_on_missing_target: scope.switches.create_on_missing_target,
        keep_passwords: scope.switches.passwords == Passwords::Verify,
    }
}

/// The resource with that id; members are read only where there are at most `members_max`.
///
/// # Errors
/// 404 where the configuration has no such resource of this type.
pub fn read(at: &Snapshot<'_>, scope: &Scope, of: &ResourceType, id: &str, members_max: i64) -> Result<Shown> {
    let stored = find(at, scope, of, id)?;
    Shown::of(at, stored, of, members_max)
}

fn find(at: &Snapshot<'_>, scope: &Scope, of: &ResourceType, id: &str) -> Result<Stored> {
    resources::by_id(at, collection(scope, of), id)?.ok_or_else(|| scim::Error::not_found().into())
}

/// A resource about to be made: what can be worked out before the transaction.
#[derive(Debug)]
pub struct Prepared {
    draft: Draft,
    keys: Keys,
    body: String,
}

impl Prepared {
    /// Works out the keys and the text of a draft.
    pub fn new(draft: Draft, of: &ResourceType) -> Self {
        Self { keys: index::keys(&draft.attributes, of), body: render::body(&draft.attributes, of), draft }
    }
}

/// Makes a resource with a new id.
///
/// # Errors
/// 409 uniqueness where its name is taken, 400 invalidValue for members that are not there.
pub fn create(
    tx: &Tx<'_>,
    scope: &Scope,
    of: &ResourceType,
    id: &str,
    prepared: &Prepared,
    members_max: i64,
) -> Result<Done> {
    let Prepared { draft, keys, body } = prepared;
    let mut notes = draft.notes.clone();
    let joining = resolve_replacement(tx, scope, id, draft.members.as_ref(), &mut notes)?;
    let new = New { id, keys, unique_name: unique_name(tx, scope, of, keys)?, body };
    let flow = Flow::of(tx, scope)?;
    let mut stored = match resources::insert(tx, collection(scope, of), &new) {
        Err(refused) if scope.switches.reactivate_on_conflict => {
            return reactivate(tx, scope, of, prepared, refused, members_max);
        }
        inserted => inserted?,
    };
    passwords::apply(tx, scope, &stored, draft.password.as_ref())?;
    flow.made(&of.name, &stored)?;
    events::created(&flow, &of.name, id, body)?;
    let mut net = Net::default();
    if let Some(edit) = joining {
        memberships::apply(tx, &mut stored, edit, &mut net)?;
    }
    if !net.is_nothing() {
        resources::set_member_count(tx, &stored)?;
        net.tell(&flow, &of.name, id)?;
    }
    Ok(Done { shown: Shown::of(tx, stored, of, members_max)?, notes })
}

/// A create that hit the name of an inactive resource takes that one up again, where the configuration wants it.
fn reactivate(
    tx: &Tx<'_>,
    scope: &Scope,
    of: &ResourceType,
    prepared: &Prepared,
    refused: Error,
    members_max: i64,
) -> Result<Done> {
    let Prepared { draft, keys, .. } = prepared;
    let is_conflict = matches!(&refused, Error::Scim(error) if error.scim_type == Some(ScimType::Uniqueness));
    let (true, Some(name)) = (is_conflict, &keys.user_name) else { return Err(refused) };
    let Some(stored) = resources::by_user_name(tx, collection(scope, of), name)? else { return Err(refused) };
    let before = parsed(&stored)?;
    if before.get("active") != Some(&Value::Bool(false)) {
        return Err(refused);
    }
    let mut notes = draft.notes.clone();
    notes.add("inactive resource of that name activated");
    let password = draft.password.as_ref();
    let change = Change { before, after: draft.attributes.clone(), members: Vec::new(), password };
    finish(tx, scope, of, stored, change, notes, members_max)
}

/// Replaces a resource (RFC 7644 section 3.5.1): what the body leaves out is cleared, but for `active`,
/// so that a thin template neither blocks nor revives anybody.
///
/// # Errors
/// 404, 412 where If-Match names another version, and as for [`create`].
pub fn replace(
    tx: &Tx<'_>,
    scope: &Scope,
    of: &ResourceType,
    id: &str,
    if_match: Option<&Tags>,
    draft: &Draft,
    members_max: i64,
) -> Result<Done> {
    let stored = find_current(tx, scope, of, id, if_match)?;
    let mut notes = draft.notes.clone();
    let members = resolve_replacement(tx, scope, id, Some(draft.members.as_ref().unwrap_or(&Vec::new())), &mut notes)?;
    let before = parsed(&stored)?;
    let mut after = draft.attributes.clone();
    if let (false, Some(active)) = (draft.names("active"), before.get("active")) {
        after.insert("active".to_owned(), active.clone());
        after = validate::in_order(after, of);
    }
    let members = members.filter(|_| of.members().is_some());
    let members = members.into_iter().collect();
    let change = Change { before, after, members, password: draft.password.as_ref() };
    finish(tx, scope, of, stored, change, notes, members_max)
}

/// Applies a PATCH (RFC 7644 section 3.5.2): all of it or nothing.
///
/// # Errors
/// 404, 412, and whatever an operation breaks; the detail names the operation.
pub fn patch(
    tx: &Tx<'_>,
    scope: &Scope,
    of: &ResourceType,
    id: &str,
    if_match: Option<&Tags>,
    patch: &Patch,
    members_max: i64,
) -> Result<Done> {
    let stored = find_current(tx, scope, of, id, if_match)?;
    let mut notes = patch.notes.clone();
    let mut members = Vec::new();
    for edit in &patch.edits {
        if let Edit::Members(operation, edit) = edit {
            let resolved = memberships::resolve(tx, scope, id, edit, &mut notes);
            members.push(resolved.map_err(|error| in_operation(error, *operation))?);
        }
    }
    let touches_text = patch.password.is_some() || patch.edits.iter().any(|edit| matches!(edit, Edit::Attribute(_)));
    if !touches_text {
        return finish_members(tx, scope, of, stored, members, notes, members_max);
    }
    let before = parsed(&stored)?;
    let mut after = before.clone();
    for edit in &patch.edits {
        if let Edit::Attribute(edit) = edit {
            patch::apply(edit, &mut after, of, rules(scope))?;
        }
    }
    validate::check_required(&after, of)?;
    let after = validate::in_order(after, of);
    let change = Change { before, after, members, password: patch.password.as_ref() };
    finish(tx, scope, of, stored, change, notes, members_max)
}

fn in_operation(error: Error, operation: usize) -> Error {
    match error {
        Error::Scim(error) => error.within(&patch::label(operation)).into(),
        other => other,
    }
}

/// Removes a resource from everywhere: its memberships, and as anybody's manager (RFC 7644 section 3.6).
/// What pointed to it changes its version.
///
/// # Errors
/// 404, 412 where If-Match names another version.
pub fn delete(tx: &Tx<'_>, scope: &Scope, of: &ResourceType, id: &str, if_match: Option<&Tags>) -> Result<()> {
    let stored = find_current(tx, scope, of, id, if_match)?;
    let keys = index::keys(&parsed(&stored)?, of);
    let flow = Flow::of(tx, scope)?;
    flow.before_removing(&stored)?;
    leave_groups(tx, &flow, of, &stored)?;
    if stored.member_count > 0 {
        members::clear(tx, stored.key)?;
    }
    forget_references(tx, scope, &stored)?;
    resources::delete(tx, collection(scope, of), &stored, &keys)?;
    events::deleted(&flow, &of.name, id, &stored.body)
}

fn leave_groups(tx: &Tx<'_>, flow: &Flow<'_>, of: &ResourceType, leaver: &Stored) -> Result<()> {
    let groups = members::direct_groups_of(tx, leaver)?;
    if groups.is_empty() {
        return Ok(());
    }
    members::leave_all(tx, leaver)?;
    let left = [(leaver.id.clone(), of.name.clone().into_owned())];
    for group in groups {
        events::members_changed(flow, &group.resource_type, &group.id, Happening::MemberRemoved, &left)?;
    }
    Ok(())
}

/// Clears single references to a resource that goes: `manager` of the enterprise extension.
fn forget_references(tx: &Tx<'_>, scope: &Scope, gone: &Stored) -> Result<()> {
    for of in scope.types.iter() {
        for extension in &of.extensions {
            let references = extension.schema.attributes.iter().filter(|attribute| {
                let refers =
                    attribute.sub("$ref").is_some() && attribute.sub("value").is_some_and(|value| value.indexed);
                refers && attribute.kind == Kind::Complex && !attribute.multi_valued
            });
            for attribute in references {
                let path = format!("{}:{}.value", extension.schema.id, attribute.name);
                for stored in resources::with_value(tx, collection(scope, of), &path, &gone.id)? {
                    if stored.key != gone.key {
                        forget(tx, scope, of, stored, &extension.schema.id, &attribute.name)?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn forget(tx: &Tx<'_>, scope: &Scope, of: &ResourceType, stored: Stored, extension: &str, name: &str) -> Result<()> {
    let before = parsed(&stored)?;
    let mut after = before.clone();
    if let Some(Value::Object(parts)) = after.get_mut(extension) {
        parts.shift_remove(name);
        if parts.is_empty() {
            after.shift_remove(extension);
        }
    }
    finish(tx, scope, of, stored, Change::of_text(before, after), Notes::default(), -1).map(drop)
}

/// Takes the values of an extension off a resource, because the extension goes.
pub(super) fn strip_extension(tx: &Tx<'_>, scope: &Scope, of: &ResourceType, stored: Stored, urn: &str) -> Result<()> {
    let before = parsed(&stored)?;
    let mut after = before.clone();
    after.shift_remove(urn);
    finish(tx, scope, of, stored, Change::of_text(before, after), Notes::default(), -1).map(drop)
}

fn find_current(tx: &Tx<'_>, scope: &Scope, of: &ResourceType, id: &str, if_match: Option<&Tags>) -> Result<Stored> {
    let stored = find(tx, scope, of, id)?;
    if if_match.is_some() {
        let shown = Shown::of(tx, stored, of, -1)?;
        check_if_match(if_match, &shown.tag())?;
        return Ok(shown.stored);
    }
    Ok(stored)
}

/// What a write does to a resource, checked.
struct Change<'w> {
    before: Attributes,
    after: Attributes,
    members: Vec<Resolved>,
    password: Option<&'w Password>,
}

impl Change<'_> {
    fn of_text(before: Attributes, after: Attributes) -> Self {
        Self { before, after, members: Vec::new(), password: None }
    }
}

/// Writes a change; where there is none, nothing moves and nothing is told.
fn finish(
    tx: &Tx<'_>,
    scope: &Scope,
    of: &ResourceType,
    mut stored: Stored,
    change: Change<'_>,
    notes: Notes,
    members_max: i64,
) -> Result<Done> {
    let Change { before, after, members, password } = change;
    let sets_password = passwords::changes(tx, &stored, password)?;
    if before == after && !sets_password {
        return finish_members(tx, scope, of, stored, members, notes, members_max);
    }
    let (old_keys, keys) = (index::keys(&before, of), index::keys(&after, of));
    let body = render::body(&after, of);
    let id = stored.id.clone();
    let flow = Flow::of(tx, scope)?;
    let image = flow.is_holding().then(|| stored.clone());
    let new = New { id: &id, keys: &keys, unique_name: unique_name(tx, scope, of, &keys)?, body: &body };
    resources::update(tx, collection(scope, of), &mut stored, &old_keys, &new)?;
    if let Some(image) = image {
        flow.changed(&of.name, &image, &old_keys)?;
    }
    if old_keys.label != keys.label {
        // Groups show this name for their member, so what they answer has changed (RFC 7644 section 3.14).
        flow.before_touching_groups_of(&stored)?;
        members::relabelled(tx, &stored)?;
    }
    passwords::apply(tx, scope, &stored, password)?;
    events::updated(&flow, &of.name, &id, (&before, &after), sets_password)?;
    let net = apply_members(tx, &mut stored, members)?;
    if !net.is_nothing() {
        resources::set_member_count(tx, &stored)?;
        net.tell(&flow, &of.name, &id)?;
    }
    Ok(Done { shown: Shown::of(tx, stored, of, members_max)?, notes })
}

/// The rest of a write that leaves the text alone: adding one member to a group of any size costs the same.
fn finish_members(
    tx: &Tx<'_>,
    scope: &Scope,
    of: &ResourceType,
    mut stored: Stored,
    members: Vec<Resolved>,
    notes: Notes,
    members_max: i64,
) -> Result<Done> {
    let flow = if members.is_empty() { None } else { Some(Flow::of(tx, scope)?) };
    let net = apply_members(tx, &mut stored, members)?;
    if let (Some(flow), false) = (flow, net.is_nothing()) {
        flow.before_touching(&stored)?;
        resources::touch(tx, &mut stored)?;
        net.tell(&flow, &of.name, &stored.id)?;
    }
    Ok(Done { shown: Shown::of(tx, stored, of, members_max)?, notes })
}

fn apply_members(tx: &Tx<'_>, stored: &mut Stored, members: Vec<Resolved>) -> Result<Net> {
    let mut net = Net::default();
    for edit in members {
        memberships::apply(tx, stored, edit, &mut net)?;
    }
    Ok(net)
}

fn resolve_replacement(
    at: &Snapshot<'_>,
    scope: &Scope,
    id: &str,
    members: Option<&Vec<scim::members::MemberRef>>,
    notes: &mut Notes,
) -> Result<Option<Resolved>> {
    let Some(members) = members else { return Ok(None) };
    memberships::resolve(at, scope, id, &MemberEdit::Replace(members.clone()), notes).map(Some)
}

/// The name that must be unique beside `userName`: a group's, where the configuration says so. It is asked in the
/// transaction: the switch may have been moved since the request began.
fn unique_name<'k>(tx: &Tx<'_>, scope: &Scope, of: &ResourceType, keys: &'k Keys) -> Result<Option<&'k str>> {
    let applies = of.members().is_some() && configurations::switches(tx, scope.configuration)?.unique_group_names;
    Ok(keys.display_name.as_deref().filter(|_| applies))
}

fn parsed(stored: &Stored) -> Result<Attributes> {
    render::attributes(&stored.body)
        .map_err(|problem| Error::Database(format!("stored text of {}: {problem}", stored.id)))
}
