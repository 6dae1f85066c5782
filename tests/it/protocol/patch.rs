//! PATCH of users (RFC 7644 section 3.5.2); refusals are in `bad_input`.

use serde_json::{Value, json};

use crate::app::{App, Client, Reply};
use crate::sample::{ENTERPRISE, USER, operation, operations, removal, user, user_with};

/// A user in a configuration of that source, and its path.
fn ada(source: &str) -> (Client, String) {
    let client = App::shared().configuration(source);
    let more = json!({
        "title": "Countess", "displayName": "Ada", "name": {"givenName": "Ada", "familyName": "King"},
        "emails": [{"value": "work@x", "type": "work", "primary": true}, {"value": "home@x", "type": "home"}],
        ENTERPRISE: {"department": "Engines"}
    });
    let path = format!("/Users/{}", client.created("/Users", &user_with("ada", &more)));
    (client, path)
}

#[track_caller]
fn patched(on: &(Client, String), body: &Value) -> Value {
    let reply: Reply = on.0.patch(&on.1, body).answered(200);
    let stored = on.0.get(&on.1).answered(200);
    assert_eq!(reply.json, stored.json, "the answer is not what is stored");
    assert_eq!(reply.version(), stored.version());
    assert!(!reply.header("location").is_empty());
    reply.json
}

#[test]
fn add_sets_merges_and_appends() {
    //
    let on = ada("other");
    assert_eq!(patched(&on, &operation("add", "nickName", &json!("Al")))["nickName"], "Al");
    assert_eq!(patched(&on, &operation("add", "title", &json!("Duchess")))["title"], "Duchess");
    let named = patched(&on, &operation("add", "name", &json!({"middleName": "Augusta"})));
    assert_eq!(named["name"], json!({"givenName": "Ada", "familyName": "King", "middleName": "Augusta"}));
    let one = patched(&on, &operation("add", "emails", &json!({"value": "third@x", "type": "other"})));
    assert_eq!(super::values(&one["emails"]), ["work@x", "home@x", "third@x"]);
    let two = patched(&on, &operation("add", "emails", &json!([{"value": "fourth@x"}])));
    assert_eq!(two["emails"].as_array().unwrap().len(), 4);
    let free = patched(
        &on,
        &operations(&json!([{"op": "add", "value": {"title": "Queen", "emails": [{"value": "fifth@x"}]}}])),
    );
    assert_eq!((free["title"].as_str(), free["emails"].as_array().unwrap().len()), (Some("Queen"), 5));
}

#[test]
fn replace_sets_values_and_keeps_the_rest() {
    //
    let on = ada("other");
    let free = patched(
        &on,
        &operations(&json!([{"op": "replace", "value": {"nickName": "Al", "emails": [{"value": "only@x"}]}}])),
    );
    assert_eq!(super::values(&free["emails"]), ["only@x"]);
    assert_eq!((&free["nickName"], &free["title"]), (&json!("Al"), &json!("Countess")));
    let named = patched(&on, &operation("replace", "name", &json!({"givenName": "Augusta"})));
    assert_eq!(named["name"], json!({"givenName": "Augusta", "familyName": "King"}));
    assert_eq!(patched(&on, &operation("replace", "name.familyName", &json!("Byron")))["name"]["familyName"], "Byron");
    assert_eq!(patched(&on, &operation("replace", "locale", &json!("en")))["locale"], "en");
    assert_eq!(
        patched(&on, &operation("replace", "emails", &json!([{"value": "new@x"}])))["emails"],
        json!([{"value": "new@x"}])
    );
    let department = patched(&on, &operation("replace", ENTERPRISE, &json!({"costCenter": "4"})));
    assert_eq!(department[ENTERPRISE], json!({"department": "Engines", "costCenter": "4"}));
}

#[test]
fn a_filtered_replace_changes_only_the_matches() {
    //
    let on = ada("other");
    let one = patched(&on, &operation("replace", "emails[type eq \"work\"].value", &json!("new@x")));
    assert_eq!(
        one["emails"],
        json!([{"value": "new@x", "type": "work", "primary": true}, {"value": "home@x", "type": "home"}])
    );
    let all = patched(&on, &operation("replace", "emails[value ew \"@x\"].display", &json!("Mail")));
    assert!(all["emails"].as_array().unwrap().iter().all(|email| email["display"] == "Mail"), "{all}");
    let whole =
        patched(&on, &operation("replace", "emails[type eq \"home\"]", &json!({"value": "h@x", "type": "home"})));
    assert!(super::values(&whole["emails"]).contains(&"h@x"));
    assert_eq!(whole["emails"].as_array().unwrap().len(), 2);
}

