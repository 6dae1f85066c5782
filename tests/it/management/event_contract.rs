//! The contract of events: versions, the shape of the data, and the examples in the documentation.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::directory::all;
use super::events::Consumer;
use crate::app::{App, Client};
use crate::caller::{CONFIGURATIONS, Caller};
use crate::sample::{ENTERPRISE, USER, group, operation, operations, removal, user, user_with};

const DOCUMENT: &str = "docs/events.md";

fn kind(event: &Value) -> &str {
    event["kind"].as_str().unwrap()
}

fn sync(operator: &Caller, client: &Client, sync: bool) {
    let body = json!({"syncToUserManagement": sync});
    operator.patch(&format!("{CONFIGURATIONS}/{}", client.id), &body).answered(204);
}

#[test]
fn an_event_has_the_version_and_the_time_of_the_resource_as_the_lists_have_them() {
    let operator = App::shared().operator();
    let client = operator.configuration("versions", "other");
    let account = operator.for_account("versions");
    let mut consumer = Consumer::from_now(&account);
    let check = |events: &[Value], list: &str, id: &str| {
        let listed = account.get(&format!("/directory/resources/v1/{list}/{id}")).answered(200).json;
        for event in events {
            assert_eq!((&event["resourceId"], &event["version"]), (&json!(id), &listed["version"]), "{event}");
            assert_eq!(event["lastModified"], listed["lastModified"], "{event}");
            assert!(event["data"].get("version").is_none() && event["data"].get("lastModified").is_none());
        }
        assert!(!events.is_empty());
    };
    let ada = client.created("/Users", &user_with("ada", &json!({"active": true})));
    check(&consumer.rest(), "users", &ada);
    let both =
        json!([{"op": "replace", "path": "title", "value": "T"}, {"op": "replace", "path": "active", "value": false}]);
    client.patch(&format!("/Users/{ada}"), &operations(&both)).answered(200);
    let events = consumer.rest();
    check(&events, "users", &ada);
    // `active` is in one event only.
    assert_eq!(events.iter().map(kind).collect::<Vec<_>>(), ["user.updated", "user.deactivated"]);
    assert_eq!(events[0]["data"], json!({"changed": ["title"], "before": {}, "after": {"title": "T"}}));
    let active = json!({"changed": ["active"], "before": {"active": true}, "after": {"active": false}});
    assert_eq!(events[1]["data"], active);
    let team = client.created("/Groups", &group("Team", &[&ada]));
    check(&consumer.rest(), "groups", &team);
    client.patch(&format!("/Groups/{team}"), &removal("members")).answered(200);
    check(&consumer.rest(), "groups", &team);
    client.patch(&format!("/Groups/{team}"), &operation("add", "members", &json!([{"value": ada}]))).answered(200);
    consumer.rest();
    let last = account.get(&format!("/directory/resources/v1/users/{ada}")).answered(200).json;
    client.delete(&format!("/Users/{ada}")).answered(204);
    let events = consumer.rest();
    check(&events[..1], "groups", &team);
    assert_eq!((kind(&events[1]), &events[1]["version"]), ("user.deleted", &last["version"]));
    assert_eq!(events[1]["lastModified"], last["lastModified"]);
}

#[test]
fn values_of_extensions_are_nested_and_schemas_are_among_the_changes() {
    let operator = App::shared().operator();
    let client = operator.configuration("shapes", "other");
    let mut consumer = Consumer::from_now(&operator.for_account("shapes"));
    let id = client.created("/Users", &user("ada"));
    let department = format!("{ENTERPRISE}:department");
    client.patch(&format!("/Users/{id}"), &operation("add", &department, &json!("D"))).answered(200);
    client.patch(&format!("/Users/{id}"), &operation("replace", &department, &json!("E"))).answered(200);
    client.patch(&format!("/Users/{id}"), &removal(&department)).answered(200);
    let (one, two) = (json!([USER]), json!([USER, ENTERPRISE]));
    let changes: Vec<Value> = consumer.rest()[1..].iter().map(|event| event["data"].clone()).collect();
    let expected = [
        json!({"changed": ["schemas", department], "before": {"schemas": one},
            "after": {"schemas": two, ENTERPRISE: {"department": "D"}}}),
        json!({"changed": [department], "before": {ENTERPRISE: {"department": "D"}},
            "after": {ENTERPRISE: {"department": "E"}}}),
        json!({"changed": ["schemas", department], "before": {"schemas": two, ENTERPRISE: {"department": "E"}},
            "after": {"schemas": one}}),
    ];
    assert_eq!(changes, expected);
    // The catch-up after a pause reports the same.
    sync(&operator, &client, false);
    client.patch(&format!("/Users/{id}"), &operation("add", &department, &json!("D"))).answered(200);
    sync(&operator, &client, true);
    assert_eq!(consumer.rest().last().unwrap()["data"], expected[0]);
}

