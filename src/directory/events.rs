//! Events of resources: which facts a change makes, and what each says.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::flow::Flow;
use crate::error::Result;
use crate::model::event::Happening;
use crate::scim::validate::Attributes;

/// Most members that one event names; a larger change makes several.
const MEMBERS_PER_EVENT: usize = 1_000;

/// A resource was made; `body` is its stored text.
pub(super) fn created(flow: &Flow<'_>, of: &str, id: &str, body: &str) -> Result<()> {
    flow.tell(of, Happening::Created, id, &format!("{{\"after\":{body}}}"))
}

/// A resource is gone; `body` is what its text was.
pub(super) fn deleted(flow: &Flow<'_>, of: &str, id: &str, body: &str) -> Result<()> {
    flow.tell(of, Happening::Deleted, id, &format!("{{\"before\":{body}}}"))
}

/// Attributes changed, from the first to the second. Switching `active` is a fact of its own, told beside the other
/// changes; where nothing differs, nothing is told. A password is named where it was set or removed, and never shown.
pub(super) fn updated(
    flow: &Flow<'_>,
    of: &str,
    id: &str,
    (before, after): (&Attributes, &Attributes),
    sets_password: bool,
) -> Result<()> {
    let is_active = |attributes: &Attributes| attributes.get("active") == Some(&Value::Bool(true));
    let switched = match (is_active(before), is_active(after)) {
        (true, false) => Some(Happening::Deactivated),
        (false, true) => Some(Happening::Reactivated),
        _ => None,
    };
    let mut change = Change::between(before, after);
    if sets_password {
        change.paths.insert("password".to_owned());
    }
    let is_more =
        if switched.is_some() { change.paths.iter().any(|path| path != "active") } else { !change.paths.is_empty() };
    if is_more {
        flow.tell(of, Happening::Updated, id, &change.payload())?;
    }
    if let Some(happening) = switched {
        flow.tell(of, happening, id, &change.only("active").payload())?;
    }
    Ok(())
}

/// Members joined or left a group; each is told by id and type.
pub(super) fn members_changed(
    flow: &Flow<'_>,
    of: &str,
    id: &str,
    happening: Happening,
    members: &[(String, String)],
) -> Result<()> {
    for chunk in members.chunks(MEMBERS_PER_EVENT) {
        let members: Vec<Value> = chunk.iter().map(|(id, kind)| json!({"value": id, "type": kind})).collect();
        flow.tell(of, happening, id, &json!({"members": members}).to_string())?;
    }
    Ok(())
}

/// The difference of two documents, by attribute path.
#[derive(Debug, Clone, Default, PartialEq)]
struct Change {
    paths: BTreeSet<String>,
    before: Map<String, Value>,
    after: Map<String, Value>,
}

impl Change {
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
                    change.note(format!("{name}:{part}"), old.get(part), new.get(part));
                }
            } else {
                change.note(name.clone(), old, new);
            }
        }
        change
    }

    fn note(&mut self, path: String, old: Option<&Value>, new: Option<&Value>) {
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
        change.note(path.to_owned(), self.before.get(path), self.after.get(path));
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
    fn a_change_names_its_paths_and_both_values() {
        let urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        let before = json!({"userName": "a", "title": "x", urn: {"department": "D", "division": "V"}});
        let after = json!({"userName": "a", "nickName": "n", urn: {"department": "E", "division": "V"}});
        let change = Change::between(before.as_object().unwrap(), after.as_object().unwrap());
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
