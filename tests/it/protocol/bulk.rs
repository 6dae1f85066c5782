//! Bulk jobs (RFC 7644 section 3.7).

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::app::{App, Client, Reply};
use crate::protocol::values;
use crate::sample::{ENTERPRISE, ERROR, PATCH_OP, USER, group, operation, user, user_with};

const REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
const RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";
const BODY_MAX: usize = 8 * 1024 * 1024;

fn job(operations: &Value) -> Value {
    json!({"schemas": [REQUEST], "Operations": operations})
}

fn post(endpoint: &str, bulk_id: &str, data: &Value) -> Value {
    json!({"method": "POST", "path": endpoint, "bulkId": bulk_id, "data": data})
}

/// Runs a job that must be processed, and checks the rules for every result.
#[track_caller]
fn run(client: &Client, body: &Value) -> Vec<Value> {
    let reply = client.post("/Bulk", body).answered(200);
    assert_eq!(reply.json["schemas"], json!([RESPONSE]));
    let results = reply.json["Operations"].as_array().unwrap().clone();
    for result in &results {
        let status: u16 = result["status"].as_str().expect("the status is text").parse().unwrap();
        if status < 300 {
            assert!(result["location"].is_string() && result.get("response").is_none(), "{result}");
        } else {
            assert_eq!(result["response"]["schemas"], json!([ERROR]), "{result}");
            assert_eq!(result["response"]["status"], result["status"], "{result}");
            assert!(result["response"]["detail"].as_str().is_some_and(|text| !text.is_empty()), "{result}");
            assert!(result["method"] != "POST" || result.get("location").is_none(), "{result}");
        }
    }
    results
}

#[track_caller]
fn ran(client: &Client, operations: &Value) -> Vec<Value> {
    let results = run(client, &job(operations));
    assert_eq!(results.len(), operations.as_array().unwrap().len());
    results
}

fn statuses(results: &[Value]) -> Vec<&str> {
    results.iter().filter_map(|result| result["status"].as_str()).collect()
}

/// The resource at the location of a result.
#[track_caller]
fn followed(client: &Client, result: &Value) -> Reply {
    let location = result["location"].as_str().unwrap_or_else(|| panic!("no location in {result}"));
    let path = location.strip_prefix(&client.url).unwrap_or_else(|| panic!("{location} is elsewhere"));
    client.get(path)
}

#[track_caller]
fn id(client: &Client, result: &Value) -> String {
    followed(client, result).answered(200).id()
}

#[test]
fn a_mixed_job_does_what_the_single_calls_do() {
    // R-252, R-253, R-255, R-259, R-260
    let client = App::shared().configuration("other");
    let updated = client.created("/Users", &user("updated"));
    let gone = client.created("/Users", &user("gone"));
    let results = ran(
        &client,
        &json!([
            post("/Users", "new", &user("new")),
            {"method": "PUT", "path": format!("/Users/{updated}"), "data": user_with("updated", &json!({"title": "Dr"}))},
            {"method": "PATCH", "path": format!("/Users/{updated}"), "bulkId": "p", "data": operation("add", "nickName", &json!("K"))},
            {"method": "DELETE", "path": format!("/Users/{gone}")},
        ]),
    );
    assert_eq!(statuses(&results), ["201", "200", "200", "204"]);
    assert_eq!((&results[0]["bulkId"], &results[0]["method"]), (&json!("new"), &json!("POST")));
    assert_eq!(followed(&client, &results[0]).answered(200).version(), results[0]["version"]);
    let document = followed(&client, &results[2]).answered(200);
    assert_eq!(
        (document.version(), &results[2]["bulkId"]),
        (results[2]["version"].as_str().unwrap().to_owned(), &json!("p"))
    );
    assert_eq!((&document.json["title"], &document.json["nickName"]), (&json!("Dr"), &json!("K")));
    assert_ne!(results[1]["version"], results[2]["version"]);
    assert!(results[3]["location"].as_str().unwrap().ends_with(&format!("/Users/{gone}")));
    assert!(results[3].get("version").is_none());
    followed(&client, &results[3]).refused(404, "");
}

