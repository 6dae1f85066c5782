//! Settings of a configuration. Each switch takes effect with the next request.

use serde_json::{Value, json};

use crate::app::{App, Client};
use crate::caller::{CONFIGURATIONS, Caller};
use crate::sample::{ENTERPRISE, PATCH_OP, USER, group, operation, user, user_with};

fn settings(client: &Client) -> String {
    format!("{CONFIGURATIONS}/{}/settings", client.id)
}

#[track_caller]
fn switched(caller: &Caller, client: &Client, switches: &Value) -> Value {
    caller.patch(&settings(client), &json!({"switches": switches})).answered(200).json
}

#[test]
fn settings_are_read_completely_and_changed_partially() {
    let operator = App::shared().operator();
    let client = operator.configuration("settings-whole", "okta");
    let before = operator.get(&settings(&client)).answered(200).json;
    let mut names: Vec<&String> = before.as_object().unwrap().keys().collect();
    names.sort();
    let all = "connectionName hold lastSeen lastSync preset protectedUsers provider provisioningUrl source switches \
               syncToUserManagement";
    assert_eq!(names, all.split(' ').collect::<Vec<_>>());
    assert_eq!(
        (&before["preset"], &before["provider"], &before["source"]),
        (&json!("okta"), &Value::Null, &json!("okta"))
    );
    assert_eq!(before["provisioningUrl"], client.url.as_str());
    assert_eq!(before["switches"]["unknownMembers"], "skip");
    let body = json!({"connectionName": "Renamed", "provider": "Okta Preview", "more": 1,
        "switches": {"pageMax": 200, "patchResponse": "full", "bulk": null, "unheard": true}});
    let after = operator.patch(&settings(&client), &body).answered(200).json;
    assert_eq!((&after["connectionName"], &after["provider"]), (&json!("Renamed"), &json!("Okta Preview")));
    let mut expected = before["switches"].clone();
    expected["pageMax"] = json!(200);
    expected["patchResponse"] = json!("full");
    assert_eq!(after["switches"], expected);
    assert_eq!(operator.get(&settings(&client)).answered(200).json, after);
    let cleared = operator.patch(&settings(&client), &json!({"provider": null})).answered(200).json;
    assert_eq!((&cleared["provider"], &cleared["switches"]), (&Value::Null, &expected));
    let body = json!({"preset": "entra", "switches": {"bulk": false}});
    let reset = operator.patch(&settings(&client), &body).answered(200).json;
    let of_entra = &reset["switches"];
    assert_eq!(
        (&reset["preset"], &of_entra["pageMax"], &of_entra["bulk"]),
        (&json!("entra"), &json!(500), &json!(false))
    );
    assert_eq!(of_entra["createOnMissingTarget"], true);
    assert_eq!(operator.patch(&settings(&client), &json!({})).answered(200).json, reset);
}

#[test]
fn invalid_settings_are_refused_by_name() {
    let operator = App::shared().operator();
    let client = operator.configuration("settings-wrong", "okta");
    let other = operator.configuration("settings-wrong", "other");
    let before = operator.get(&settings(&client)).answered(200).json;
    for (body, named) in [
        (json!({"connectionName": ""}), "connectionName"),
        (json!({"connectionName": " x"}), "connectionName"),
        (json!({"connectionName": "x".repeat(65)}), "connectionName"),
        (json!({"provider": ""}), "provider"),
        (json!({"preset": "lax"}), "preset"),
        (json!({"switches": []}), "switches"),
        (json!({"switches": {"input": "loose"}}), "switches.input"),
        (json!({"switches": {"bulk": "yes"}}), "switches.bulk"),
        (json!({"switches": {"pageMax": 0}}), "switches.pageMax"),
        (json!({"switches": {"pageMax": 1001}}), "switches.pageMax"),
        (json!({"switches": {"pageDefault": 0}}), "switches.pageDefault"),
        (json!({"switches": {"pageDefault": -1}}), "switches.pageDefault"),
        (json!({"switches": {"pageDefault": 1.5}}), "switches.pageDefault"),
        (json!([]), ""),
    ] {
        let refused = operator.patch(&settings(&client), &body).problem(400);
        assert!(refused.text("message").contains(named), "{body}: {}", refused.json);
    }
    let larger = operator.patch(&settings(&client), &json!({"switches": {"pageMax": 50}})).problem(409);
    assert!(larger.text("message").contains("pageDefault (100)"), "{}", larger.json);
    let taken = operator.get(&settings(&other)).answered(200).text("connectionName");
    let refused =
        operator.patch(&settings(&client), &json!({"connectionName": taken, "preset": "strict"})).problem(409);
    assert!(refused.text("message").contains(&taken), "{}", refused.json);
    assert_eq!(operator.get(&settings(&client)).answered(200).json, before);
}