#[test]
fn entra_may_replace_an_absent_value() {
    // D29
    let change = operation("replace", "phoneNumbers[type eq \"mobile\"].value", &json!("555"));
    let on = ada("azure-ad");
    assert_eq!(patched(&on, &change)["phoneNumbers"], json!([{"type": "mobile", "value": "555"}]));
    for source in ["other", "okta"] {
        let on = ada(source);
        on.0.patch(&on.1, &change).refused(400, "noTarget");
        let added = operation("add", "phoneNumbers[type eq \"mobile\"].value", &json!("555"));
        assert_eq!(patched(&on, &added)["phoneNumbers"], json!([{"type": "mobile", "value": "555"}]), "{source}");
    }
    let address = operations(&json!([
        {"op": "Add", "path": "addresses[type eq \"work\"].country", "value": "GB"},
        {"op": "Add", "path": "addresses[type eq \"work\"].locality", "value": "London"}
    ]));
    assert_eq!(
        patched(&ada("azure-ad"), &address)["addresses"],
        json!([{"type": "work", "country": "GB", "locality": "London"}])
    );
}

#[test]
fn remove_deletes_values_and_an_empty_list_deletes_the_attribute() {
    // D30
    let on = ada("other");
    assert!(patched(&on, &removal("title")).get("title").is_none());
    assert!(patched(&on, &removal("title")).get("title").is_none());
    assert_eq!(patched(&on, &removal("name.givenName"))["name"], json!({"familyName": "King"}));
    assert_eq!(
        patched(&on, &removal("emails[type eq \"work\"].primary"))["emails"][0],
        json!({"value": "work@x", "type": "work"})
    );
    assert_eq!(super::values(&patched(&on, &removal("emails[type eq \"work\"]"))["emails"]), ["home@x"]);
    assert_eq!(super::values(&patched(&on, &removal("emails[type eq \"fax\"]"))["emails"]), ["home@x"]);
    assert!(patched(&on, &removal("emails[type eq \"home\"]")).get("emails").is_none());
    let bare = patched(&on, &removal(&format!("{ENTERPRISE}:department")));
    assert!(bare.get(ENTERPRISE).is_none());
    assert_eq!(bare["schemas"], json!([USER]));
}

#[test]
fn null_clears_in_a_patch_too() {
    // D36
    let on = ada("other");
    assert!(patched(&on, &operation("replace", "title", &json!(null))).get("title").is_none());
    assert!(patched(&on, &operation("replace", "emails", &json!([]))).get("emails").is_none());
    let free = patched(&on, &operations(&json!([{"op": "replace", "value": {"displayName": null, "nickName": "Al"}}])));
    assert!(free.get("displayName").is_none() && free["nickName"] == "Al");
}

#[test]
fn operations_see_the_effects_of_previous_ones() {
    //
    let on = ada("other");
    let body = operations(&json!([
        {"op": "add", "path": "emails", "value": [{"value": "new@x", "type": "other"}]},
        {"op": "replace", "path": "emails[type eq \"other\"].value", "value": "newer@x"},
        {"op": "remove", "path": "emails[type eq \"work\"]"}
    ]));
    assert_eq!(super::values(&patched(&on, &body)["emails"]), ["home@x", "newer@x"]);
}

#[test]
fn verbs_keys_and_names_are_accepted_in_any_case() {
    // D26
    let on = ada("other");
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "operations": [
        {"OP": "Replace", "Path": "DISPLAYNAME", "Value": "Shout"},
        {"op": "ADD", "path": "Emails[TYPE EQ \"work\"].Display", "value": "Work", "name": "ignored"}
    ]});
    let document = patched(&on, &body);
    assert_eq!((&document["displayName"], &document["emails"][0]["display"]), (&json!("Shout"), &json!("Work")));
    let untitled = json!({"Operations": [{"op": "replace", "path": "title", "value": "No schemas"}]});
    assert_eq!(patched(&on, &untitled)["title"], "No schemas");
}

#[test]
fn keys_without_a_path_may_be_dotted_or_carry_a_urn() {
    // R-219, D27, D37
    let on = ada("azure-ad");
    let body = operations(&json!([{"op": "replace", "value": {
        "name.givenName": "Augusta", format!("{ENTERPRISE}:department"): "Poetry", format!("{USER}:nickName"): "Al", "active": "False"
    }}]));
    let document = patched(&on, &body);
    assert_eq!(document["name"], json!({"givenName": "Augusta", "familyName": "King"}));
    assert_eq!((&document[ENTERPRISE]["department"], &document["nickName"]), (&json!("Poetry"), &json!("Al")));
    assert_eq!(document["active"], false);
    assert!(!document.to_string().contains("name.givenName"));
    let nested = operations(&json!([{"op": "add", "value": {ENTERPRISE: {"division": "West"}}}]));
    assert_eq!(patched(&on, &nested)[ENTERPRISE]["division"], "West");
    let core = operation("replace", &format!("{USER}:userName"), &json!("renamed"));
    assert_eq!(patched(&on, &core)["userName"], "renamed");
}

