//! Values according to RFC 7643 section 2: order, duplicates, absent values, and values that are stored unchanged.

use serde_json::{Value, json};

use crate::app::App;
use crate::sample::{ENTERPRISE, USER, operation, operations, user, user_with};

#[test]
fn the_order_of_attributes_has_no_effect() {
    //
    let client = App::shared().configuration("other");
    let document = json!({
        ENTERPRISE: {"manager": {"value": "m"}, "department": "d"}, "emails": [{"type": "work", "primary": true, "value": "a@x"}],
        "name": {"givenName": "A", "familyName": "B"}, "userName": "x", "active": true, "schemas": [ENTERPRISE, USER]
    });
    let mut turned = serde_json::Map::new();
    for (name, value) in document.as_object().unwrap().iter().rev() {
        let value = match value {
            Value::Object(parts) => parts.iter().rev().map(|(name, part)| (name.clone(), part.clone())).collect(),
            Value::Array(items) if name == "schemas" => items.iter().rev().cloned().collect(),
            other => other.clone(),
        };
        turned.insert(name.clone(), value);
    }
    let made = client.post("/Users", &document).answered(201);
    let path = format!("/Users/{}", made.id());
    let again = client.put(&path, &Value::Object(turned)).answered(200);
    assert_eq!(again.answer.body, client.get(&path).answered(200).answer.body);
    assert_eq!((again.json, again.answer.header("etag")), (made.json.clone(), made.answer.header("etag")));
}

#[test]
fn an_element_occurs_once_and_its_value_may_have_two_types() {
    //
    let client = App::shared().configuration("other");
    let work = json!({"value": "a@x", "type": "work"});
    let home = json!({"value": "a@x", "type": "home"});
    let made = client.post("/Users", &user_with("x", &json!({"emails": [work, home, work]}))).answered(201).json;
    assert_eq!(made["emails"], json!([work, home]));
    let path = format!("/Users/{}", made["id"].as_str().unwrap());
    let named = json!([{"value": "a@x", "type": "home", "display": "Home"}]);
    let patched = client.patch(&path, &operation("add", "emails", &named)).answered(200).json;
    assert_eq!(patched["emails"], json!([work, named[0]]));
}

#[test]
fn of_two_primary_values_the_first_stays_primary() {
    //
    let client = App::shared().configuration("other");
    let emails = json!([{"value": "a", "primary": true}, {"value": "b", "primary": true}]);
    let made = client.post("/Users", &user_with("x", &json!({"emails": emails}))).answered(201).json;
    assert_eq!(made["emails"], json!([{"value": "a", "primary": true}, {"value": "b", "primary": false}]));
}

#[test]
fn a_new_primary_value_wins_over_an_old_one_that_is_sent_along() {
    // the old element is sent again without `primary`, as by a client that does not store it.
    let client = App::shared().configuration("other");
    let emails = json!([{"value": "old", "type": "work", "primary": true}]);
    let path = format!("/Users/{}", client.created("/Users", &user_with("x", &json!({"emails": emails}))));
    let both = json!([{"value": "old", "type": "work", "display": "Old"}, {"value": "new", "primary": true}]);
    let document = client.patch(&path, &operation("add", "emails", &both)).answered(200).json;
    assert_eq!(
        document["emails"],
        json!([{"value": "old", "type": "work", "primary": false, "display": "Old"}, {"value": "new", "primary": true}])
    );
}

#[test]
fn adding_an_empty_value_removes_nothing() {
    // RFC 7644 section 3.5.2.1
    let client = App::shared().configuration("other");
    let more = json!({"name": {"givenName": "Ada"}, "emails": [{"value": "a@x"}], ENTERPRISE: {"department": "d"}});
    let made = client.post("/Users", &user_with("x", &more)).answered(201).json;
    let path = format!("/Users/{}", made["id"].as_str().unwrap());
    for body in [
        operation("add", "emails", &json!([])),
        operation("add", "emails", &json!(null)),
        operation("add", "emails", &json!([{}])),
        operation("add", "name", &json!({})),
        operation("add", ENTERPRISE, &json!({})),
        operations(&json!([{"op": "add", "value": {"emails": [], "name": {}, ENTERPRISE: {}}}])),
    ] {
        assert_eq!(client.patch(&path, &body).answered(200).json, made, "{body}");
    }
}

