//! Custom schemas of a configuration, over the management API.

use serde_json::{Value, json};

use crate::app::{App, Client};
use crate::caller::CONFIGURATIONS;
use crate::sample::{USER, user_with};

const BADGE: &str = "urn:example:params:scim:schemas:Badge:1.0:User";

fn schemas(client: &Client) -> String {
    format!("{CONFIGURATIONS}/{}/schemas", client.id)
}

fn badge() -> Value {
    json!({"id": BADGE, "name": "Badge", "attributes": [{"name": "number", "indexed": true}]})
}

fn user_with_badge(name: &str) -> Value {
    user_with(name, &json!({"schemas": [USER, BADGE], BADGE: {"number": "7"}}))
}

#[test]
fn a_schema_is_added_read_used_and_removed() {
    let operator = App::shared().operator();
    let client = operator.configuration("schemas-life", "other");
    let body = json!({"resourceType": "User", "schema": badge(), "more": 1});
    let added = operator.post(&schemas(&client), &body).answered(201).json;
    assert_eq!(
        (&added["id"], &added["resourceType"], &added["required"]),
        (&json!(BADGE), &json!("User"), &json!(false))
    );
    assert_eq!(added["schema"], badge());
    let one = format!("{}/{BADGE}", schemas(&client));
    assert_eq!(operator.get(&one).answered(200).json, added);
    let list = operator.get(&schemas(&client)).answered(200).json;
    assert_eq!(list, json!({"items": [added], "nextCursor": null}));
    operator.post(&schemas(&client), &body).problem(409);
    client.get(&format!("/Schemas/{BADGE}")).answered(200);
    let id = client.created("/Users", &user_with_badge("ada"));
    assert_eq!(client.find("/Users", &format!("{BADGE}:number eq \"7\"")).len(), 1);
    let refused = operator.delete(&one).problem(409);
    assert!(refused.text("message").contains("purge"), "{}", refused.json);
    operator.delete(&format!("{one}?purge=true")).answered(204);
    assert!(client.get(&format!("/Users/{id}")).answered(200).json.get(BADGE).is_none());
    operator.get(&one).problem(404);
    operator.delete(&one).problem(404);
    client.get(&format!("/Schemas/{BADGE}")).refused(404, "");
}

#[test]
fn a_required_schema_of_groups_is_asked_for() {
    let operator = App::shared().operator();
    let client = operator.configuration("schemas-required", "other");
    let schema = json!({"id": "urn:example:team:1.0", "attributes": [{"name": "cost"}]});
    let body = json!({"resourceType": "Group", "required": true, "schema": schema});
    operator.post(&schemas(&client), &body).answered(201);
    client.post("/Groups", &crate::sample::group("Team", &[])).refused(400, "invalidValue");
    let mut ids = vec!["urn:example:team:1.0".to_owned()];
    for id in ["urn:example:a:1", "urn:example:b:1"] {
        let schema = json!({"id": id, "attributes": [{"name": "x"}]});
        operator.post(&schemas(&client), &json!({"resourceType": "User", "schema": schema})).answered(201);
        ids.push(id.to_owned());
    }
    ids.sort();
    let first = operator.get(&format!("{}?limit=2", schemas(&client))).answered(200).json;
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = operator.get(&format!("{}?limit=2&cursor={cursor}", schemas(&client))).answered(200).json;
    let pages = [first["items"].as_array().unwrap().clone(), second["items"].as_array().unwrap().clone()].concat();
    assert_eq!(pages.iter().map(|one| one["id"].as_str().unwrap()).collect::<Vec<_>>(), ids);
}

#[test]
fn an_invalid_schema_document_is_refused_with_the_location() {
    let operator = App::shared().operator();
    let client = operator.configuration("schemas-broken", "other");
    let with = |schema: Value| json!({"resourceType": "User", "schema": schema});
    for (body, named) in [
        (json!({"schema": badge()}), "resourceType"),
        (json!({"resourceType": "user", "schema": badge()}), "resourceType"),
        (json!({"resourceType": "User"}), "schema"),
        (json!({"resourceType": "User", "schema": badge(), "required": "yes"}), "required"),
        (with(json!(5)), "object"),
        (with(json!({"id": "Badge", "attributes": [{"name": "a"}]})), "URN"),
        (with(json!({"id": USER, "attributes": [{"name": "a"}]})), "standard schema"),
        (with(json!({"id": BADGE, "attributes": []})), "attributes"),
        (with(json!({"id": BADGE, "attributes": [{"name": "a b"}]})), "a b"),
        (with(json!({"id": BADGE, "attributes": [{"name": "a", "type": "complex"}]})), "a is complex"),
        (with(json!({"id": BADGE, "attributes": [{"name": "a"}, {"name": "A"}]})), "twice"),
    ] {
        let refused = operator.post(&schemas(&client), &body).problem(400);
        assert!(refused.text("message").contains(named), "{body}: {}", refused.json);
    }
    assert_eq!(operator.get(&schemas(&client)).answered(200).json["items"], json!([]));
}

#[test]
fn schemas_of_a_foreign_configuration_are_not_found() {
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("schemas-theirs", "other");
    let body = json!({"resourceType": "User", "schema": badge()});
    app.account_key("schemas-theirs", &[]).post(&schemas(&client), &body).answered(201);
    let foreign = app.account_key("schemas-mine", &[]);
    let one = format!("{}/{BADGE}", schemas(&client));
    foreign.get(&schemas(&client)).problem(404);
    foreign.post(&schemas(&client), &body).problem(404);
    foreign.post(&schemas(&client), &json!({})).problem(404);
    foreign.get(&one).problem(404);
    foreign.delete(&format!("{one}?purge=true")).problem(404);
    operator.get(&one).answered(200);
}
