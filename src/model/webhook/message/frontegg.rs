//! Requests with the names of Frontegg: `eventKey`, `eventContext`, and `user`, `group` or `data`.

use serde_json::{Map, Value, json};

use crate::model::event::{Event, parse_resource_type};
use crate::model::webhook::PayloadMode;
use crate::model::webhook::message::parse_data;

/// Returns the body for one event. Changes of memberships are changes of the group. An update has the changed attributes only,
/// and a thin payload has the ids only.
pub(super) fn build_body(event: &Event, payload: PayloadMode) -> String {
    let (subject, action) = event.kind.split_once('.').unwrap_or((&event.kind, ""));
    let data = if payload == PayloadMode::Full { parse_data(event).1 } else { Value::Null };
    let id = event.resource_id.as_deref().unwrap_or_default();
    let key = match action {
        "created" | "restored" => "created",
        "deleted" => "deleted",
        _ => "updated",
    };
    let mut body = Map::new();
    body.insert("eventKey".to_owned(), json!(format!("frontegg.scim.{subject}.{key}")));
    body.insert("eventContext".to_owned(), json!({"tenantId": event.account, "seq": event.seq}));
    let (member, value) = match parse_resource_type(&event.kind).as_str() {
        "User" => ("user", build_user(event, id, &data)),
        "Group" => ("group", build_group(event, id, &data)),
        _ => ("data", data),
    };
    body.insert(member.to_owned(), value);
    Value::Object(body).to_string()
}

/// The attributes that the event has: those after the change, or before a deletion.
fn find_attributes(data: &Value) -> &Value {
    if data["after"].is_object() { &data["after"] } else { &data["before"] }
}

fn build_user(event: &Event, id: &str, data: &Value) -> Value {
    let attributes = find_attributes(data);
    let mut user = Map::new();
    user.insert("userId".to_owned(), json!(id));
    user.insert("tenantId".to_owned(), json!(event.account));
    copy_members(&mut user, attributes, &["externalId", "userName", "active"]);
    if let Some(email) = find_email(attributes) {
        user.insert("email".to_owned(), email.clone());
    }
    Value::Object(user)
}

fn find_email(attributes: &Value) -> Option<&Value> {
    let emails = attributes["emails"].as_array()?;
    let primary = emails.iter().find(|email| email["primary"] == true).or_else(|| emails.first())?;
    primary.get("value")
}

fn build_group(event: &Event, id: &str, data: &Value) -> Value {
    let mut group = Map::new();
    group.insert("groupId".to_owned(), json!(id));
    group.insert("tenantId".to_owned(), json!(event.account));
    copy_members(&mut group, find_attributes(data), &["externalId", "displayName"]);
    if let Some(members) = data["members"].as_array() {
        let member = |one: &Value| json!({"userId": one["value"], "externalId": one.get("externalId")});
        let list = if event.kind.ends_with("member_removed") { "removedMembers" } else { "addedMembers" };
        group.insert(list.to_owned(), Value::Array(members.iter().map(member).collect()));
    }
    Value::Object(group)
}

fn copy_members(target: &mut Map<String, Value>, source: &Value, names: &[&str]) {
    for name in names {
        if let Some(value) = source.get(name) {
            target.insert((*name).to_owned(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::webhook::message::tests::event;

    fn build(kind: &str, data: &Value) -> Value {
        serde_json::from_str(&build_body(&event(1, kind, data), PayloadMode::Full)).unwrap()
    }

    #[test]
    fn a_created_user_has_the_members_of_that_format() {
        let emails = json!([{"value": "b@x"}, {"value": "a@x", "primary": true}]);
        let body = build(
            "user.created",
            &json!({"after": {"userName": "a", "externalId": "e", "active": true, "emails": emails}}),
        );
        assert_eq!(body["eventKey"], "frontegg.scim.user.created");
        assert_eq!(body["eventContext"]["tenantId"], "acme");
        let user = json!({"userId": "res", "tenantId": "acme", "externalId": "e", "userName": "a", "active": true, "email": "a@x"});
        assert_eq!(body["user"], user);
    }

    #[test]
    fn a_thin_payload_has_ids_only() {
        let data = json!({"after": {"userName": "a"}});
        let body: Value =
            serde_json::from_str(&build_body(&event(1, "user.created", &data), PayloadMode::Thin)).unwrap();
        assert_eq!(body["user"], json!({"userId": "res", "tenantId": "acme"}));
    }

    #[test]
    fn changes_of_any_kind_are_updates() {
        for kind in ["user.updated", "user.deactivated", "user.reactivated"] {
            assert_eq!(build(kind, &json!({"after": {}}))["eventKey"], "frontegg.scim.user.updated", "{kind}");
        }
        let members = json!({"members": [{"value": "u", "type": "User", "externalId": "e"}]});
        let added = build("group.member_added", &members);
        assert_eq!(added["eventKey"], "frontegg.scim.group.updated");
        assert_eq!(added["group"]["addedMembers"], json!([{"userId": "u", "externalId": "e"}]));
        assert_eq!(build("group.member_removed", &members)["group"]["removedMembers"][0]["userId"], "u");
        assert_eq!(build("user.restored", &json!({"after": {}}))["eventKey"], "frontegg.scim.user.created");
        assert_eq!(build("user.deleted", &json!({"before": {"userName": "a"}}))["user"]["userName"], "a");
        assert_eq!(build("configuration.created", &json!({"x": 1}))["data"], json!({"x": 1}));
    }
}
