//! Events of resources: which events a change appends, and the payload of each.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::model::event::EventAction;
use crate::provisioning::publication::Publication;
use crate::scim::validate::Attributes;

/// Maximum number of members in one event. A larger change appends several events.
const MEMBERS_PER_EVENT: usize = 1_000;

/// Appends the event of a created resource. `body` is its stored text.
pub(super) fn append_created(publication: &Publication<'_>, resource_type: &str, id: &str, body: &str) -> Result<()> {
    publication.append_event(resource_type, EventAction::Created, id, &format!("{{\"after\":{body}}}"))
}

/// Appends the event of a deleted resource. `body` is its last stored text.
pub(super) fn append_deleted(publication: &Publication<'_>, resource_type: &str, id: &str, body: &str) -> Result<()> {
    publication.append_event(resource_type, EventAction::Deleted, id, &format!("{{\"before\":{body}}}"))
}

/// Appends the events of changed attributes. A change of `active` is an event of its own, in addition to the event of
/// the other changes. Without a difference, no event is appended. A password change appears only as the path
/// `password`, never with a value.
pub(super) fn append_updated(
    publication: &Publication<'_>,
    resource_type: &str,
    id: &str,
    (before, after): (&Attributes, &Attributes),
    sets_password: bool,
) -> Result<()> {
    let is_active = |attributes: &Attributes| attributes.get("active") == Some(&Value::Bool(true));
    let switched = match (is_active(before), is_active(after)) {
        (true, false) => Some(EventAction::Deactivated),
        (false, true) => Some(EventAction::Reactivated),
        _ => None,
    };
    let mut change = AttributeDiff::between(before, after);
    if sets_password {
        change.paths.insert("password".to_owned());
    }
    let has_other =
        if switched.is_some() { change.paths.iter().any(|path| path != "active") } else { !change.paths.is_empty() };
    if has_other {
        publication.append_event(resource_type, EventAction::Updated, id, &change.payload())?;
    }
    if let Some(action) = switched {
        publication.append_event(resource_type, action, id, &change.only("active").payload())?;
    }
    Ok(())
}

/// Appends the events of members that joined or left a group, each with id and type.
pub(super) fn append_members_changed(
    publication: &Publication<'_>,
    resource_type: &str,
    id: &str,
    action: EventAction,
    members: &[(String, String)],
) -> Result<()> {
    for chunk in members.chunks(MEMBERS_PER_EVENT) {
        let members: Vec<Value> = chunk.iter().map(|(id, kind)| json!({"value": id, "type": kind})).collect();
        publication.append_event(resource_type, action, id, &json!({"members": members}).to_string())?;
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
    fn between(before: &Attributes, after: &Attributes) -> Self {
        let mut change = Self::default();
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
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
            self.before.insert(path.clone(), old.clone());
        }
        if let Some(new) = new {
            self.after.insert(path.clone(), new.clone());
        }
        self.paths.insert(path);
    }

    fn only(&self, path: &str) -> Self {
        let mut change = Self::default();
        change.record(path.to_owned(), self.before.get(path), self.after.get(path));
        change
    }

    fn payload(&self) -> String {
        json!({"changed": self.paths, "before": self.before, "after": self.after}).to_string()
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
        let change = AttributeDiff::between(before.as_object().unwrap(), after.as_object().unwrap());
        let department = format!("{urn}:department");
        assert_eq!(
            serde_json::from_str::<Value>(&change.payload()).unwrap(),
            json!({
                "changed": ["nickName", "title", department],
                "before": {"title": "x", department.clone(): "D"},
                "after": {"nickName": "n", department: "E"},
            })
        );
    }
}