#[test]
fn references_are_replaced_in_bodies_extensions_and_paths() {
    // R-256, R-258
    let client = App::shared().configuration("other");
    let staff = client.created("/Groups", &group("Staff", &[]));
    let by_ref = json!({"schemas": [crate::sample::GROUP], "displayName": "By reference", "members": [{"$ref": "bulkId:ada"}, {"$ref": "/Users/bulkId:bob"}]});
    let results = ran(
        &client,
        &json!([
            post("/Groups", "g", &group("Ahead", &["bulkId:ada", "bulkId:bob"])),
            post("/Users", "ada", &user("ada")),
            post("/Users", "bob", &user_with("bob", &json!({ENTERPRISE: {"manager": {"value": "bulkId:ada", "$ref": "bulkId:ada"}}}))),
            {"method": "PATCH", "path": "/Users/bulkId:ada", "data": operation("add", "title", &json!("Countess"))},
            {"method": "PATCH", "path": format!("/Groups/{staff}"), "data": operation("add", "members", &json!([{"value": "bulkId:bob"}, {"value": "bulkId:ada"}]))},
            {"method": "PATCH", "path": format!("/Groups/{staff}"), "data": {"schemas": [PATCH_OP], "Operations": [{"op": "remove", "path": "members[value eq \"bulkId:ada\"]"}]}},
            post("/Groups", "r", &by_ref),
            post("/Users", "eve", &user_with("eve", &json!({ENTERPRISE: {"manager": "bulkId:bob"}}))),
        ]),
    );
    assert_eq!(statuses(&results), ["201", "201", "201", "200", "200", "200", "201", "201"]);
    let (ada, bob) = (id(&client, &results[1]), id(&client, &results[2]));
    let both: HashSet<&str> = [ada.as_str(), bob.as_str()].into();
    for number in [0, 6] {
        let document = followed(&client, &results[number]).answered(200).json;
        assert_eq!(values(&document["members"]).into_iter().collect::<HashSet<_>>(), both, "{document}");
    }
    let document = followed(&client, &results[2]).answered(200).json;
    let manager = &document[ENTERPRISE]["manager"];
    assert_eq!((&manager["value"], &manager["$ref"]), (&json!(ada), &results[1]["location"]));
    assert_eq!(followed(&client, &results[3]).answered(200).json["title"], "Countess");
    assert_eq!(values(&client.get(&format!("/Groups/{staff}")).answered(200).json["members"]), [bob.as_str()]);
    assert_eq!(followed(&client, &results[7]).answered(200).json[ENTERPRISE]["manager"]["value"], bob.as_str());
    assert!(!client.get("/Users").answered(200).json.to_string().contains("bulkId"));
}

#[test]
fn groups_with_circular_references_are_created_together_or_not_at_all() {
    // R-257
    let client = App::shared().configuration("other");
    let circle = json!([
        post("/Groups", "a", &group("A", &["bulkId:b", "bulkId:u"])),
        post("/Groups", "b", &group("B", &["bulkId:a"])),
        post("/Users", "u", &user("u")),
    ]);
    let results = ran(&client, &circle);
    assert_eq!(statuses(&results), ["201", "201", "201"]);
    let (a, b) = (id(&client, &results[0]), id(&client, &results[1]));
    let first = followed(&client, &results[0]).answered(200);
    assert_eq!(first.version(), results[0]["version"]);
    assert!(values(&first.json["members"]).contains(&b.as_str()));
    assert_eq!(values(&followed(&client, &results[1]).answered(200).json["members"]), [a.as_str()]);

    let results = ran(
        &client,
        &json!([
            post("/Groups", "c", &group("C", &["bulkId:d"])),
            post("/Groups", "d", &group("A", &["bulkId:c"])),
            post("/Groups", "e", &group("E", &["bulkId:c"])),
            post("/Groups", "f", &group("F", &["bulkId:f"])),
        ]),
    );
    assert_eq!(statuses(&results), ["409", "409", "409", "400"]);
    assert_eq!(results[1]["response"]["scimType"], "uniqueness");
    assert_eq!(client.count("/Groups"), 2);
    let managers = ran(
        &client,
        &json!([
            post("/Users", "x", &user_with("x", &json!({ENTERPRISE: {"manager": {"value": "bulkId:y"}}}))),
            post("/Users", "y", &user_with("y", &json!({ENTERPRISE: {"manager": {"value": "bulkId:x"}}}))),
        ]),
    );
    let (x, y) = (id(&client, &managers[0]), id(&client, &managers[1]));
    assert_eq!(client.find("/Users", &format!("manager.value eq \"{y}\""))[0]["id"], x.as_str());
}

