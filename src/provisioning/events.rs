//! Events of resources: which events a change appends, and the payload of each.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::model::event::{EventAction, EventSubject, insert_at_path};
use crate::provisioning::publication::Publication;
use crate::provisioning::safety_net::mass_removals::is_active;
use crate::scim::render;
use crate::scim::schema::ResourceType;
use crate::scim::validate::Attributes;
use crate::store::Snapshot;
use crate::store::tables::membership_events;
use crate::store::tables::resources::{self, StoredResource};

/// Maximum number of members in one event. A larger change appends several events.
const MEMBERS_PER_EVENT: usize = 1_000;

/// The subject of an event about the current state of a resource.
pub(super) fn describe_subject<'a>(resource_type: &'a str, stored: &'a StoredResource) -> EventSubject<'a> {
    EventSubject { resource_type, id: &stored.id, version: stored.version, last_modified: stored.last_modified }
}

/// Appends the event of a created resource. `body` is its stored text.
pub(super) fn append_created(publication: &Publication<'_>, subject: &EventSubject<'_>, body: &str) -> Result<()> {
    publication.append_event(EventAction::Created, subject, &format!("\"after\":{body}")).map(drop)
}

/// Appends the event of a restored resource. `body` is its stored text.
pub(super) fn append_restored(publication: &Publication<'_>, subject: &EventSubject<'_>, body: &str) -> Result<()> {
    publication.append_event(EventAction::Restored, subject, &format!("\"after\":{body}")).map(drop)
}

/// Appends the event of a deleted resource. `body` is its last stored text.
pub(super) fn append_deleted(publication: &Publication<'_>, subject: &EventSubject<'_>, body: &str) -> Result<()> {
    publication.append_event(EventAction::Deleted, subject, &format!("\"before\":{body}"))?;
    if publication.is_holding() {
        return Ok(());
    }
    membership_events::delete_member(publication.transaction(), subject.id)
}

/// A change of the attributes of a resource.
#[derive(Debug, Clone, Copy)]
pub(super) struct AttributeUpdate<'a> {
    pub(super) before: &'a Attributes,
    pub(super) after: &'a Attributes,
    /// The type of the resource, whose `schemas` follow from its attributes. `None` if the attributes include `schemas`.
    pub(super) derives_schemas_of: Option<&'a ResourceType>,
    /// Whether a password is set. The event contains the path `password`, but no value.
    pub(super) sets_password: bool,
}

/// Appends the events of changed attributes. A change of `active` is an event of its own, after the event of the other
/// changes. Without a difference, no event is appended.
pub(super) fn append_updated(
    publication: &Publication<'_>,
    subject: &EventSubject<'_>,
    change: AttributeUpdate<'_>,
) -> Result<()> {
    let AttributeUpdate { before, after, derives_schemas_of, sets_password } = change;
    let switched = match (is_active(before), is_active(after)) {
        (true, false) => Some(EventAction::Deactivated),
        (false, true) => Some(EventAction::Reactivated),
        _ => None,
    };
    let is_separate = |path: &str| switched.is_some() && path == "active";
    let mut others = AttributeDiff::between(before, after, |path| !is_separate(path));
    if let Some(resource_type) = derives_schemas_of
        && list_extensions(before).ne(list_extensions(after))
    {
        let schemas = |attributes| Value::Array(render::list_schemas(attributes, resource_type));
        others.record("schemas".to_owned(), Some(&schemas(before)), Some(&schemas(after)));
    }
    if sets_password {
        others.paths.insert("password".to_owned());
    }
    if !others.paths.is_empty() {
        publication.append_event(EventAction::Updated, subject, &others.build_members())?;
    }
    if let Some(action) = switched {
        let active = AttributeDiff::between(before, after, is_separate);
        publication.append_event(action, subject, &active.build_members())?;
    }
    Ok(())
}

fn list_extensions(attributes: &Attributes) -> impl Iterator<Item = &String> {
    attributes.keys().filter(|name| name.contains(':')).collect::<BTreeSet<_>>().into_iter()
}

