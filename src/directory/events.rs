//! Events of resources: which facts a change makes, and what each says.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::Scope;
use crate::error::Result;
use crate::model::event::{Happening, Kind};
use crate::scim::schema::ResourceType;
use crate::scim::validate::Attributes;
use crate::store::Tx;
use crate::store::events::append;

/// Most members that one event names; a larger change makes several.
const MEMBERS_PER_EVENT: usize = 1_000;

fn record(tx: &Tx<'_>, scope: &Scope, of: &ResourceType, happening: Happening, id: &str, payload: &str) -> Result<()> {
    append(tx, &scope.account, scope.configuration, Kind::Resource(&of.name, happening), Some(id), payload).map(drop)
}

/// A resource was made; `body` is its stored text.
pub(super) fn created(tx: &Tx<'_>, scope: &Scope, of: &ResourceType, id: &str, body: &str) -> Result<()> {
    record(tx, scope, of, Happening::Created, id, &format!("{{\"after\":{body}}}"))
}

/// A resource is gone; `body` is what its text was.
pub(super) fn deleted(tx: &Tx<'_>, scope: &Scope, of: &ResourceType, id: &str, body: &str) -> Result<()> {
    record(tx, scope, of, Happening::Deleted, id, &format!("{{\"before\":{body}}}"))
}

/// Attributes changed, from the first to the second. Switching `active` is a fact of its own, told beside the other
/// changes. A password is named where it was set or removed, and never shown.
pub(super) fn updated(
    tx: &Tx<'_>,
    scope: &Scope,
    of: &ResourceType,
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
    if switched.is_none() || change.paths.iter().any(|path| path != "active") {
        record(tx, scope, of, Happening::Updated, id, &change.payload())?;
    }
    if let Some(happening) = switched {
        record(tx, scope, of, happening, id, &change.only("active").payload())?;
    }
    Ok(())
}

/// Members joined or left a group.
pub(super) fn members_changed(
    tx: &Tx<'_>,
    scope: &Scope,
    of: &ResourceType,
    id: &str,
    happening: Happening,
    members: &[(String, String)],
) -> Result<()> {
    for chunk in members.chunks(MEMBERS_PER_EVENT) {
        let members: Vec<Value> = chunk.iter().map(|(id, kind)| json!({"value": id, "type": kind})).collect();
        record(tx, scope, of, happening, id, &json!({"members": members}).to_string())?;
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