#[test]
fn a_foreign_configuration_has_no_settings() {
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("settings-theirs", "okta");
    let foreign = app.account_key("settings-mine", &[]);
    foreign.get(&settings(&client)).problem(404);
    foreign.patch(&settings(&client), &json!({"preset": "strict"})).problem(404);
    foreign.patch(&settings(&client), &json!({"preset": 5})).problem(404);
    let own = app.account_key("settings-theirs", &[]);
    assert_eq!(own.patch(&settings(&client), &json!({"preset": "strict"})).answered(200).text("preset"), "strict");
}

#[test]
fn group_names_may_be_duplicate_and_made_unique_again() {
    //
    let operator = App::shared().operator();
    let client = operator.configuration("settings-names", "other");
    let first = client.created("/Groups", &group("Team", &[]));
    client.post("/Groups", &group("TEAM", &[])).refused(409, "uniqueness");
    switched(&operator, &client, &json!({"uniqueGroupNames": false}));
    let second = client.created("/Groups", &group("TEAM", &[]));
    client.created("/Groups", &group("Other", &[]));
    let body = json!({"switches": {"uniqueGroupNames": true}, "connectionName": "not applied"});
    let refused = operator.patch(&settings(&client), &body).problem(409);
    let message = refused.text("message");
    assert!(message.contains("switches.uniqueGroupNames") && message.to_lowercase().contains("\"team\""), "{message}");
    assert!(!message.contains("Other"), "{message}");
    let current = operator.get(&settings(&client)).answered(200).json;
    assert_ne!(current["connectionName"], "not applied");
    assert_eq!(current["switches"]["uniqueGroupNames"], false);
    let renamed = format!("/Groups/{second}");
    client.patch(&renamed, &operation("replace", "displayName", &json!("Second"))).answered(200);
    let version = client.get(&renamed).version();
    switched(&operator, &client, &json!({"uniqueGroupNames": true}));
    assert_eq!(client.get(&renamed).version(), version);
    client.post("/Groups", &group("second", &[])).refused(409, "uniqueness");
    client.post("/Groups", &group("team", &[])).refused(409, "uniqueness");
    client.patch(&renamed, &operation("replace", "displayName", &json!("Team"))).refused(409, "uniqueness");
    client.delete(&format!("/Groups/{first}")).answered(204);
    client.patch(&renamed, &operation("replace", "displayName", &json!("Team"))).answered(200);
}

#[test]
fn an_inactive_user_of_the_same_name_can_be_reactivated() {
    //
    let operator = App::shared().operator();
    let client = operator.configuration("settings-reactivate", "other");
    let id = client.created("/Users", &user_with("ada", &json!({"active": false, "title": "Old"})));
    client.post("/Users", &user("ada")).refused(409, "uniqueness");
    switched(&operator, &client, &json!({"reactivateOnConflict": true}));
    let again = client.post("/Users", &user_with("Ada", &json!({"active": true}))).answered(201);
    assert_eq!(again.id(), id);
    assert_eq!((&again.json["active"], &again.json["userName"]), (&json!(true), &json!("Ada")));
    client.post("/Users", &user("ada")).refused(409, "uniqueness");
    assert_eq!(client.count("/Users"), 1);
}

#[test]
fn discovery_may_be_for_those_with_a_token() {
    //
    let operator = App::shared().operator();
    let client = operator.configuration("settings-discovery", "other");
    let anonymous = || client.request("GET", "/ServiceProviderConfig").without("Authorization").send();
    anonymous().answered(200);
    switched(&operator, &client, &json!({"discovery": "token"}));
    anonymous().refused(401, "");
    client.get("/ServiceProviderConfig").answered(200);
    switched(&operator, &client, &json!({"discovery": "public"}));
    anonymous().answered(200);
}

