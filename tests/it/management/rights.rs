//! Tokens with limited rights at their provisioning URL.

use serde_json::{Value, json};

use crate::app::{App, Client, Reply};
use crate::caller::CONFIGURATIONS;
use crate::sample::{SEARCH, group, operation, user};

const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";

/// A configuration with its first token, and the same with a token of these rights.
fn with_rights(rights: &str) -> (Client, Client) {
    let operator = App::shared().operator();
    let all = operator.configuration(&format!("rights-{rights}"), "other");
    let made = operator.post(&format!("{CONFIGURATIONS}/{}/tokens", all.id), &json!({"rights": rights})).answered(201);
    assert_eq!(made.text("rights"), rights);
    (all.clone(), Client { token: made.text("token"), ..all })
}

#[track_caller]
fn forbidden(reply: Reply) {
    let refused = reply.refused(403, "");
    let detail = refused.json["detail"].as_str().unwrap();
    assert!(detail.starts_with("this token"), "{detail}");
}

fn search() -> Value {
    json!({"schemas": [SEARCH], "count": 10})
}

fn types(reply: &Reply) -> Vec<&str> {
    let found = reply.json["Resources"].as_array().unwrap();
    found.iter().map(|one| one["meta"]["resourceType"].as_str().unwrap()).collect()
}

#[test]
fn a_token_to_read_changes_nothing() {
    //
    let (all, read) = with_rights("read");
    let user_id = all.created("/Users", &user("ada"));
    let team = all.created("/Groups", &group("Team", &[&user_id]));
    for path in ["/Users", "/Groups", "/", "/ServiceProviderConfig", "/Schemas", "/ResourceTypes"] {
        read.get(path).answered(200);
    }
    read.get(&format!("/Users/{user_id}")).answered(200);
    read.request("HEAD", &format!("/Groups/{team}")).send().answered(200);
    for path in ["/.search", "/Users/.search", "/Groups/.search"] {
        read.post(path, &search()).answered(200);
    }
    forbidden(read.post("/Users", &user("eve")));
    forbidden(read.post("/Users", &json!({"broken": true})));
    forbidden(read.put(&format!("/Users/{user_id}"), &user("eve")));
    forbidden(read.patch(&format!("/Users/{user_id}"), &operation("replace", "title", &json!("x"))));
    forbidden(read.delete(&format!("/Users/{user_id}")));
    forbidden(read.delete("/Users/unknown"));
    forbidden(read.patch(&format!("/Groups/{team}"), &operation("replace", "displayName", &json!("x"))));
    forbidden(read.post("/Bulk", &json!({"schemas": [BULK], "Operations": []})));
    assert_eq!((all.count("/Users"), all.count("/Groups")), (1, 1));
}

#[test]
fn a_token_for_users_or_for_groups_does_not_see_the_others() {
    //
    for (rights, own, other) in [("users", "/Users", "/Groups"), ("groups", "/Groups", "/Users")] {
        let (all, limited) = with_rights(rights);
        let user_id = all.created("/Users", &user("ada"));
        let team = all.created("/Groups", &group("Team", &[&user_id]));
        let (mine, theirs) = if rights == "users" { (&user_id, &team) } else { (&team, &user_id) };
        let document = |name: &str| if own == "/Users" { user(name) } else { group(name, &[&user_id]) };
        limited.get(own).answered(200);
        limited.get(&format!("{own}/{mine}")).answered(200);
        limited.post(&format!("{own}/.search"), &search()).answered(200);
        let made = limited.created(own, &document("made"));
        limited.put(&format!("{own}/{made}"), &document("replaced")).answered(200);
        limited.patch(&format!("{own}/{made}"), &operation("replace", "displayName", &json!("x"))).answered(200);
        limited.delete(&format!("{own}/{made}")).answered(204);
        forbidden(limited.get(other));
        forbidden(limited.get(&format!("{other}?filter=id%20eq%20%22{theirs}%22")));
        forbidden(limited.get(&format!("{other}/{theirs}")));
        forbidden(limited.get(&format!("{other}/unknown")));
        forbidden(limited.post(&format!("{other}/.search"), &search()));
        forbidden(limited.post(other, &document("x")));
        forbidden(limited.put(&format!("{other}/{theirs}"), &document("x")));
        forbidden(limited.patch(&format!("{other}/{theirs}"), &operation("replace", "displayName", &json!("x"))));
        forbidden(limited.delete(&format!("{other}/{theirs}")));
        for path in ["/ServiceProviderConfig", "/Schemas", "/ResourceTypes"] {
            limited.get(path).answered(200);
        }
        let seen = if rights == "users" { "User" } else { "Group" };
        assert_eq!(types(&limited.get("/").answered(200)), [seen]);
        assert_eq!(types(&limited.post("/.search", &search()).answered(200)), [seen]);
        assert_eq!(limited.get("/").json["totalResults"], 1);
        assert_eq!(all.get("/").answered(200).json["totalResults"], 2);
    }
}

#[test]
fn each_item_of_a_bulk_job_needs_the_right() {
    let (all, users) = with_rights("users");
    let team = all.created("/Groups", &group("Team", &[]));
    let job = json!({"schemas": [BULK], "Operations": [
        {"method": "POST", "path": "/Users", "bulkId": "ada", "data": user("ada")},
        {"method": "POST", "path": "/Groups", "bulkId": "new", "data": group("New", &["bulkId:ada"])},
        {"method": "PATCH", "path": format!("/Groups/{team}"), "data": operation("replace", "displayName", &json!("x"))},
        {"method": "DELETE", "path": format!("/Groups/{team}")},
        {"method": "POST", "path": "/Users", "bulkId": "bob", "data": user("bob")},
    ]});
    let reply = users.post("/Bulk", &job).answered(200);
    let results = reply.json["Operations"].as_array().unwrap();
    let statuses: Vec<&str> = results.iter().map(|result| result["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["201", "403", "403", "403", "201"]);
    assert!(results[1]["response"]["detail"].as_str().unwrap().contains("users only"), "{}", results[1]);
    assert!(results[2]["location"].as_str().unwrap().ends_with(&format!("/Groups/{team}")), "{}", results[2]);
    assert_eq!((all.count("/Users"), all.count("/Groups")), (2, 1));
    assert_eq!(all.get(&format!("/Groups/{team}")).answered(200).text("displayName"), "Team");
}
