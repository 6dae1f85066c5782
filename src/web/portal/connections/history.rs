//! The history of a user or group: its events with the values before and after.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::error::Result;
use crate::model::event::{Event, find_at_path};
use crate::provisioning::resource_details;
use crate::web::portal::connections::attribute_tables::plain_value;
use crate::web::portal::texts;
use crate::web::portal::timestamps::PageTime;

/// One event of the history.
#[derive(Debug, Clone)]
pub(crate) struct HistoryStep {
    pub(crate) seq: i64,
    pub(crate) at: PageTime,
    pub(crate) title: String,
    pub(crate) changes: Vec<HistoryChange>,
    /// Names of the members that joined or left, at most [`MEMBERS_MAX`].
    pub(crate) members: Vec<String>,
    /// Members that are not named.
    pub(crate) more_members: usize,
}

/// Members that a step names.
const MEMBERS_MAX: usize = 6;

/// One attribute that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HistoryChange {
    pub(crate) path: String,
    pub(crate) before: String,
    pub(crate) after: String,
}

impl HistoryStep {
    pub(crate) fn from_event(event: &Event) -> Result<Self> {
        let payload = resource_details::parse_stored_json("an event", &event.payload)?;
        let action = event.kind.split('.').nth(1).unwrap_or_default();
        Ok(Self {
            seq: event.seq,
            at: PageTime::from_millis(event.created_at),
            title: event_title(action, &payload),
            changes: list_attribute_changes(&payload),
            more_members: list_members(&payload).count().saturating_sub(MEMBERS_MAX),
            members: list_members(&payload).take(MEMBERS_MAX).collect(),
        })
    }
}

/// Names of the members of an event, or their ids.
fn list_members(payload: &Value) -> impl Iterator<Item = String> {
    let members = payload.get("members").and_then(Value::as_array).into_iter().flatten();
    let text = |member: &Value, name: &str| member.get(name).and_then(Value::as_str).map(str::to_owned);
    members.filter_map(move |member| text(member, "display").or_else(|| text(member, "value")))
}

fn event_title(action: &str, payload: &Value) -> String {
    let members = payload.get("members").and_then(Value::as_array).map_or(0, Vec::len);
    match action {
        "created" => texts::directory::CREATED.to_owned(),
        "updated" => texts::directory::UPDATED.to_owned(),
        "deactivated" => texts::labels::DEACTIVATED.to_owned(),
        "reactivated" => texts::directory::ACTIVATED.to_owned(),
        "deleted" => texts::directory::DELETED.to_owned(),
        "restored" => texts::directory::RESTORED.to_owned(),
        "member_added" => texts::directory::say_members_added(members),
        "member_removed" => texts::directory::say_members_removed(members),
        other => other.to_owned(),
    }
}

/// The changes of an update. Creation and deletion list none: the record has the values. `schemas` follows from the others.
fn list_attribute_changes(payload: &Value) -> Vec<HistoryChange> {
    let paths = payload.get("changed").and_then(Value::as_array);
    let named = paths.into_iter().flatten().filter_map(Value::as_str);
    named
        .filter(|path| *path != "schemas")
        .flat_map(|path| {
            let value = |side: &str| payload.get(side).and_then(|side| find_at_path(side, path));
            diff_values(path, value("before"), value("after"))
        })
        .collect()
}

/// The differences: the whole value, or the sub-attributes that differ if both values are objects.
fn diff_values(path: &str, before: Option<&Value>, after: Option<&Value>) -> Vec<HistoryChange> {
    let display = |value: Option<&Value>| value.map(plain_value).unwrap_or_default();
    let (Some(Value::Object(old)), Some(Value::Object(new))) = (before, after) else {
        return vec![HistoryChange { path: path.to_owned(), before: display(before), after: display(after) }];
    };
    let parts: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differing = parts.into_iter().filter(|part| old.get(*part) != new.get(*part));
    let change = |part: &String| HistoryChange {
        path: format!("{path}.{part}"),
        before: display(old.get(part)),
        after: display(new.get(part)),
    };
    differing.map(change).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn step(kind: &str, payload: &Value) -> HistoryStep {
        let event = Event {
            seq: 1,
            account: "acme".to_owned(),
            configuration: 1,
            configuration_id: None,
            kind: kind.to_owned(),
            resource_id: None,
            payload: payload.to_string(),
            created_at: 0,
            request_id: None,
        };
        HistoryStep::from_event(&event).unwrap()
    }

    #[test]
    fn a_change_has_both_values() {
        let payload = json!({"changed": ["schemas", "title", "urn:x:a"], "before": {"title": "x", "schemas": []},
            "after": {"title": "y", "urn:x": {"a": true}, "schemas": ["urn:x"]}});
        let flat = json!({"changed": ["title", "urn:x:a"], "before": {"title": "x"}, "after": {"title": "y", "urn:x:a": true}});
        assert_eq!(step("user.updated", &payload).changes, step("user.updated", &flat).changes);
        let step = step("user.updated", &payload);
        let change = |path: &str, before: &str, after: &str| HistoryChange {
            path: path.to_owned(),
            before: before.to_owned(),
            after: after.to_owned(),
        };
        assert_eq!(step.title, "Updated");
        assert_eq!(step.changes, [change("title", "x", "y"), change("urn:x:a", "", "true")]);
    }

    #[test]
    fn only_sub_attributes_that_differ_are_listed() {
        let payload = json!({
            "changed": ["name"],
            "before": {"name": {"givenName": "A", "familyName": "B"}},
            "after": {"name": {"givenName": "A", "familyName": "C", "middleName": "M"}},
        });
        let paths: Vec<String> = step("user.updated", &payload).changes.into_iter().map(|change| change.path).collect();
        assert_eq!(paths, ["name.familyName", "name.middleName"]);
    }

    #[test]
    fn members_are_counted_and_a_redacted_event_lists_no_change() {
        assert_eq!(step("group.member_added", &json!({"members": [{}, {}]})).title, "2 members added");
        let removed = step("group.member_removed", &json!({"members": [{"value": "7", "display": "Ann"}]}));
        assert_eq!((removed.title.as_str(), removed.members), ("1 member removed", vec!["Ann".to_owned()]));
        let gone = step("user.updated", &json!({"redacted": true}));
        assert!(gone.changes.is_empty() && gone.title == "Updated");
    }
}
