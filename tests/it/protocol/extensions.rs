//! Custom schemas of a configuration: accepted in bodies, PATCH, filters, sorting, projection and discovery.

use serde_json::{Value, json};

use crate::app::{App, Client};
use crate::sample::{USER, operation, operations, removal, user, user_with};

const BADGE: &str = "urn:example:params:scim:schemas:Badge:1.0:User";

fn badge() -> Value {
    json!({
        "id": BADGE, "name": "Badge", "description": "Access badge",
        "attributes": [
            {"name": "number", "type": "string", "caseExact": true, "indexed": true, "description": "On the card"},
            {"name": "level", "type": "integer", "description": "Clearance"},
            {"name": "since", "type": "dateTime"},
            {"name": "doors", "type": "string", "multiValued": true, "indexed": true},
            {"name": "secret", "type": "string", "mutability": "writeOnly"},
            {"name": "issued", "type": "complex", "subAttributes": [{"name": "by"}, {"name": "note", "returned": "request"}]}
        ]
    })
}

/// A configuration with the badge schema.
fn with_badge(how: &[&str]) -> Client {
    let app = App::shared();
    let client = app.configuration("other");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), badge().to_string()).unwrap();
    let mut arguments = vec!["schema", "add", client.id.as_str(), file.path().to_str().unwrap()];
    arguments.extend(how);
    app.succeeds(&arguments);
    client
}

fn user_with_badge(name: &str, badge: &Value) -> Value {
    user_with(name, &json!({"schemas": [USER, BADGE], BADGE: badge}))
}

#[test]
fn a_schema_takes_effect_at_once_and_is_announced() {
    //
    let client = App::shared().configuration("other");
    let before = client.post("/Users", &user_with_badge("before", &json!({"number": "1"}))).answered(201).json;
    assert!(before.get(BADGE).is_none());
    let client = with_badge(&[]);
    let document = client.get(&format!("/Schemas/{BADGE}")).answered(200).json;
    assert_eq!(document["attributes"][0]["name"], "number");
    let types = client.get("/ResourceTypes/User").answered(200).json;
    let extensions = types["schemaExtensions"].as_array().unwrap();
    assert!(extensions.contains(&json!({"schema": BADGE, "required": false})), "{types}");
    assert_eq!(client.get("/Schemas").answered(200).json["totalResults"], 4);
    let anonymous = client.request("GET", "/Schemas").without("Authorization").send().answered(200).json;
    assert_eq!(anonymous["totalResults"], 4);
}

#[test]
fn custom_attributes_work_like_standard_ones() {
    //
    let client = with_badge(&[]);
    let badge = json!({"number": "A-7", "level": 3, "since": "2026-01-31T12:00:00Z", "doors": ["N", "S"], "secret": "x",
        "issued": {"by": "Eve", "note": "n"}});
    let made = client.post("/Users", &user_with_badge("ada", &badge)).answered(201).json;
    assert_eq!(made["schemas"], json!([USER, BADGE]));
    assert_eq!(made[BADGE]["issued"], json!({"by": "Eve"}));
    assert!(made[BADGE].get("secret").is_none());
    client.created("/Users", &user("bob"));
    for filter in [
        format!("{BADGE}:number eq \"A-7\""),
        "level ge 3".to_owned(),
        format!("{BADGE}:since lt \"2026-02-01T00:00:00+01:00\""),
        format!("{BADGE}:doors eq \"s\""),
        format!("{BADGE}:issued.by sw \"E\""),
        format!("schemas eq \"{BADGE}\""),
    ] {
        let found = client.find("/Users", &filter);
        assert_eq!(found.len(), 1, "{filter}");
        assert_eq!(found[0]["userName"], "ada");
    }
    assert!(client.find("/Users", &format!("{BADGE}:number eq \"a-7\"")).is_empty());
    let path = format!("/Users/{}", made["id"].as_str().unwrap());
    let level = operations(&json!([
        {"op": "replace", "path": format!("{BADGE}:level"), "value": 4},
        {"op": "add", "value": {format!("{BADGE}:doors"): ["W"]}},
        {"op": "remove", "path": format!("{BADGE}:issued")},
    ]));
    let changed = client.patch(&path, &level).answered(200).json;
    assert_eq!((&changed[BADGE]["level"], &changed[BADGE]["doors"]), (&json!(4), &json!(["N", "S", "W"])));
    let only = client.get(&format!("{path}?attributes={BADGE}:number")).answered(200).json;
    assert_eq!(only[BADGE], json!({"number": "A-7"}));
    for (name, value) in
        [("level", json!(1.5)), ("level", json!("3")), ("since", json!("2026-01-31")), ("doors", json!([1]))]
    {
        client.patch(&path, &operation("replace", &format!("{BADGE}:{name}"), &value)).refused(400, "invalidValue");
    }
    let bare = client.patch(&path, &removal(BADGE)).answered(200).json;
    assert_eq!(bare["schemas"], json!([USER]));
}