#[test]
fn contradictory_filter_terms_create_no_element() {
    //
    let client = App::shared().configuration("azure-ad");
    let path = format!("/Users/{}", client.created("/Users", &user("x")));
    for op in ["add", "replace"] {
        let body = operation(op, "emails[type eq \"work\" and type eq \"home\"].value", &json!("a@x"));
        client.patch(&path, &body).refused(400, "noTarget");
    }
    assert!(client.get(&path).answered(200).json.get("emails").is_none());
}

#[test]
fn active_always_has_a_value() {
    // an empty value of a template neither deactivates nor reactivates a user.
    let client = App::shared().configuration("other");
    let made = client.post("/Users", &user_with("x", &json!({"active": null}))).answered(201).json;
    assert_eq!(made["active"], true);
    let path = format!("/Users/{}", made["id"].as_str().unwrap());
    client.patch(&path, &operation("replace", "active", &json!(false))).answered(200);
    client.put(&path, &user_with("x", &json!({"active": null}))).answered(200);
    for body in [
        operation("replace", "active", &json!(null)),
        operation("add", "active", &json!(null)),
        operations(&json!([{"op": "replace", "value": {"active": null}}])),
    ] {
        assert_eq!(client.patch(&path, &body).answered(200).json["active"], false, "{body}");
    }
    let strict = App::shared().configuration_with_preset("strict");
    let path = format!("/Users/{}", strict.created("/Users", &user("y")));
    strict.post("/Users", &user_with("x", &json!({"active": null}))).refused(400, "invalidValue");
    strict.put(&path, &user_with("y", &json!({"active": null}))).refused(400, "invalidValue");
    strict.patch(&path, &operation("replace", "active", &json!(null))).refused(400, "invalidValue");
    assert_eq!(strict.get(&path).answered(200).json["active"], true);
}

#[test]
fn the_switch_decides_what_a_removal_of_active_does() {
    // the presets of identity providers keep the value, the standard preset removes it, the strict one refuses.
    for (preset, left) in [
        ("standard", None),
        ("okta", Some(false)),
        ("entra", Some(false)),
        ("idp", Some(false)),
        ("strict", Some(false)),
    ] {
        let client = App::shared().configuration_with_preset(preset);
        let path = format!("/Users/{}", client.created("/Users", &user_with("x", &json!({"active": false}))));
        for name in ["active", "urn:ietf:params:scim:schemas:core:2.0:User:ACTIVE"] {
            let body = operations(&json!([
                {"op": "remove", "path": name},
                {"op": "replace", "path": "title", "value": name},
            ]));
            let reply = client.patch(&path, &body);
            if preset == "strict" {
                reply.refused(400, "mutability");
            } else {
                assert_eq!(reply.answered(200).json["title"], name, "{preset}");
            }
            let stored = client.get(&path).answered(200).json;
            assert_eq!(stored.get("active").and_then(Value::as_bool), left, "{preset}");
            assert_eq!(stored["title"] == name, preset != "strict");
        }
    }
}