/// A member in an event. The names let a consumer find its own record without a second request.
#[derive(Debug, Clone, Serialize)]
pub(super) struct EventMember {
    pub(super) value: String,
    #[serde(rename = "type")]
    pub(super) resource_type: String,
    #[serde(flatten)]
    pub(super) names: MemberNames,
}

/// The names of a member.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MemberNames {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
}

impl MemberNames {
    /// Reads the names from the stored text of a resource.
    pub(super) fn parse(id: &str, body: &str) -> Result<Self> {
        serde_json::from_str(body).map_err(|problem| Error::undecodable(format_args!("stored text of {id}"), problem))
    }

    /// Returns the names of the resource with this row number, or none if it does not exist any more. A row number can be
    /// used again, so the id must match too.
    pub(super) fn load(at: &Snapshot<'_>, configuration: i64, (key, id): (i64, &str)) -> Result<Self> {
        let stored = resources::find_resource_by_key(at, configuration, key)?.filter(|stored| stored.id == id);
        stored.map_or_else(|| Ok(Self::default()), |stored| Self::parse(id, &stored.body))
    }
}

/// Appends the events of members that joined or left a group.
pub(super) fn append_members_changed(
    publication: &Publication<'_>,
    group: &EventSubject<'_>,
    action: EventAction,
    members: &[EventMember],
) -> Result<()> {
    for chunk in members.chunks(MEMBERS_PER_EVENT) {
        let seq = publication.append_event(action, group, &format!("\"members\":{}", json!(chunk)))?;
        if !publication.is_holding() {
            let ids = chunk.iter().map(|member| member.value.as_str());
            let joined = action == EventAction::MemberAdded;
            membership_events::record_event(publication.transaction(), seq, group.id, ids, joined)?;
        }
    }
    Ok(())
}

/// The difference of two resources, by attribute path.
#[derive(Debug, Clone, Default, PartialEq)]
struct AttributeDiff {
    paths: BTreeSet<String>,
    before: Map<String, Value>,
    after: Map<String, Value>,
}

impl AttributeDiff {
    /// Compares two resources, but only the attributes that `includes` selects.
    fn between(before: &Attributes, after: &Attributes, includes: impl Fn(&str) -> bool) -> Self {
        let mut change = Self::default();
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).filter(|name| includes(name)).collect();
        for name in names {
            let (old, new) = (before.get(name), after.get(name));
            if name.contains(':') {
                let parts = |value: Option<&Value>| value.and_then(Value::as_object).cloned().unwrap_or_default();
                let (old, new) = (parts(old), parts(new));
                let parts: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
                for part in parts {
                    change.record(format!("{name}:{part}"), old.get(part), new.get(part));
                }
            } else {
                change.record(name.clone(), old, new);
            }
        }
        change
    }

    fn record(&mut self, path: String, old: Option<&Value>, new: Option<&Value>) {
        if old == new {
            return;
        }
        if let Some(old) = old {
            insert_at_path(&mut self.before, &path, old.clone());
        }
        if let Some(new) = new {
            insert_at_path(&mut self.after, &path, new.clone());
        }
        self.paths.insert(path);
    }

    /// Returns the members of the payload.
    fn build_members(&self) -> String {
        let json = |values: &Map<String, Value>| json!(values).to_string();
        format!("\"changed\":{},\"before\":{},\"after\":{}", json!(self.paths), json(&self.before), json(&self.after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_has_its_paths_and_both_values() {
        let urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        let before = json!({"userName": "a", "title": "x", urn: {"department": "D", "division": "V"}});
        let after = json!({"userName": "a", "nickName": "n", urn: {"department": "E", "division": "V"}});
        let change = AttributeDiff::between(before.as_object().unwrap(), after.as_object().unwrap(), |_| true);
        let department = format!("{urn}:department");
        assert_eq!(
            serde_json::from_str::<Value>(&format!("{{{}}}", change.build_members())).unwrap(),
            json!({
                "changed": ["nickName", "title", department],
                "before": {"title": "x", urn: {"department": "D"}},
                "after": {"nickName": "n", urn: {"department": "E"}},
            })
        );
    }
}