#[test]
fn a_member_in_an_event_has_its_names() {
    let operator = App::shared().operator();
    let client = operator.configuration("member-names", "other");
    let mut consumer = Consumer::from_now(&operator.for_account("member-names"));
    let more = json!({"displayName": "Ada \"L\"", "externalId": "e-1"});
    let (ada, bob) = (client.created("/Users", &user_with("Ada", &more)), client.created("/Users", &user("bob")));
    let inner = client.created("/Groups", &group("Inner", &[]));
    let member = |id: &str, more: Value| {
        let mut member = json!({"value": id, "type": "User"});
        member.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        member
    };
    let names = json!({"userName": "Ada", "displayName": "Ada \"L\"", "externalId": "e-1"});
    let members = json!([
        member(&ada, names.clone()),
        member(&bob, json!({"userName": "bob"})),
        member(&inner, json!({"type": "Group", "displayName": "Inner"}))
    ]);
    let mut changes = || -> Vec<(String, Value)> {
        let events = consumer.rest().into_iter().filter(|event| kind(event).contains(".member_"));
        events.map(|event| (kind(&event).to_owned(), event["data"]["members"].clone())).collect()
    };
    let team = client.created("/Groups", &group("Team", &[&ada, &bob, &inner]));
    assert_eq!(changes(), [("group.member_added".to_owned(), members.clone())]);
    sync(&operator, &client, false);
    client.patch(&format!("/Groups/{team}"), &removal("members")).answered(200);
    sync(&operator, &client, true);
    assert_eq!(changes(), [("group.member_removed".to_owned(), members)]);
    client.patch(&format!("/Groups/{team}"), &operation("add", "members", &json!([{"value": ada}]))).answered(200);
    changes();
    // A deleted member, directly and in the catch-up.
    client.patch(&format!("/Groups/{team}"), &operation("add", "members", &json!([{"value": bob}]))).answered(200);
    client.delete(&format!("/Users/{bob}")).answered(204);
    let left = changes().pop().unwrap().1;
    assert_eq!(left, json!([member(&bob, json!({"userName": "bob"}))]));
    sync(&operator, &client, false);
    client.delete(&format!("/Users/{ada}")).answered(204);
    sync(&operator, &client, true);
    assert_eq!(changes(), [("group.member_removed".to_owned(), json!([member(&ada, names)]))]);
}

