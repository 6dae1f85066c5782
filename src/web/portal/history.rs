//! What happened to a user or group, event by event, with what was before and what is after.

use std::collections::BTreeSet;

use serde_json::Value;

use super::attributes::plain;
use super::moments::Moment;
use crate::model::event::Event;

/// One event.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) at: Moment,
    pub(super) what: String,
    pub(super) changes: Vec<Change>,
}

/// One attribute that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) path: String,
    pub(super) before: String,
    pub(super) after: String,
}

impl Step {
    pub(super) fn of(event: &Event) -> Self {
        let payload: Value = serde_json::from_str(&event.payload).unwrap_or_default();
        let word = event.kind.split('.').nth(1).unwrap_or_default();
        Self { at: Moment::of(event.created_at), what: what(word, &payload), changes: changes(&payload) }
    }
}

fn what(word: &str, payload: &Value) -> String {
    let members = payload.get("members").and_then(Value::as_array).map_or(0, Vec::len);
    let members = if members == 1 { "1 member".to_owned() } else { format!("{members} members") };
    match word {
        "created" => "Added".to_owned(),
        "updated" => "Changed".to_owned(),
        "deactivated" => "Switched off".to_owned(),
        "reactivated" => "Switched on".to_owned(),
        "deleted" => "Deleted".to_owned(),
        "member_added" => format!("{members} joined"),
        "member_removed" => format!("{members} left"),
        other => other.to_owned(),
    }
}

/// The attributes that an update names. What was there at the beginning and at the end is shown nowhere: it is the record.
fn changes(payload: &Value) -> Vec<Change> {
    let paths = payload.get("changed").and_then(Value::as_array);
    let named = paths.into_iter().flatten().filter_map(Value::as_str);
    named
        .flat_map(|path| {
            let value = |side: &str| payload.get(side).and_then(|side| side.get(path));
            between(path, value("before"), value("after"))
        })
        .collect()
}

/// What differs: the whole value, or of two objects the parts.
fn between(path: &str, before: Option<&Value>, after: Option<&Value>) -> Vec<Change> {
    let shown = |value: Option<&Value>| value.map(plain).unwrap_or_default();
    let (Some(Value::Object(old)), Some(Value::Object(new))) = (before, after) else {
        return vec![Change { path: path.to_owned(), before: shown(before), after: shown(after) }];
    };
    let parts: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differing = parts.into_iter().filter(|part| old.get(*part) != new.get(*part));
    let change = |part: &String| Change {
        path: format!("{path}.{part}"),
        before: shown(old.get(part)),
        after: shown(new.get(part)),
    };
    differing.map(change).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn step(kind: &str, payload: &Value) -> Step {
        Step::of(&Event {
            seq: 1,
            account: "acme".to_owned(),
            configuration: 1,
            configuration_id: None,
            kind: kind.to_owned(),
            resource_id: None,
            payload: payload.to_string(),
            created_at: 0,
        })
    }

    #[test]
    fn a_change_shows_both_values() {
        let payload = json!({"changed": ["title", "urn:x:a"], "before": {"title": "x"}, "after": {"title": "y", "urn:x:a": true}});
        let step = step("user.updated", &payload);
        let change = |path: &str, before: &str, after: &str| Change {
            path: path.to_owned(),
            before: before.to_owned(),
            after: after.to_owned(),
        };
        assert_eq!(step.what, "Changed");
        assert_eq!(step.changes, [change("title", "x", "y"), change("urn:x:a", "", "true")]);
    }

    #[test]
    fn of_an_attribute_with_parts_those_that_differ_are_shown() {
        let payload = json!({
            "changed": ["name"],
            "before": {"name": {"givenName": "A", "familyName": "B"}},
            "after": {"name": {"givenName": "A", "familyName": "C", "middleName": "M"}},
        });
        let paths: Vec<String> = step("user.updated", &payload).changes.into_iter().map(|change| change.path).collect();
        assert_eq!(paths, ["name.familyName", "name.middleName"]);
    }

    #[test]
    fn members_are_counted_and_what_was_redacted_says_nothing() {
        assert_eq!(step("group.member_added", &json!({"members": [{}, {}]})).what, "2 members joined");
        assert_eq!(step("group.member_removed", &json!({"members": [{}]})).what, "1 member left");
        let gone = step("user.updated", &json!({"redacted": true}));
        assert!(gone.changes.is_empty() && gone.what == "Changed");
    }
}