#[test]
fn unresolvable_references_are_409_and_named() {
    // R-257, R-258, R-264
    let client = App::shared().configuration("okta");
    let results = ran(
        &client,
        &json!([
            post("/Groups", "g", &group("G", &["bulkId:unknown"])),
            post("/Users", "bad", &json!({"schemas": [USER]})),
            post("/Groups", "h", &group("H", &["bulkId:bad"])),
            {"method": "PATCH", "path": "/Users/bulkId:bad", "data": operation("add", "title", &json!("x"))},
            {"method": "DELETE", "path": "/Users/bulkId:never"},
            post("/Users", "fine", &user("fine")),
        ]),
    );
    assert_eq!(statuses(&results), ["409", "400", "409", "409", "409", "201"]);
    for (number, name) in [(0, "unknown"), (2, "bad"), (3, "bad"), (4, "never")] {
        let detail = results[number]["response"]["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("\"{name}\"")), "{detail}");
    }
    assert_eq!((client.count("/Groups"), client.count("/Users")), (0, 1));
    // If the create ran before the deletion, its name would still be in use.
    let taken = results[5]["location"].as_str().unwrap();
    let results = ran(
        &client,
        &json!([
            {"method": "PATCH", "path": taken, "data": operation("add", "manager", &json!({"value": "bulkId:next"}))},
            {"method": "DELETE", "path": taken},
            post("/Users", "next", &user("fine")),
        ]),
    );
    assert_eq!(statuses(&results), ["409", "204", "201"]);
}

#[test]
fn a_job_stops_after_the_errors_it_allows() {
    // R-254
    let client = App::shared().configuration("other");
    let bad = |name: &str| post("/Users", name, &json!({"schemas": [USER]}));
    let operations = json!([
        post("/Users", "1", &user("one")),
        bad("2"),
        post("/Users", "3", &user("three")),
        bad("4"),
        post("/Users", "5", &user("five")),
    ]);
    let with_limit = |limit: usize| json!({"schemas": [REQUEST], "failOnErrors": limit, "Operations": operations});
    let results = run(&client, &with_limit(1));
    assert_eq!(statuses(&results), ["201", "400"]);
    assert_eq!(client.count("/Users"), 1);
    let results = run(&client, &with_limit(2));
    assert_eq!(statuses(&results), ["409", "400"]);
    let results = run(&client, &with_limit(3));
    assert_eq!(statuses(&results), ["409", "400", "201", "400"]);
    assert_eq!(client.count("/Users"), 2);
    let results = run(&client, &with_limit(1000));
    assert_eq!(statuses(&results), ["409", "400", "409", "400", "201"]);
    let mut many: Vec<Value> =
        (0..200).map(|n| post("/Users", &format!("m{n}"), &user(&format!("many-{n}")))).collect();
    many[150] = bad("bad");
    let results = run(&client, &json!({"schemas": [REQUEST], "failOnErrors": 1, "Operations": many}));
    assert_eq!(results.len(), 151);
    assert_eq!(client.count("/Users"), 3 + 150);
}

