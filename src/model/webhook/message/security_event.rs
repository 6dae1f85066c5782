//! Security Event Tokens of SCIM (RFC 9967): the claims for one event.

use serde_json::{Map, Value, json};

use crate::model::event::Event;
use crate::model::webhook::PayloadMode;
use crate::model::webhook::message::parse_data;
use crate::scim::schema::{GROUP_TYPE, USER_TYPE};
use crate::scim::urn::PATCH_OP;

const EVENT_PREFIX: &str = "urn:ietf:params:scim:event:prov:";

/// What the claims of a token depend on besides the event.
#[derive(Debug, Clone, Copy)]
pub struct SecurityEvent<'a> {
    /// Public URL of this server.
    pub issuer: &'a str,
    /// URL of the endpoint, without parts that may be secret.
    pub audience: &'a str,
    /// Id of the request. A retry has the same.
    pub id: &'a str,
    /// Id of the configuration: together with the number of the event, it identifies the change for all receivers.
    pub configuration_id: &'a str,
    /// How much of the event is sent.
    pub payload: PayloadMode,
}

/// Returns the claims of the token for an event, or `None` if the event is not about a resource.
pub(super) fn build_claims(token: SecurityEvent<'_>, event: &Event) -> Option<Value> {
    let id = event.resource_id.as_deref()?;
    let (subject, action) = event.kind.split_once('.')?;
    let endpoint = match subject {
        "user" => &*USER_TYPE.endpoint,
        "group" => &*GROUP_TYPE.endpoint,
        _ => return None,
    };
    let (version, data) = parse_data(event);
    let (name, mut content) = describe_change(action, token.payload, &data)?;
    if let (Some(version), false) = (version, content.is_empty()) {
        content.insert("version".to_owned(), json!(format!("W/\"{version}\"")));
    }
    let mut subject = json!({"format": "scim", "uri": format!("{endpoint}/{id}")});
    let external_id = ["after", "before"].iter().find_map(|side| data[side].get("externalId"));
    if let Some(external_id) = external_id {
        subject["externalId"] = external_id.clone();
    }
    Some(json!({
        "iss": token.issuer,
        "aud": token.audience,
        "iat": event.created_at / 1_000,
        "jti": token.id,
        "txn": format!("{}.{}", token.configuration_id, event.seq),
        "sub_id": subject,
        "events": {format!("{EVENT_PREFIX}{name}"): content},
    }))
}

/// Returns the name of the event and its content.
fn describe_change(action: &str, mode: PayloadMode, data: &Value) -> Option<(&'static str, Map<String, Value>)> {
    let notice = |attributes: Vec<Value>| Map::from_iter([("attributes".to_owned(), Value::Array(attributes))]);
    let full = |data: Value| Map::from_iter([("data".to_owned(), data)]);
    let is_full = mode == PayloadMode::Full && data["redacted"] != true;
    let changed = || data["changed"].as_array().cloned().unwrap_or_default();
    Some(match action {
        // The specification has no event for a resource that exists again.
        "created" | "restored" if is_full => ("create:full", full(data["after"].clone())),
        "created" | "restored" => ("create:notice", notice(list_attributes(&data["after"]))),
        "updated" if is_full => ("patch:full", full(build_patch(list_changes(data)))),
        "updated" => ("patch:notice", notice(changed())),
        "member_added" if is_full => {
            ("patch:full", full(build_patch(vec![json!({"op": "add", "path": "members", "value": data["members"]})])))
        }
        "member_removed" if is_full => ("patch:full", full(build_patch(list_removals(data)))),
        "member_added" | "member_removed" => ("patch:notice", notice(vec![json!("members")])),
        "deactivated" => ("deactivate", Map::new()),
        "reactivated" => ("activate", Map::new()),
        "deleted" => ("delete", Map::new()),
        _ => return None,
    })
}

fn list_attributes(resource: &Value) -> Vec<Value> {
    let names = resource.as_object().into_iter().flatten().map(|(name, _)| name);
    names.filter(|name| *name != "schemas").map(|name| json!(name)).collect()
}

fn build_patch(operations: Vec<Value>) -> Value {
    json!({"schemas": [PATCH_OP], "Operations": operations})
}