#[test]
fn equal_elements_are_one_element_on_every_route() {
    // in the bodies of POST and PUT, in PATCH values with and without a path, and after an edit of a value path.
    let twins = json!([
        {"value": "a@x", "type": "work", "primary": true, "display": "First"},
        {"value": "b@x", "type": "home"},
        {"value": "a@x", "type": "work", "primary": false, "display": "Second"},
    ]);
    let merged = json!([
        {"value": "a@x", "type": "work", "primary": true, "display": "First"}, {"value": "b@x", "type": "home"}
    ]);
    for source in ["other", "okta", "azure-ad"] {
        let client = App::shared().configuration(source);
        let made = client.post("/Users", &user_with("x", &json!({"emails": twins}))).answered(201).json;
        assert_eq!(made["emails"], merged, "{source}");
        let path = format!("/Users/{}", client.created("/Users", &user("y")));
        let stored = client.put(&path, &user_with("y", &json!({"emails": twins}))).answered(200).json;
        assert_eq!(stored["emails"], merged);
        for op in ["add", "replace"] {
            client.put(&path, &user("y")).answered(200);
            assert_eq!(client.patch(&path, &operation(op, "emails", &twins)).answered(200).json["emails"], merged);
            let body = operations(&json!([{"op": op, "value": {"emails": twins}}]));
            assert_eq!(client.patch(&path, &body).answered(200).json["emails"], merged, "{op}");
        }
        // A value path that makes two elements equal.
        let body = operations(&json!([
            {"op": "replace", "path": "emails[value ew \"@x\"].type", "value": "work"},
            {"op": "replace", "path": "emails[type eq \"work\"].value", "value": "c@x"},
        ]));
        let after = client.patch(&path, &body).answered(200).json;
        let one = json!([{"value": "c@x", "type": "work", "primary": true, "display": "First"}]);
        assert_eq!(after["emails"], one, "{source}");
        assert_eq!(client.get(&path).answered(200).json["emails"], one);
        assert_eq!(client.find("/Users", "emails[type eq \"work\" and value eq \"c@x\"]").len(), 1);
        let roles = json!(["admin", "admin", {"value": "admin"}, "user"]);
        let given = client.patch(&path, &operation("add", "roles", &roles)).answered(200).json;
        assert_eq!(super::values(&given["roles"]), ["admin", "user"]);
    }
}

#[test]
fn values_are_not_derived_from_other_values() {
    // names are not composed, numbers not rewritten, countries not translated.
    let client = App::shared().configuration("other");
    let more = json!({
        "name": {"givenName": "Ada", "familyName": "King"}, "phoneNumbers": [{"value": "call me"}],
        "addresses": [{"country": "Germany", "type": "work"}]
    });
    let made = client.post("/Users", &user_with("Ada@EXAMPLE.com", &more)).answered(201).json;
    for (name, value) in more.as_object().unwrap() {
        assert_eq!(&made[name], value);
    }
    assert!(made.get("displayName").is_none() && made["userName"] == "Ada@EXAMPLE.com", "{made}");
    let found = client.find("/Users", "ims.value pr or displayName pr or name.formatted pr");
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn chat_addresses_are_found_in_any_case() {
    //
    let client = App::shared().configuration("other");
    client.created("/Users", &user_with("x", &json!({"ims": [{"value": "Ada@Chat", "type": "XMPP"}]})));
    assert_eq!(client.find("/Users", "ims[value eq \"ada@chat\" and type eq \"xmpp\"]").len(), 1);
}

#[test]
fn schemas_follow_the_attributes_in_a_patch() {
    //
    let client = App::shared().configuration("other");
    let path = format!("/Users/{}", client.created("/Users", &user("x")));
    let schemas_after = |body: &Value| client.patch(&path, body).answered(200).json["schemas"].clone();
    let department = format!("{ENTERPRISE}:department");
    assert_eq!(schemas_after(&operation("add", &department, &json!("d"))), json!([USER, ENTERPRISE]));
    assert_eq!(schemas_after(&operations(&json!([{"op": "remove", "path": department}]))), json!([USER]));
    assert_eq!(schemas_after(&operation("add", "schemas", &json!([ENTERPRISE]))), json!([USER]));
    assert_eq!(schemas_after(&operation("replace", "schemas", &json!([USER, ENTERPRISE]))), json!([USER]));
    client.patch(&path, &operation("replace", "schemas", &json!([ENTERPRISE]))).refused(400, "mutability");
}