#[test]
fn each_refused_item_has_its_error_and_the_others_succeed() {
    // R-253, R-254, R-259, R-264
    let client = App::shared().configuration("other");
    let existing = client.created("/Users", &user("existing"));
    let unknown = "/Users/00000000-0000-7000-8000-000000000000";
    let cases = [
        (json!({"method": "POST", "path": "/Users", "data": user("a")}), "400", "invalidSyntax"),
        (post("/Users", "twice", &user("b")), "201", ""),
        (post("/Users", "twice", &user("c")), "400", "invalidSyntax"),
        (json!({"method": "GET", "path": format!("/Users/{existing}")}), "400", "invalidSyntax"),
        (json!({"method": "POST", "bulkId": "x", "data": user("d")}), "400", "invalidSyntax"),
        (json!({"method": "POST", "path": "/Users", "bulkId": "y"}), "400", "invalidSyntax"),
        (json!(null), "400", "invalidSyntax"),
        (post("/Bulk", "n", &job(&json!([post("/Users", "z", &user("nested"))]))), "400", "invalidValue"),
        (post("/Users/.search", "s", &json!({})), "400", "invalidValue"),
        (post("/Schemas", "q", &json!({})), "400", "invalidValue"),
        (post("/Devices", "t", &json!({})), "404", ""),
        (post("/Me", "m", &user("e")), "501", ""),
        (post("/v1/Users", "v", &user("e")), "400", "invalidVers"),
        (post("http://elsewhere.example/Users", "o", &user("e")), "400", "invalidValue"),
        (post(&format!("/Users/{existing}"), "k", &user("e")), "405", ""),
        (json!({"method": "DELETE", "path": "/Users"}), "405", ""),
        (json!({"method": "PUT", "path": unknown, "data": {}}), "404", ""),
        (json!({"method": "PATCH", "path": unknown, "data": {}}), "404", ""),
        (json!({"method": "DELETE", "path": unknown}), "404", ""),
        (
            json!({"method": "PATCH", "path": format!("/Users/{existing}"), "data": operation("replace", "id", &json!("7"))}),
            "400",
            "mutability",
        ),
        (post("/Users", "u", &user("EXISTING")), "409", "uniqueness"),
        (post("/Users", "w", &json!("text")), "400", "invalidSyntax"),
        (post("/Users?attributes=id", "last", &user("last")), "201", ""),
    ];
    let operations: Value = cases.iter().map(|(operation, ..)| operation.clone()).collect();
    let results = ran(&client, &operations);
    for (result, (operation, status, scim_type)) in results.iter().zip(&cases) {
        assert_eq!(result["status"], *status, "{operation} gave {result}");
        assert_eq!(
            result["response"]["scimType"].as_str().unwrap_or_default(),
            *scim_type,
            "{operation} gave {result}"
        );
    }
    assert!(results[16]["location"].as_str().unwrap().ends_with(unknown));
    assert_eq!(client.count("/Users"), 3);
}

#[test]
fn a_version_in_an_item_is_a_precondition() {
    // R-261
    let client = App::shared().configuration("other");
    let ids: Vec<String> = ["a", "b", "c"].map(|name| client.created("/Users", &user(name))).into();
    let stale = client.get(&format!("/Users/{}", ids[0])).answered(200).version();
    client.patch(&format!("/Users/{}", ids[0]), &operation("add", "title", &json!("x"))).answered(200);
    let current = client.get(&format!("/Users/{}", ids[1])).answered(200).version();
    let results = ran(
        &client,
        &json!([
            {"method": "PUT", "path": format!("/Users/{}", ids[0]), "version": stale, "data": user("renamed")},
            {"method": "DELETE", "path": format!("/Users/{}", ids[0]), "version": stale},
            {"method": "PATCH", "path": format!("/Users/{}", ids[1]), "version": current, "data": operation("add", "title", &json!("y"))},
            {"method": "PATCH", "path": format!("/Users/{}", ids[1]), "version": current, "data": operation("add", "title", &json!("z"))},
            {"method": "DELETE", "path": format!("/Users/{}", ids[2]), "version": "*"},
        ]),
    );
    assert_eq!(statuses(&results), ["412", "412", "200", "412", "204"]);
    assert_eq!(client.get(&format!("/Users/{}", ids[0])).answered(200).json["userName"], "a");
    assert_eq!(client.get(&format!("/Users/{}", ids[1])).answered(200).json["title"], "y");
}