/// The operations of a PATCH that makes the same change. A password has no value in events.
fn list_changes(data: &Value) -> Vec<Value> {
    let paths = data["changed"].as_array().into_iter().flatten().filter_map(Value::as_str);
    paths
        .filter(|path| *path != "password")
        .map(|path| match crate::model::event::find_at_path(&data["after"], path) {
            Some(value) => json!({"op": "replace", "path": path, "value": value}),
            None => json!({"op": "remove", "path": path}),
        })
        .collect()
}

fn list_removals(data: &Value) -> Vec<Value> {
    let ids = data["members"].as_array().into_iter().flatten().filter_map(|member| member["value"].as_str());
    ids.map(|id| json!({"op": "remove", "path": format!("members[value eq {}]", json!(id))})).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::webhook::message::tests::event;

    fn build(kind: &str, payload: PayloadMode, data: &Value) -> Value {
        let token = SecurityEvent {
            issuer: "https://scim.example.com",
            audience: "https://hook.example.com/",
            id: "msg_1",
            configuration_id: "cfg",
            payload,
        };
        build_claims(token, &event(5, kind, data)).unwrap_or_default()
    }

    #[test]
    fn the_subject_is_relative_and_the_change_has_one_transaction_for_all_receivers() {
        let claims = build("user.created", PayloadMode::Full, &json!({"after": {"userName": "a", "externalId": "e"}}));
        assert_eq!(claims["sub_id"], json!({"format": "scim", "uri": "/Users/res", "externalId": "e"}));
        assert_eq!((&claims["txn"], &claims["jti"], claims.get("sub")), (&json!("cfg.5"), &json!("msg_1"), None));
        let content = &claims["events"]["urn:ietf:params:scim:event:prov:create:full"];
        assert_eq!(content["data"]["userName"], "a");
        assert_eq!(content["version"], "W/\"3\"");
    }

    #[test]
    fn a_restored_resource_is_a_created_one() {
        let data = json!({"after": {"userName": "a"}});
        for (payload, name) in [(PayloadMode::Full, "create:full"), (PayloadMode::Thin, "create:notice")] {
            let claims = build("user.restored", payload, &data);
            assert!(claims["events"][format!("{EVENT_PREFIX}{name}")].is_object(), "{claims}");
        }
    }

    #[test]
    fn a_notice_has_names_of_attributes_and_no_data() {
        let claims = build("user.updated", PayloadMode::Thin, &json!({"changed": ["title"], "after": {"title": "x"}}));
        let content = &claims["events"]["urn:ietf:params:scim:event:prov:patch:notice"];
        assert_eq!((&content["attributes"], content.get("data")), (&json!(["title"]), None));
        let redacted = build("user.created", PayloadMode::Full, &json!({"redacted": true}));
        assert_eq!(
            redacted["events"]["urn:ietf:params:scim:event:prov:create:notice"]["attributes"],
            json!([]),
            "{redacted}"
        );
    }

    #[test]
    fn an_update_is_a_patch_and_a_deletion_has_no_content() {
        let data =
            json!({"changed": ["nickName", "password", "title"], "before": {"title": "x"}, "after": {"nickName": "n"}});
        let claims = build("user.updated", PayloadMode::Full, &data);
        let patch = &claims["events"]["urn:ietf:params:scim:event:prov:patch:full"]["data"];
        let operations =
            json!([{"op": "replace", "path": "nickName", "value": "n"}, {"op": "remove", "path": "title"}]);
        assert_eq!(patch["Operations"], operations);
        let removed =
            build("group.member_removed", PayloadMode::Full, &json!({"members": [{"value": "u", "type": "User"}]}));
        let patch = &removed["events"]["urn:ietf:params:scim:event:prov:patch:full"]["data"];
        assert_eq!(patch["Operations"][0]["path"], "members[value eq \"u\"]");
        for (kind, name) in
            [("user.deleted", "delete"), ("user.deactivated", "deactivate"), ("user.reactivated", "activate")]
        {
            let claims = build(kind, PayloadMode::Full, &json!({"before": {}}));
            assert_eq!(claims["events"], json!({format!("{EVENT_PREFIX}{name}"): {}}));
        }
        assert_eq!(build("configuration.created", PayloadMode::Full, &json!({})), Value::Null);
    }
}
