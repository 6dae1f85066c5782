//! `attributes` and `excludedAttributes` (RFC 7644 section 3.9).

use serde_json::{Value, json};

use crate::app::{App, Client};
use crate::sample::{ENTERPRISE, SEARCH, USER, group, operation, user, user_with};

fn ada(client: &Client) -> String {
    let more = json!({
        "title": "Countess", "name": {"givenName": "Ada", "familyName": "King"},
        "emails": [{"value": "a@x", "type": "work"}, {"value": "b@x", "type": "home"}],
        ENTERPRISE: {"department": "Engines", "employeeNumber": "1"}
    });
    format!("/Users/{}", client.created("/Users", &user_with("ada", &more)))
}

fn names(document: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn only_requested_attributes_are_returned_plus_id_and_schemas() {
    //
    let client = App::shared().configuration("other");
    let path = ada(&client);
    let get = |attributes: &str| client.get(&format!("{path}?attributes={attributes}")).answered(200).json;
    assert_eq!(names(&get("userName")), ["id", "schemas", "userName"]);
    assert_eq!(names(&get("USERNAME,Title")), ["id", "schemas", "title", "userName"]);
    assert_eq!(names(&get("userName,%20title")), ["id", "schemas", "title", "userName"]);
    assert_eq!(get("name.givenName")["name"], json!({"givenName": "Ada"}));
    assert_eq!(get("emails.value")["emails"], json!([{"value": "a@x"}, {"value": "b@x"}]));
    assert_eq!(names(&get("meta.location")["meta"]), ["location"]);
    assert_eq!(names(&get(&format!("{USER}:userName"))), ["id", "schemas", "userName"]);
    assert_eq!(get(&format!("{ENTERPRISE}:department"))[ENTERPRISE], json!({"department": "Engines"}));
    assert_eq!(get(ENTERPRISE)[ENTERPRISE], json!({"department": "Engines", "employeeNumber": "1"}));
    assert_eq!(get(&ENTERPRISE.to_uppercase())[ENTERPRISE]["department"], "Engines");
    assert_eq!(names(&get("nothing")), ["id", "schemas"]);
    assert_eq!(names(&get("password")), ["id", "schemas"]);
    assert_eq!(get(""), client.get(&path).json);
}

#[test]
fn excluded_attributes_are_omitted_except_the_id() {
    //
    let client = App::shared().configuration("other");
    let path = ada(&client);
    let get = |attributes: &str| client.get(&format!("{path}?excludedAttributes={attributes}")).answered(200).json;
    let whole = client.get(&path).answered(200).json;
    let mut expected = whole.clone();
    expected.as_object_mut().unwrap().shift_remove("title");
    assert_eq!(get("title"), expected);
    assert_eq!(get("TITLE,nothing"), expected);
    let without_types = get("emails.type,name.familyName");
    assert_eq!(without_types["emails"], json!([{"value": "a@x"}, {"value": "b@x"}]));
    assert_eq!(without_types["name"], json!({"givenName": "Ada"}));
    assert!(get(ENTERPRISE).get(ENTERPRISE).is_none());
    assert_eq!(get("id")["id"], whole["id"]);
    assert_eq!(get("id,schemas")["schemas"], whole["schemas"]);
    assert_eq!(get(""), whole);
}

#[test]
fn attributes_win_where_both_are_given() {
    //
    let client = App::shared().configuration("other");
    let path = ada(&client);
    let both = client.get(&format!("{path}?attributes=userName,title&excludedAttributes=title")).answered(200).json;
    assert!(names(&both).contains(&"userName"));
    assert!(!names(&both).contains(&"emails"));
}

#[test]
fn every_operation_that_returns_a_resource_supports_projection() {
    //
    let client = App::shared().configuration("other");
    let path = ada(&client);
    let expected = ["id", "schemas", "userName"];
    let cut = format!("{path}?attributes=userName");
    assert_eq!(names(&client.put(&cut, &user("ada")).answered(200).json), expected);
    assert_eq!(names(&client.patch(&cut, &operation("add", "title", &json!("x"))).answered(200).json), expected);
    assert_eq!(names(&client.get("/Users?attributes=userName").answered(200).json["Resources"][0]), expected);
    let search = json!({"schemas": [SEARCH], "attributes": ["userName"]});
    assert_eq!(names(&client.post("/Users/.search", &search).answered(200).json["Resources"][0]), expected);
    let search = json!({"schemas": [SEARCH], "excludedAttributes": ["meta", "title", "active", ENTERPRISE]});
    assert_eq!(names(&client.post("/Users/.search", &search).answered(200).json["Resources"][0]), expected);
}

#[test]
fn members_are_returned_in_lists_and_omitted_on_request() {
    // D15
    let client = App::shared().configuration("other");
    let user_id = client.created("/Users", &user("x"));
    let team = client.created("/Groups", &group("Team", &[&user_id]));
    let list = client.get("/Groups").answered(200).json;
    assert_eq!(super::values(&list["Resources"][0]["members"]), [user_id.as_str()]);
    for path in ["/Groups?excludedAttributes=members".to_owned(), format!("/Groups/{team}?excludedAttributes=members")]
    {
        let text = client.get(&path).answered(200).json.to_string();
        assert!(!text.contains(&user_id) && !text.contains("\"members\""), "{text}");
    }
    let values = client.get(&format!("/Groups/{team}?attributes=members.value")).answered(200).json;
    assert_eq!(values["members"], json!([{"value": user_id}]));
    assert!(values.get("displayName").is_none());
}