#[test]
fn items_on_one_resource_take_effect_in_the_order_of_the_request() {
    // R-258
    let client = App::shared().configuration("other");
    let path = format!("/Users/{}", client.created("/Users", &user("ada")));
    let set = |n: usize| json!({"method": "PATCH", "path": path, "data": operation("replace", "title", &json!(n.to_string()))});
    let results = ran(&client, &(0..300).map(set).collect());
    assert!(results.iter().all(|result| result["status"] == "200"));
    let versions: HashSet<&str> = results.iter().filter_map(|result| result["version"].as_str()).collect();
    assert_eq!(versions.len(), 300);
    assert_eq!(client.get(&path).answered(200).json["title"], "299");
}

#[test]
fn a_path_may_be_a_whole_url_and_a_patch_its_operations_alone() {
    // R-253, R-263
    let client = App::shared().configuration("other");
    let id = client.created("/Users", &user("ada"));
    let bare = |value: &str| json!([{"op": "replace", "path": "title", "value": value}]);
    let paths = [format!("{}/Users/{id}", client.url), format!("{}/Users/{id}", client.base), format!("Users/{id}")];
    let operations: Value =
        paths.iter().map(|path| json!({"method": "PATCH", "path": path, "data": bare(path)})).collect();
    assert_eq!(statuses(&ran(&client, &operations)), ["200"; 3]);
    assert_eq!(client.get(&format!("/Users/{id}")).answered(200).json["title"], paths[2].as_str());
    // Under another base path the results use that one, and paths with the first one are accepted.
    let reply = client.request_to("POST", "/scim/v2/Bulk").json(&job(&operations)).send().answered(200);
    let location = reply.json["Operations"][0]["location"].as_str().unwrap();
    assert!(location.ends_with(&format!("/scim/v2/Users/{id}")), "{location}");
}

#[test]
fn a_thousand_creates_are_one_job_and_one_more_is_413() {
    // R-262
    let client = App::shared().configuration("other");
    let create = |n: usize| post("/Users", &n.to_string(), &user(&format!("user-{n}")));
    let thousand: Value = (0..1000).map(create).collect();
    let results = ran(&client, &thousand);
    let asked = thousand.as_array().unwrap().iter().map(|operation| &operation["bulkId"]);
    assert!(results.iter().zip(asked).all(|(result, id)| result["status"] == "201" && result["bulkId"] == *id));
    assert_eq!(client.count("/Users"), 1000);
    let more: Value = (1000..2001).map(create).collect();
    let refused = client.post("/Bulk", &job(&more)).refused(413, "");
    assert!(refused.json["detail"].as_str().unwrap().contains("1000"), "{}", refused.json);
    assert_eq!(client.count("/Users"), 1000);
    let again = ran(&client, &thousand);
    assert!(again.iter().all(|result| result["response"]["scimType"] == "uniqueness"));
}

#[test]
fn a_job_over_the_size_limit_is_413_without_reading_it() {
    // R-262
    let client = App::shared().configuration("other");
    let request = client.request("POST", "/Bulk").header("Content-Type", "application/scim+json");
    let refused = request.header("Content-Length", "8388609").send().refused(413, "");
    assert!(refused.json["detail"].as_str().unwrap().contains(&BODY_MAX.to_string()), "{}", refused.json);
}