#[test]
fn a_change_that_changes_nothing_keeps_version_and_time() {
    //
    let on = ada("other");
    let before = on.0.get(&on.1).answered(200).json;
    for body in [
        operation("replace", "title", &json!("Countess")),
        operation("add", "emails", &json!([{"value": "home@x", "type": "home"}])),
        operation("add", "name", &json!({"givenName": "Ada"})),
        removal("nickName"),
        removal("emails[type eq \"fax\"]"),
        operations(
            &json!([{"op": "replace", "path": "title", "value": "x"}, {"op": "replace", "path": "title", "value": "Countess"}]),
        ),
        operations(&json!([{"op": "replace", "value": {"id": before["id"], "displayName": "Ada"}}])),
    ] {
        assert_eq!(patched(&on, &body), before, "{body}");
    }
}

#[test]
fn a_new_primary_replaces_the_old() {
    // R-211, D38
    let primaries = |document: &Value| -> Vec<String> {
        let emails = document["emails"].as_array().unwrap().iter();
        emails
            .filter(|email| email["primary"] == true)
            .map(|email| email["value"].as_str().unwrap().to_owned())
            .collect()
    };
    let on = ada("other");
    let added = patched(&on, &operation("add", "emails", &json!([{"value": "new@x", "primary": true}])));
    assert_eq!(primaries(&added), ["new@x"]);
    let replaced = patched(&on, &operation("replace", "emails[type eq \"home\"].primary", &json!(true)));
    assert_eq!(primaries(&replaced), ["home@x"]);
}

#[test]
fn a_manager_is_set_and_removed_in_every_spelling() {
    // R-060, D34
    let on = ada("azure-ad");
    let boss = on.0.created("/Users", &user("boss"));
    for (path, value) in [
        ("manager".to_owned(), json!(boss)),
        (format!("{ENTERPRISE}:manager"), json!(boss)),
        (format!("{ENTERPRISE}:manager"), json!({"value": boss})),
        (format!("{ENTERPRISE}:manager"), json!([{"value": boss, "$ref": format!("../Users/{boss}")}])),
        (format!("{ENTERPRISE}:manager.value"), json!(boss)),
    ] {
        let document = patched(&on, &operation("Replace", &path, &value));
        assert_eq!(document[ENTERPRISE]["manager"]["value"], boss.as_str(), "{path} {value}");
        let removed =
            if value.is_object() { format!("manager[value eq \"{boss}\"]") } else { format!("{ENTERPRISE}:manager") };
        assert!(patched(&on, &removal(&removed))[ENTERPRISE].get("manager").is_none(), "{removed}");
    }
}

#[test]
fn a_foreign_extension_in_a_path_is_ignored_and_the_rest_counts() {
    // D37
    let on = ada("other");
    let document = patched(
        &on,
        &operations(&json!([
            {"op": "add", "path": "urn:example:unknown:1.0:User:clearance", "value": "top"},
            {"op": "replace", "path": "title", "value": "Applied"}
        ])),
    );
    assert_eq!(document["title"], "Applied");
    assert!(!document.to_string().contains("clearance"));
}

#[test]
fn a_rename_in_a_patch_is_checked_for_uniqueness() {
    //
    let on = ada("other");
    on.0.created("/Users", &user("taken"));
    let body = operations(
        &json!([{"op": "replace", "path": "title", "value": "x"}, {"op": "replace", "path": "userName", "value": "TAKEN"}]),
    );
    on.0.patch(&on.1, &body).refused(409, "uniqueness");
    let document = on.0.get(&on.1).answered(200).json;
    assert_eq!((&document["userName"], &document["title"]), (&json!("ada"), &json!("Countess")));
}

#[test]
fn okta_deactivates_without_a_path() {
    // Okta's catalog apps
    let on = ada("okta");
    let body = operations(&json!([{"op": "replace", "value": {"active": false}}]));
    assert_eq!(patched(&on, &body)["active"], false);
}

#[test]
fn a_role_may_be_packed_as_json_text() {
    // D35: Entra's AppRoleAssignmentsComplex.
    let on = ada("azure-ad");
    let packed = json!([{"value": "{\"id\":\"1\",\"value\":\"admin\",\"displayName\":\"Admin\"}"}]);
    let document = patched(&on, &operation("Add", "roles", &packed));
    assert_eq!((&document["roles"][0]["value"], &document["roles"][0]["display"]), (&json!("admin"), &json!("Admin")));
}