#[test]
fn a_required_schema_must_be_carried() {
    //
    let client = with_badge(&["--required"]);
    let refused = client.post("/Users", &user("ada")).refused(400, "invalidValue");
    assert!(refused.json["detail"].as_str().unwrap().contains(BADGE));
    let path = format!("/Users/{}", client.created("/Users", &user_with_badge("ada", &json!({"number": "1"}))));
    client.put(&path, &user("ada")).refused(400, "invalidValue");
    client.patch(&path, &removal(BADGE)).refused(400, "invalidValue");
}

#[test]
fn a_schema_with_values_is_deleted_only_with_purge() {
    let app = App::shared();
    let client = with_badge(&[]);
    let path = format!("/Users/{}", client.created("/Users", &user_with_badge("ada", &json!({"number": "1"}))));
    let before = client.get(&path).version();
    assert!(!app.rollcall(&["schema", "delete", &client.id, BADGE]).status.success());
    app.succeeds(&["schema", "delete", &client.id, BADGE, "--purge"]);
    let document = client.get(&path).answered(200);
    assert!(document.json.get(BADGE).is_none());
    assert_ne!(document.version(), before);
    client.request("GET", &format!("/Users?filter={BADGE}:number%20pr")).send().refused(400, "invalidFilter");
    let other = app.configuration("other");
    assert_eq!(other.get("/Schemas").answered(200).json["totalResults"], 3);
}

#[test]
fn a_broken_schema_is_refused_with_a_reason() {
    //
    let app = App::shared();
    let client = app.configuration("other");
    for (document, reason) in [
        (json!({"id": USER, "attributes": [{"name": "a"}]}).to_string(), "namespace"),
        (json!({"id": BADGE, "attributes": [{"name": "a b"}]}).to_string(), "a b"),
        ("{".to_owned(), "JSON"),
    ] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), document).unwrap();
        let refused = app.rollcall(&["schema", "add", &client.id, file.path().to_str().unwrap()]);
        assert_eq!(refused.status.code(), Some(1));
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains(reason), "{said}");
    }
}

#[test]
fn attributes_returned_on_request_are_returned_when_named() {
    //
    let client = with_badge(&[]);
    let made =
        client.post("/Users", &user_with_badge("ada", &json!({"secret": "x", "issued": {"by": "Eve", "note": "n"}})));
    let path = format!("/Users/{}", made.answered(201).id());
    let badge = |names: &str| client.get(&format!("{path}?attributes={names}")).answered(200).json[BADGE].clone();
    assert_eq!(badge(&format!("{BADGE}:issued.note")), json!({"issued": {"note": "n"}}));
    assert_eq!(badge(&format!("{BADGE}:secret")), Value::Null);
    assert_eq!(client.get(&path).answered(200).json[BADGE], json!({"issued": {"by": "Eve"}}));
}