#[test]
fn an_invalid_bulk_body_is_refused_and_only_post_is_allowed() {
    // R-252, R-093
    let client = App::shared().configuration("other");
    let operations = json!([post("/Users", "a", &user("a"))]);
    for body in [
        json!({"Operations": operations}),
        json!({"schemas": [PATCH_OP], "Operations": operations}),
        json!({"schemas": [REQUEST]}),
        json!({"schemas": [REQUEST], "Operations": []}),
        json!({"schemas": [REQUEST], "Operations": {}}),
        json!([]),
    ] {
        client.post("/Bulk", &body).refused(400, "invalidSyntax");
    }
    for limit in [json!(0), json!(-1), json!("1"), json!(1.5)] {
        let body = json!({"schemas": [REQUEST], "failOnErrors": limit, "Operations": operations});
        client.post("/Bulk", &body).refused(400, "invalidValue");
    }
    for method in ["GET", "PUT", "PATCH", "DELETE"] {
        let refused = client.request(method, "/Bulk").send().refused(405, "");
        assert_eq!(refused.header("allow"), "POST, OPTIONS");
    }
    client.request("POST", "/Bulk").without("Authorization").json(&job(&operations)).send().refused(401, "");
    assert_eq!(client.count("/Users"), 0);
}

#[test]
fn a_job_in_which_everything_fails_leaves_nothing() {
    // R-254, R-264
    let client = App::shared().configuration("other");
    let before = client.created("/Groups", &group("Before", &[]));
    let version = client.get(&format!("/Groups/{before}")).answered(200).version();
    let operations: Value = (0..150)
        .map(|n| match n % 3 {
            0 => post("/Users", &n.to_string(), &json!({"schemas": [USER]})),
            1 => post("/Groups", &n.to_string(), &group("Before", &[])),
            _ => json!({"method": "PATCH", "path": format!("/Groups/{before}"), "data": operation("add", "members", &json!([{"value": "unknown"}]))}),
        })
        .collect();
    let results = ran(&client, &operations);
    assert!(results.iter().all(|result| result["response"].is_object()));
    assert_eq!((client.count("/Users"), client.count("/Groups")), (0, 1));
    assert_eq!(client.get(&format!("/Groups/{before}")).answered(200).version(), version);
}

#[test]
fn a_job_reaches_its_own_configuration_only() {
    // T12, T14
    let (ours, theirs) = (App::shared().configuration("other"), App::shared().configuration("other"));
    let foreign = theirs.created("/Users", &user("ada"));
    let results = ran(
        &ours,
        &json!([
            post("/Users", "a", &user("ada")),
            {"method": "DELETE", "path": format!("/Users/{foreign}")},
            {"method": "PATCH", "path": format!("/Users/{foreign}"), "data": operation("add", "title", &json!("x"))},
            {"method": "PUT", "path": format!("{}/Users/{foreign}", theirs.url), "data": user("x")},
            post("/Groups", "g", &group("G", &[&foreign])),
            post(&format!("{}/Users", theirs.url), "b", &user("b")),
        ]),
    );
    assert_eq!(statuses(&results), ["201", "404", "404", "400", "400", "400"]);
    assert_eq!((ours.count("/Users"), ours.count("/Groups"), theirs.count("/Users")), (1, 0, 1));
    assert!(theirs.get(&format!("/Users/{foreign}")).answered(200).json.get("title").is_none());
}

#[test]
fn a_configuration_may_do_without_bulk() {
    // R-251
    let app = App::shared();
    let client = app.configuration("other");
    let config = client.get("/ServiceProviderConfig").answered(200).json;
    assert_eq!(config["bulk"], json!({"supported": true, "maxOperations": 1000, "maxPayloadSize": BODY_MAX}));
    let database = crate::app::open_database(app.data.join("rollcall.db"));
    database.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
    let off = "UPDATE configurations SET switches = json_set(switches, '$.bulk', json('false')), revision = revision + 1 WHERE id = ?1";
    assert_eq!(database.execute(off, [&client.id]).unwrap(), 1);
    crate::app::wait_for_snapshots();
    client.post("/Bulk", &job(&json!([post("/Users", "a", &user("a"))]))).refused(501, "");
    let config = client.get("/ServiceProviderConfig").answered(200).json;
    assert_eq!(config["bulk"], json!({"supported": false, "maxOperations": 1000, "maxPayloadSize": BODY_MAX}));
    assert_eq!(client.count("/Users"), 0);
}