#[test]
fn responses_may_have_the_content_type_of_plain_json() {
    // OneLogin documents this type; RFC 7644 section 3.8 asks for the other one.
    let operator = App::shared().operator();
    let client = operator.configuration("settings-media-type", "other");
    let id = client.created("/Users", &user("ada"));
    let assert_types = |expected: &str| {
        let requests = [
            client.request("GET", &format!("/Users/{id}")).header("Accept", "application/scim+json"),
            client.request("GET", "/Users").without("Accept"),
            client.request("GET", "/Users/unknown"),
            client.request("POST", "/Users").json(&user("ada")),
            client.request("GET", "/Schemas").without("Authorization"),
            client.request("GET", "/Schemas?filter=x").without("Authorization"),
        ];
        for request in requests {
            let described = format!("{request:?}");
            let sent = request.send();
            assert_eq!(sent.header("content-type"), expected, "{described} {}", sent.status);
        }
    };
    assert_types("application/scim+json");
    switched(&operator, &client, &json!({"responseMediaType": "json"}));
    assert_types("application/json");
    switched(&operator, &client, &json!({"responseMediaType": "negotiated"}));
    assert_types("application/scim+json");
}

#[test]
fn the_other_switches_take_effect_with_the_next_request() {
    let operator = App::shared().operator();
    let client = operator.configuration("settings-effects", "other");
    let id = client.created("/Users", &user("ada"));
    client.created("/Users", &user("bob"));
    let path = format!("/Users/{id}");
    switched(&operator, &client, &json!({"pageDefault": 1, "pageMax": 1}));
    assert_eq!(client.get("/Users").answered(200).json["itemsPerPage"], 1);
    assert_eq!(client.get("/Users?count=2").answered(200).json["itemsPerPage"], 1);
    assert_eq!(client.get("/ServiceProviderConfig").answered(200).json["filter"]["maxResults"], 1);
    switched(&operator, &client, &json!({"patchResponse": "empty"}));
    client.patch(&path, &operation("replace", "title", &json!("x"))).answered(204);
    switched(&operator, &client, &json!({"patchResponse": "auto", "bulk": false}));
    client.post("/Bulk", &json!({})).refused(501, "");
    let deep = operation("replace", "emails[type eq \"work\"].value", &json!("a@x"));
    client.patch(&path, &deep).refused(400, "noTarget");
    switched(&operator, &client, &json!({"createOnMissingTarget": true}));
    client.patch(&path, &deep).answered(200);
    let unknown = group("Team", &["00000000-0000-7000-8000-000000000000"]);
    client.post("/Groups", &unknown).refused(400, "invalidValue");
    switched(&operator, &client, &json!({"unknownMembers": "skip"}));
    client.post("/Groups", &unknown).answered(201);
    assert!(client.get("/ServiceProviderConfig").json.get("pagination").is_some());
    switched(&operator, &client, &json!({"newerDiscoveryMembers": false}));
    assert!(client.get("/ServiceProviderConfig").json.get("pagination").is_none());
    client.post("/Users", &user_with("eve", &json!({"active": "True"}))).answered(201);
    switched(&operator, &client, &json!({"input": "strict"}));
    client.post("/Users", &user_with("fay", &json!({"active": "True"}))).refused(400, "invalidValue");
}