/// One event of each kind, the last of each.
pub(crate) fn cause_each_kind(app: &App, account: &str) -> BTreeMap<String, Value> {
    let operator = app.operator();
    let mut consumer = Consumer::from_now(&operator.for_account(account));
    let held = connect(app, account, "Held");
    let protected = json!({"protectedUsers": ["bob@example.com"]});
    operator.patch(&format!("{CONFIGURATIONS}/{}/settings", held.id), &protected).answered(200);
    let bob = held.created("/Users", &user_with("bob@example.com", &json!({})));
    held.delete(&format!("/Users/{bob}")).answered(204);
    let client = connect(app, account, "Okta");
    let more = json!({
        "externalId": "00u1", "displayName": "Ada Lovelace", "active": true,
        "name": {"givenName": "Ada", "familyName": "Lovelace"},
        "emails": [{"value": "ada@example.com", "type": "work", "primary": true}],
    });
    let ada = client.created("/Users", &user_with("ada@example.com", &more));
    let team = client.created("/Groups", &group("Engineering", &[&ada]));
    let department = format!("{ENTERPRISE}:department");
    let changes =
        json!([{"op": "add", "path": "title", "value": "Lead"}, {"op": "add", "path": department, "value": "R&D"}]);
    client.patch(&format!("/Users/{ada}"), &operations(&changes)).answered(200);
    for active in [false, true] {
        client.patch(&format!("/Users/{ada}"), &operation("replace", "active", &json!(active))).answered(200);
    }
    client.patch(&format!("/Groups/{team}"), &operation("replace", "displayName", &json!("Research"))).answered(200);
    client.delete(&format!("/Users/{ada}")).answered(204);
    client.delete(&format!("/Groups/{team}")).answered(204);
    for id in [&team, &ada] {
        let path = format!("{CONFIGURATIONS}/{}/deleted/{id}/restore", client.id);
        operator.post(&path, &json!({})).answered(200);
    }
    client.delete(&format!("/Users/{ada}")).answered(204);
    client.delete(&format!("/Groups/{team}")).answered(204);
    operator.post(&format!("{CONFIGURATIONS}/{}/test-event", client.id), &json!({})).answered(201);
    sync(&operator, &client, false);
    operator.delete(&format!("{CONFIGURATIONS}/{}", client.id)).answered(204);
    consumer.rest().into_iter().map(|event| (kind(&event).to_owned(), event)).collect()
}

fn connect(app: &App, account: &str, name: &str) -> Client {
    let body = json!({"source": "okta", "connectionName": name});
    let made = app.operator().for_account(account).post(CONFIGURATIONS, &body).answered(201);
    let (id, token) = (made.text("id"), made.text("token"));
    let base = format!("/directory/resources/scim/v2.0/{id}");
    Client { address: app.address, url: String::new(), id, token, base }
}

/// Replaces ids, times and numbers of events, which differ from run to run.
pub(crate) fn normalize(value: &mut Value) {
    match value {
        Value::String(text) if text.len() == 36 && text.matches('-').count() == 4 => "an id".clone_into(text),
        Value::String(text) if text.len() == 24 && text.ends_with('Z') && text.contains('T') => {
            "a time".clone_into(text);
        }
        Value::Array(items) => items.iter_mut().for_each(normalize),
        Value::Object(members) => {
            if let Some(seq) = members.get_mut("seq") {
                *seq = json!(0);
            }
            members.values_mut().for_each(normalize);
        }
        _ => {}
    }
}

#[test]
fn the_examples_of_the_documentation_are_real_events() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    let document = std::fs::read_to_string(path).unwrap();
    let mut examples = BTreeMap::new();
    for block in document.split("```json\n").skip(1) {
        let text = block.split("```").next().unwrap();
        let example: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        if let Some(kind) = example["kind"].as_str().map(str::to_owned) {
            assert!(examples.insert(kind.clone(), example).is_none(), "two examples of {kind}");
        }
    }
    let real = cause_each_kind(App::shared(), "acme-of-examples");
    for (kind, mut event) in real.clone() {
        let original = serde_json::to_string_pretty(&event).unwrap();
        let mut example = examples.remove(&kind).unwrap_or_default();
        assert_eq!(example["accountId"], "acme", "{kind} is not in {DOCUMENT}: {original}");
        example["accountId"] = event["accountId"].clone();
        normalize(&mut event);
        normalize(&mut example);
        assert_eq!(example, event, "{kind} in {DOCUMENT}; the real one is {original}");
    }
    assert_eq!(real.len(), 17, "{:?}", real.keys());
    assert_eq!(examples, BTreeMap::new(), "kinds that do not exist");
    assert_eq!(all(&App::shared().operator(), "/directory/resources/v1/groups", "&account=acme-of-examples").len(), 0);
}

