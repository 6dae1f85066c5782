//! Deviations of identity providers that are accepted everywhere, noted in the request log, and refused by the strict
//! preset.

use serde_json::{Value, json};

use crate::app::{App, Client, Reply};
use crate::caller::CONFIGURATIONS;
use crate::sample::{ENTERPRISE, GROUP, encode, group, operation, operations, user, user_with};

fn lenient() -> Client {
    App::shared().configuration("other")
}

fn strict() -> Client {
    App::shared().configuration_with_preset("strict")
}

/// The notes of a call in the request log, which is written with a delay.
fn notes_of(client: &Client, reply: &Reply) -> String {
    let path = format!("{CONFIGURATIONS}/{}/requests/{}", client.id, reply.header("x-request-id"));
    for _ in 0..600 {
        let found = App::shared().operator().get(&path);
        if found.status == 200 {
            return found.json["notes"].to_string();
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("no entry at {path}");
}

#[test]
fn an_operation_on_an_unknown_attribute_is_skipped_and_noted() {
    let core = "urn:ietf:params:scim:schemas:core:2.0:User:deskColour";
    let enterprise = format!("{ENTERPRISE}:shoeSize");
    let foreign = "urn:example:hr:2.0:User:badge";
    let unknown = [core, &enterprise, foreign, "deskColour", "name.shoeSize", "emails[type eq \"work\"].shade"];
    for (op, path) in ["add", "replace", "remove"].iter().flat_map(|op| unknown.iter().map(move |path| (op, path))) {
        let (client, refusing) = (lenient(), strict());
        let body = operations(&json!([
            {"op": op, "path": path, "value": "x"},
            {"op": "replace", "path": "active", "value": false},
        ]));
        let user_path = format!("/Users/{}", client.created("/Users", &user("ada")));
        assert_eq!(client.patch(&user_path, &body).answered(200).json["active"], false, "{op} {path}");
        let user_path = format!("/Users/{}", refusing.created("/Users", &user("ada")));
        refusing.patch(&user_path, &body).refused(400, "invalidPath");
        assert_eq!(refusing.get(&user_path).answered(200).json["active"], true);
    }
    let client = lenient();
    let path = format!("/Groups/{}", client.created("/Groups", &group("Team", &[])));
    let body = operations(&json!([
        {"op": "add", "path": "entitlements", "value": "x"},
        {"op": "replace", "path": "displayName", "value": "Renamed"},
    ]));
    let reply = client.patch(&path, &body).answered(200);
    assert_eq!(reply.json["displayName"], "Renamed");
    let notes = notes_of(&client, &reply);
    assert!(notes.contains("entitlements"), "{notes}");
}

#[test]
fn notes_name_the_skipped_attribute_and_no_value() {
    let client = lenient();
    let long = format!("urn:ietf:params:scim:schemas:extension:{}:2.0:User:badge", "x".repeat(90));
    let given = json!({"shoeSize": 9, "name": {"petName": "secret"}, &long: 1});
    let reply = client.post("/Users", &user_with("ada", &given)).answered(201);
    let notes = notes_of(&client, &reply);
    for name in ["shoeSize", "name.petName", ":2.0:User:badge"] {
        assert!(notes.contains(name), "{name}: {notes}");
    }
    let body = operation("add", "emails[value eq \"secret@x\"].shade", &json!("x"));
    let reply = client.patch(&format!("/Users/{}", reply.id()), &body).answered(200);
    let notes = notes_of(&client, &reply);
    assert!(!notes.contains("secret") && notes.contains("emails.shade"), "{notes}");
    let foreign =
        json!({"userName": "eve", "urn:ietf:params:scim:schemas:extension:Foo:2.0:User": {"badgeNumber": "secret"}});
    let reply = client.post("/Users", &foreign).answered(201);
    let notes = notes_of(&client, &reply);
    assert!(!notes.contains("secret") && notes.contains(":badgeNumber"), "{notes}");
}

#[test]
fn a_list_of_unknown_members_does_not_empty_a_group() {
    // The preset skips unknown members.
    let client = App::shared().configuration("okta");
    let ada = client.created("/Users", &user("ada"));
    let path = format!("/Groups/{}", client.created("/Groups", &group("Team", &[&ada])));
    let members = |ids: &[&str]| json!(ids.iter().map(|id| json!({"value": id})).collect::<Vec<_>>());
    let unknown = members(&["unknown-1", "unknown-2"]);
    client.patch(&path, &operation("replace", "members", &unknown)).refused(400, "invalidValue");
    client
        .patch(&path, &operations(&json!([{"op": "replace", "value": {"members": unknown}}])))
        .refused(400, "invalidValue");
    client
        .put(&path, &json!({"schemas": [GROUP], "displayName": "New", "members": unknown}))
        .refused(400, "invalidValue");
    let stored = client.get(&path).answered(200).json;
    assert_eq!((super::values(&stored["members"]), &stored["displayName"]), (vec![ada.as_str()], &json!("Team")));
    // One known member is enough, and an addition of unknown members changes nothing.
    let bob = client.created("/Users", &user("bob"));
    client.patch(&path, &operation("add", "members", &unknown)).answered(200);
    let mixed = members(&["unknown-1", &bob]);
    let replaced = client.patch(&path, &operation("replace", "members", &mixed)).answered(200).json;
    assert_eq!(super::values(&replaced["members"]), [bob.as_str()]);
    let emptied = client.patch(&path, &operation("replace", "members", &json!([]))).answered(200).json;
    assert_eq!(emptied["members"], json!([]));
}

#[test]
fn a_patch_without_operations_changes_nothing() {
    let body = operations(&json!([]));
    let client = lenient();
    let path = format!("/Users/{}", client.created("/Users", &user("ada")));
    let before = client.get(&path).answered(200).json;
    assert_eq!(client.patch(&path, &body).answered(200).json, before);
    let client = strict();
    let path = format!("/Users/{}", client.created("/Users", &user("ada")));
    client.patch(&path, &body).refused(400, "invalidSyntax");
}

#[test]
fn obsolete_names_of_the_enterprise_extension_are_read() {
    for version in ["1.0", "2.0"] {
        for suffix in ["", ":User"] {
            let client = lenient();
            let urn = format!("urn:scim:schemas:extension:enterprise:{version}{suffix}");
            let body = json!({"schemas": ["urn:scim:schemas:core:1.0", urn], "userName": "ada", &urn: {
                "department": "Engines", "manager": {"managerId": "7"},
            }});
            let made = client.post("/Users", &body).answered(201).json;
            assert_eq!(made[ENTERPRISE]["department"], "Engines", "{urn}: {made}");
            assert_eq!(made[ENTERPRISE]["manager"]["value"], "7");
            let path = format!("/Users/{}", made["id"].as_str().unwrap());
            let changed = client.patch(&path, &operation("replace", &format!("{urn}:department"), &json!("Looms")));
            assert_eq!(changed.answered(200).json[ENTERPRISE]["department"], "Looms");
            strict().post("/Users", &body).refused(400, "invalidSyntax");
        }
    }
}

/// Microsoft's reference collection sends `urn:…:User.manager`.
#[test]
fn a_period_after_the_urn_is_read_as_a_colon() {
    let (client, department) = (lenient(), format!("{ENTERPRISE}.department"));
    let boss = client.created("/Users", &user("boss"));
    let made = client.post("/Users", &user_with("ada", &json!({&department: "Engines"}))).answered(201).json;
    assert_eq!(made[ENTERPRISE]["department"], "Engines");
    let path = format!("/Users/{}", made["id"].as_str().unwrap());
    let patch = |path: &str, value: Value| operation("replace", path, &value);
    let changed = client.patch(&path, &patch(&format!("{ENTERPRISE}.manager"), json!(boss))).answered(200).json;
    assert_eq!(changed[ENTERPRISE]["manager"]["value"], boss);
    let changed = client.patch(&path, &patch(&department, json!("Looms"))).answered(200).json;
    assert_eq!(changed[ENTERPRISE]["department"], "Looms");
    let found = client.get(&format!("/Users?filter={}", encode(&format!("{department} eq \"Looms\"")))).answered(200);
    assert_eq!(found.json["totalResults"], 1);
    let client = strict();
    let path = format!("/Users/{}", client.created("/Users", &user("ada")));
    client.patch(&path, &patch(&department, json!("Looms"))).refused(400, "invalidPath");
}

#[test]
fn bare_text_is_the_value_of_an_element() {
    let lists = ["emails", "phoneNumbers", "ims", "photos", "roles", "entitlements", "x509Certificates"];
    for name in lists {
        for value in [json!(["QUJD"]), json!("QUJD")] {
            let client = lenient();
            let made = client.post("/Users", &user_with("x", &json!({name: value}))).answered(201).json;
            assert_eq!(made[name], json!([{"value": "QUJD"}]), "{name}");
            let path = format!("/Users/{}", client.created("/Users", &user("y")));
            let changed = client.patch(&path, &operation("add", name, &value)).answered(200).json;
            assert_eq!(changed[name], json!([{"value": "QUJD"}]), "{name}");
            strict().post("/Users", &user_with("x", &json!({name: value}))).refused(400, "invalidValue");
        }
    }
    let client = lenient();
    let ada = client.created("/Users", &user("ada"));
    for value in [json!([ada]), json!(ada)] {
        let made = client.post("/Groups", &json!({"displayName": value.to_string(), "members": value})).answered(201);
        assert_eq!(super::values(&made.json["members"]), [ada.as_str()]);
    }
}

#[test]
fn a_list_of_one_is_the_value_of_a_single_valued_attribute() {
    let given = json!({
        "displayName": ["Ada"], "active": ["true"], "name": [{"givenName": ["A"]}], "title": [],
        ENTERPRISE: {"manager": [{"value": "7"}], "department": ["Engines"]},
    });
    let client = lenient();
    let made = client.post("/Users", &user_with("x", &given)).answered(201).json;
    assert_eq!(
        (&made["displayName"], &made["active"], &made["name"]["givenName"]),
        (&json!("Ada"), &json!(true), &json!("A"))
    );
    assert_eq!(
        (&made[ENTERPRISE]["manager"]["value"], &made[ENTERPRISE]["department"]),
        (&json!("7"), &json!("Engines"))
    );
    assert!(made.get("title").is_none());
    let path = format!("/Users/{}", made["id"].as_str().unwrap());
    for (name, value) in [("title", json!(["T"])), ("name", json!([{"familyName": "L"}])), ("active", json!([false]))] {
        client.patch(&path, &operation("replace", name, &value)).answered(200);
    }
    let stored = client.get(&path).answered(200).json;
    assert_eq!(
        (&stored["title"], &stored["name"]["familyName"], &stored["active"]),
        (&json!("T"), &json!("L"), &json!(false))
    );
    client.patch(&path, &operation("replace", "title", &json!(["a", "b"]))).refused(400, "invalidValue");
    strict().post("/Users", &user_with("x", &json!({"displayName": ["Ada"]}))).refused(400, "invalidValue");
}

#[test]
fn filters_accept_single_quotes_and_lone_backslashes() {
    let client = lenient();
    client.created("/Users", &user("CORP\\ada"));
    client.created("/Users", &user("d'arc"));
    for (filter, found) in [
        ("userName eq 'CORP\\ada'", 1),
        ("userName eq \"CORP\\ada\"", 1),
        ("userName eq \"CORP\\\\ada\"", 1),
        ("userName eq \"CORP\\u005cada\"", 1),
        ("userName eq \"d'arc\"", 1),
        ("userName eq 'd\\'arc'", 1),
        ("userName sw 'CORP'", 1),
    ] {
        assert_eq!(client.find("/Users", filter).len(), found, "{filter}");
    }
    for filter in ["userName eq 'x'", "userName eq \"CORP\\ada\""] {
        strict().get(&format!("/Users?filter={}", encode(filter))).refused(400, "invalidFilter");
    }
}

#[test]
fn a_projection_with_a_filter_selects_the_attribute() {
    let client = lenient();
    let emails = json!([{"value": "a@x", "type": "work"}, {"value": "b@x", "type": "home"}]);
    let path =
        format!("/Users/{}", client.created("/Users", &user_with("ada", &json!({"emails": emails, "title": "T"}))));
    for names in
        ["emails[type eq \"work\"]", "emails[type eq \"a,b\" and value eq \"]\"],userName", " emails [ type eq 'x' ] "]
    {
        let given = client.get(&format!("{path}?attributes={}", encode(names))).answered(200).json;
        assert!(
            given["emails"].as_array().is_some_and(|list| list.len() == 2) && given.get("title").is_none(),
            "{given}"
        );
    }
    let given = client.get(&format!("{path}?attributes={}", encode("emails[type eq \"work\"].value,title"))).json;
    assert_eq!((&given["emails"][0], &given["title"]), (&json!({"value": "a@x"}), &json!("T")));
    let given = client.get(&format!("{path}?excludedAttributes={}", encode("emails[type eq \"work\"]"))).json;
    assert!(given["emails"].as_array().is_some_and(|list| list.len() == 2) && given["title"] == "T", "{given}");
}

#[test]
fn endpoints_are_found_in_any_letter_case() {
    let client = lenient();
    let made = client.post("/users", &user("ada")).answered(201);
    assert!(made.header("location").contains("/Users/"));
    let id = made.id();
    for path in [format!("/users/{id}"), format!("/USERS/{id}")] {
        client.get(&path).answered(200);
        client.patch(&path, &operation("replace", "title", &json!("T"))).answered(200);
    }
    for path in ["/groups", "/serviceproviderconfig", "/schemas", "/resourcetypes"] {
        client.get(path).answered(200);
    }
    let search = json!({"schemas": [crate::sample::SEARCH], "filter": "userName pr"});
    client.post("/users/.search", &search).answered(200);
    let job = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [
        {"method": "POST", "path": "/users", "bulkId": "b", "data": user("bob")},
        {"method": "DELETE", "path": format!("/users/{id}")},
    ]});
    let done = client.post("/bulk", &job).answered(200).json;
    let statuses: Vec<&Value> = done["Operations"].as_array().unwrap().iter().map(|one| &one["status"]).collect();
    assert_eq!(statuses, ["201", "204"], "{done}");
}

#[test]
fn a_conflict_names_the_resource_that_has_the_name() {
    let client = lenient();
    let id = client.created("/Users", &user_with("ada", &json!({"active": false})));
    let detail = client.post("/Users", &user("ADA")).refused(409, "uniqueness").json["detail"].to_string();
    assert!(
        detail.contains("userName") && detail.contains(&id) && detail.contains("the inactive resource"),
        "{detail}"
    );
    let other = format!("/Users/{}", client.created("/Users", &user("bob")));
    let detail = client.patch(&other, &operation("replace", "userName", &json!("ada"))).refused(409, "uniqueness").json;
    assert!(detail["detail"].to_string().contains(&id), "{detail}");
    let id = client.created("/Groups", &group("Team", &[]));
    let detail = client.post("/Groups", &group("team", &[])).refused(409, "uniqueness").json["detail"].to_string();
    assert!(detail.contains("displayName") && detail.contains(&id), "{detail}");
}
