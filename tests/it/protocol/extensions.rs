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

/// The name that Microsoft documents for custom attributes.
const CUSTOM: &str = "urn:ietf:params:scim:schemas:extension:CustomExtensionName:2.0:User";

#[test]
fn a_schema_with_the_name_that_microsoft_documents_works_in_every_request() {
    let app = App::shared();
    let client = app.configuration("azure-ad");
    let file = tempfile::NamedTempFile::new().unwrap();
    let attributes = json!([
        {"name": "tag", "type": "string"},
        {"name": "address", "type": "complex", "subAttributes": [{"name": "street"}, {"name": "zip", "type": "integer"}]},
    ]);
    std::fs::write(file.path(), json!({"id": CUSTOM, "attributes": attributes}).to_string()).unwrap();
    app.succeeds(&["schema", "add", client.id.as_str(), file.path().to_str().unwrap()]);
    let tag = format!("{CUSTOM}:tag");
    let street = format!("{CUSTOM}:address.street");
    let body = user_with("ada", &json!({"schemas": [USER, CUSTOM], CUSTOM: {"tag": "a"}}));
    let path = format!("/Users/{}", client.created("/Users", &body));
    let custom = || client.get(&path).answered(200).json.get(CUSTOM).cloned().unwrap_or_default();
    assert_eq!(custom(), json!({"tag": "a"}));
    assert!(client.get(&path).answered(200).json["schemas"].as_array().unwrap().contains(&json!(CUSTOM)));
    // PATCH with a path, without one, flattened, dotted, and the whole extension.
    for (operation, expected) in [
        (json!({"op": "Replace", "path": tag, "value": "b"}), json!({"tag": "b"})),
        (json!({"op": "Add", "path": tag.to_uppercase(), "value": "c"}), json!({"tag": "c"})),
        (json!({"op": "replace", "value": {&tag: "d"}}), json!({"tag": "d"})),
        (json!({"op": "add", "value": {&street: "s"}}), json!({"tag": "d", "address": {"street": "s"}})),
        (json!({"op": "add", "path": street, "value": "t"}), json!({"tag": "d", "address": {"street": "t"}})),
        (json!({"op": "replace", "value": {CUSTOM: {"tag": "e"}}}), json!({"tag": "e", "address": {"street": "t"}})),
        (json!({"op": "remove", "path": format!("{CUSTOM}:address")}), json!({"tag": "e"})),
    ] {
        client.patch(&path, &operations(&json!([operation]))).answered(200);
        assert_eq!(custom(), expected, "{operation}");
    }
    assert_eq!(client.find("/Users", &format!("{tag} eq \"E\"")).len(), 1);
    assert_eq!(client.find("/Users", &format!("{CUSTOM}:tag pr and userName eq \"ada\"")).len(), 1);
    let narrow = client.get(&format!("{path}?attributes={tag}")).answered(200).json;
    assert!(narrow[CUSTOM]["tag"] == "e" && narrow.get("userName").is_none(), "{narrow}");
    assert!(client.get(&format!("{path}?excludedAttributes={tag}")).answered(200).json.get(CUSTOM).is_none());
    // POST and PUT with flattened names; the usual form takes precedence.
    let flat =
        user_with("flat", &json!({&tag: "f", &street: "s", CUSTOM: {"address": {"zip": 7}}, "name.givenName": "Ada"}));
    let flat = client.post("/Users", &flat).answered(201).json;
    assert_eq!(flat[CUSTOM], json!({"tag": "f", "address": {"street": "s", "zip": 7}}));
    assert_eq!(flat["name"]["givenName"], "Ada");
    client.put(&path, &user_with("ada", &json!({CUSTOM: {"tag": "g"}, &tag: "h"}))).answered(200);
    assert_eq!(custom(), json!({"tag": "g"}));
    client.patch(&path, &removal(&tag)).answered(200);
    assert_eq!(custom(), Value::Null);
    app.succeeds(&["schema", "delete", client.id.as_str(), CUSTOM, "--purge", "--yes"]);
    client.get(&format!("/Schemas/{CUSTOM}")).refused(404, "");
    for taken in [USER, "URN:ietf:params:scim:api:messages:2.0:PatchOp"] {
        std::fs::write(file.path(), json!({"id": taken, "attributes": attributes}).to_string()).unwrap();
        let output = app.rollcall(&["schema", "add", client.id.as_str(), file.path().to_str().unwrap()]);
        assert!(!output.status.success(), "{taken}");
    }
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
    app.succeeds(&["schema", "delete", &client.id, BADGE, "--purge", "--yes"]);
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
        (json!({"id": USER, "attributes": [{"name": "a"}]}).to_string(), "standard schema"),
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