/// Whether a value conforms to a schema of the `OpenAPI` document, as far as the schemas of events need it.
pub(crate) fn conforms(document: &Value, schema: &Value, value: &Value) -> bool {
    if let Some(reference) = schema["$ref"].as_str() {
        return conforms(document, document.pointer(reference.strip_prefix('#').unwrap()).unwrap(), value);
    }
    let matching =
        |list: &str| schema[list].as_array().map(|all| all.iter().filter(|one| conforms(document, one, value)).count());
    if matching("oneOf").is_some_and(|count| count != 1) || matching("anyOf") == Some(0) {
        return false;
    }
    let is_type = |name: &Value| match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("type {other}"),
    };
    let has_type = match &schema["type"] {
        Value::Null => true,
        Value::Array(names) => names.iter().any(is_type),
        name => is_type(name),
    };
    let in_enum = schema["enum"].as_array().is_none_or(|values| values.contains(value))
        && schema.get("const").is_none_or(|only| only == value);
    let has_items = value.as_array().is_none_or(|items| {
        schema.get("items").is_none_or(|schema| items.iter().all(|item| conforms(document, schema, item)))
    });
    let has_members = value.as_object().is_none_or(|members| {
        let required = schema["required"].as_array().into_iter().flatten();
        let known = |name: &str| schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
        let is_right = |(name, member): (&String, &Value)| match known(name) {
            None | Some(Value::Bool(true)) => true,
            Some(Value::Bool(false)) => false,
            Some(schema) => conforms(document, schema, member),
        };
        required.into_iter().all(|name| members.contains_key(name.as_str().unwrap()))
            && members.iter().all(is_right)
            && schema["minProperties"].as_u64().is_none_or(|least| members.len() as u64 >= least)
    });
    has_type && in_enum && has_items && has_members
}

#[test]
fn every_event_conforms_to_exactly_one_schema() {
    let app = App::shared();
    let operator = app.operator();
    let document = app.anonymous().get("/openapi.json").answered(200).json;
    let mut events: Vec<Value> = cause_each_kind(app, "conforming").into_values().collect();
    let client = operator.configuration("conforming", "other");
    let mut consumer = Consumer::from_now(&operator.for_account("conforming"));
    let own = format!("{CONFIGURATIONS}/{}", client.id);
    operator.post(&format!("{own}/tokens"), &json!({"label": "second"})).answered(201);
    let expiring = json!({"label": "third", "expiresAt": "2100-01-01T00:00:00Z", "revokeOldAfter": 3_600});
    let token = operator.post(&format!("{own}/tokens"), &expiring).answered(201).text("id");
    operator.patch(&format!("{own}/tokens/{token}"), &json!({"label": "renamed"})).answered(204);
    operator.delete(&format!("{own}/tokens/{token}")).answered(204);
    let changes = json!({"connectionName": "New", "provider": "Acme", "switches": {"bulk": false}});
    operator.patch(&format!("{own}/settings"), &changes).answered(200);
    operator.patch(&format!("{own}/settings"), &json!({"provider": null})).answered(200);
    operator.patch(&format!("{own}/settings"), &json!({"preset": "okta"})).answered(200);
    let urn = "urn:example:conforming:1.0:User";
    let schema = json!({"id": urn, "attributes": [{"name": "costCenter"}]});
    operator
        .post(&format!("{own}/schemas"), &json!({"resourceType": "User", "required": false, "schema": schema}))
        .answered(201);
    operator.delete(&format!("{own}/schemas/{urn}")).answered(204);
    sync(&operator, &client, false);
    let updates = consumer.rest();
    assert!(updates.len() >= 9, "{updates:?}");
    let shape = &document["components"]["schemas"]["ConfigurationUpdatedData"];
    for update in &updates {
        let matching = shape["anyOf"].as_array().unwrap().iter();
        let matching = matching.filter(|one| conforms(&document, one, &update["data"])).count();
        assert_eq!(matching, 1, "{update}");
    }
    let renamed = updates.iter().find(|event| event["data"].get("tokenUpdated").is_some()).unwrap();
    assert_eq!(
        renamed["data"],
        json!({"tokenUpdated": token, "label": "renamed", "expiresAt": "2100-01-01T00:00:00.000Z"})
    );
    events.extend(updates);
    for event in &events {
        assert!(conforms(&document, &document["components"]["schemas"]["ProvisioningEvent"], event), "{event}");
        let mut wrong = event.clone();
        wrong["data"] = json!({"unknown": 1});
        if event["resourceId"].is_null() {
            assert!(!conforms(&document, &document["components"]["schemas"]["ProvisioningEvent"], &wrong), "{wrong}");
        }
    }
}