#[test]
fn unselected_attributes_are_discarded_and_not_refused() {
    //
    let operator = App::shared().operator();
    let client = operator.configuration("settings-selected", "other");
    let department = format!("{ENTERPRISE}:department");
    let attributes = json!(["NAME", "externalId", department.to_uppercase(), "name"]);
    switched(&operator, &client, &json!({"wantedAttributes": attributes}));
    let stored = operator.get(&settings(&client)).answered(200).json["switches"]["wantedAttributes"].clone();
    assert_eq!(stored, json!(["name", "externalId", department]));
    let sent = json!({
        "title": "Engineer",
        "displayName": "Ada L.",
        "externalId": "7",
        "name": {"familyName": "Lovelace"},
        "emails": [{"value": "ada@example.com"}],
        ENTERPRISE: {"department": "R&D", "costCenter": "12", "manager": {"value": "x"}},
    });
    let stores_only_selected_attributes = |id: &str, family_name: &str, department: &str| {
        let document = client.get(&format!("/Users/{id}")).answered(200).json;
        let names: Vec<&String> = document.as_object().unwrap().keys().filter(|name| *name != "groups").collect();
        assert_eq!(names, ["schemas", "id", "externalId", "userName", "name", "active", ENTERPRISE, "meta"]);
        assert_eq!(document["name"], json!({"familyName": family_name}));
        assert_eq!(document[ENTERPRISE], json!({"department": department}));
    };
    let id = client.created("/Users", &user_with("ada", &sent));
    stores_only_selected_attributes(&id, "Lovelace", "R&D");
    client.put(&format!("/Users/{id}"), &user_with("ada", &sent)).answered(200);
    stores_only_selected_attributes(&id, "Lovelace", "R&D");
    let path = format!("/Users/{id}");
    for (target, value) in [
        ("title", json!("Lead")),
        ("displayName", json!("Ada")),
        ("emails", json!([{"value": "b@example.com"}])),
        ("emails[type eq \"work\"].value", json!("c@example.com")),
        (&*format!("{ENTERPRISE}:costCenter"), json!("13")),
        (&*format!("{ENTERPRISE}:manager.value"), json!("y")),
    ] {
        client.patch(&path, &operation("replace", target, &value)).answered(200);
        stores_only_selected_attributes(&id, "Lovelace", "R&D");
    }
    let whole = json!({"title": "x", "name.familyName": "Byron", ENTERPRISE: {"department": "Math", "division": "1"}});
    let without_path = json!({"schemas": [PATCH_OP], "Operations": [{"op": "replace", "value": whole}]});
    client.patch(&path, &without_path).answered(200);
    stores_only_selected_attributes(&id, "Byron", "Math");
    let found = client.get("/Users?filter=emails.value%20eq%20%22ada@example.com%22").answered(200).json;
    assert_eq!(found["totalResults"], 0);
    let team = client.created("/Groups", &group("Team", &[&id]));
    assert_eq!(client.get(&format!("/Groups/{team}")).answered(200).json["displayName"], "Team");
    let listed = client.get(&format!("/Schemas/{USER}")).answered(200).json;
    let listed: Vec<&str> =
        listed["attributes"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert!(listed.contains(&"name") && !listed.contains(&"title"), "{listed:?}");

    // A preset does not change the list; an empty list accepts everything again.
    operator.patch(&settings(&client), &json!({"preset": "okta"})).answered(200);
    client.patch(&path, &operation("replace", "title", &json!("Lead"))).answered(200);
    stores_only_selected_attributes(&id, "Byron", "Math");
    switched(&operator, &client, &json!({"wantedAttributes": []}));
    let answered = client.patch(&path, &operation("replace", "title", &json!("Lead"))).answered(200).json;
    assert_eq!(answered["title"], "Lead");
}

#[test]
fn an_unknown_attribute_cannot_be_selected() {
    let operator = App::shared().operator();
    let client = operator.configuration("settings-selected-wrong", "other");
    for name in ["shoeSize", "name.familyName", "meta", "", "urn:example:none", "a b"] {
        let body = json!({"switches": {"wantedAttributes": ["title", name]}});
        let refused = operator.patch(&settings(&client), &body).problem(409);
        assert!(refused.text("message").contains(&format!("{name:?}")), "{}", refused.text("message"));
    }
}

#[test]
fn the_command_line_changes_name_preset_and_sync() {
    let app = App::shared();
    let operator = app.operator();
    let client = operator.configuration("settings-cli", "other");
    let update = ["configuration", "update", &client.id, "--name", "By hand", "--preset", "strict", "--sync", "off"];
    app.succeeds(&update);
    let current = operator.get(&settings(&client)).answered(200).json;
    assert_eq!((&current["connectionName"], &current["preset"]), (&json!("By hand"), &json!("strict")));
    assert_eq!(current["syncToUserManagement"], false);
    app.succeeds(&["configuration", "update", &client.id, "--sync", "on"]);
    let current = operator.get(&settings(&client)).answered(200).json;
    assert_eq!((&current["syncToUserManagement"], &current["connectionName"]), (&json!(true), &json!("By hand")));
}
