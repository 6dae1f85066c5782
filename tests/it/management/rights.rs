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

/// Names of attributes in a schema document.
fn attribute_names(document: &Value) -> Vec<&str> {
    document["attributes"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one list of all ways to read a name")]
fn a_token_for_users_reads_no_groups_through_users() {
    let (all, users) = with_rights("users");
    let ada = all.created("/Users", &user("ada"));
    let first = users.get(&format!("/Users/{ada}")).answered(200);
    let version = first.version();
    let secret = all.created("/Groups", &group("Secret Name", &[&ada]));
    let outer = all.created("/Groups", &group("Outer", &[&secret]));
    assert!(all.get(&format!("/Users/{ada}")).answered(200).json["groups"].is_array());
    for path in [
        format!("/Users/{ada}"),
        format!("/Users/{ada}?attributes=groups"),
        format!("/Users/{ada}?attributes=groups.display,userName"),
        format!("/Users/{ada}?excludedAttributes=name"),
        "/Users".to_owned(),
        "/Users?attributes=groups".to_owned(),
        "/".to_owned(),
        "/?attributes=groups.value".to_owned(),
    ] {
        let text = users.get(&path).answered(200).json.to_string();
        assert!(!text.contains("groups") && !text.contains("Secret") && !text.contains(&secret), "{path}: {text}");
    }
    for body in [
        operation("replace", "title", &json!("x")),
        operation("add", "nickName", &json!("x")),
        json!({"schemas": [crate::sample::PATCH_OP], "Operations": [{"op": "add", "value": {"groups": [{"value": outer}]}}]}),
    ] {
        let text = users.patch(&format!("/Users/{ada}?attributes=title,groups"), &body).answered(200).json.to_string();
        assert!(!text.contains("groups") && !text.contains(&secret), "{body}: {text}");
    }
    let text = users.put(&format!("/Users/{ada}"), &user("ada")).answered(200).json.to_string();
    assert!(!text.contains("groups"), "{text}");
    for filter in [
        "groups.display eq \"Secret Name\"",
        "groups.display sw \"S\"",
        "groups pr",
        "not (groups.value pr)",
        "userName eq \"ada\" and groups[display co \"ecre\"]",
        &format!("groups eq \"{secret}\""),
        "urn:ietf:params:scim:schemas:core:2.0:User:groups.display pr",
    ] {
        let query = crate::sample::encode(filter);
        let expected = all.get(&format!("/Users?filter={query}")).status;
        assert_eq!(expected, 200, "{filter}");
        for path in ["/Users", "/"] {
            let refused = users.get(&format!("{path}?filter={query}")).refused(400, "invalidFilter");
            let unknown = users.get(&format!("{path}?filter=nosuch%20pr")).refused(400, "invalidFilter");
            let detail = |reply: &Reply| reply.text("detail").split(" \"").next().unwrap().to_owned();
            assert_eq!(detail(&refused), detail(&unknown), "{filter}");
        }
        for path in ["/Users/.search", "/.search"] {
            let body = json!({"schemas": [SEARCH], "filter": filter});
            users.post(path, &body).refused(400, "invalidFilter");
        }
    }
    for sort in ["groups", "groups.display", "groups.value"] {
        users.get(&format!("/Users?sortBy={sort}")).refused(400, "invalidPath");
        users.post("/.search", &json!({"schemas": [SEARCH], "sortBy": sort})).refused(400, "invalidPath");
    }
    for path in
        ["groups[display eq \"Secret Name\"]", "groups[display eq \"Secret Name\"].value", "groups.display", "groups"]
    {
        // The view does not have the attribute, so the operation is skipped like one on any unknown attribute.
        let unchanged = users.get(&format!("/Users/{ada}")).answered(200).version();
        let reply = users.patch(&format!("/Users/{ada}"), &operation("remove", path, &Value::Null)).answered(200);
        assert_eq!(reply.version(), unchanged);
    }
    // The version of a user does not depend on groups, so that it can neither reveal a change nor be searched for a name.
    let before = users.get(&format!("/Users/{ada}")).answered(200).version();
    all.patch(&format!("/Groups/{secret}"), &operation("replace", "displayName", &json!("Other"))).answered(200);
    assert_eq!(users.get(&format!("/Users/{ada}")).answered(200).version(), before);
    assert_ne!(version, before, "the title has changed");
    let found =
        users.get(&format!("/Users?filter={}", crate::sample::encode(&format!("meta.version eq {}", json!(before)))));
    assert_eq!(found.answered(200).json["totalResults"], 1);
    let schemas = users.get("/Schemas").answered(200).json;
    let ids: Vec<&str> =
        schemas["Resources"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [crate::sample::USER, crate::sample::ENTERPRISE]);
    let schema = users.get(&format!("/Schemas/{}", crate::sample::USER)).answered(200).json;
    assert!(!attribute_names(&schema).contains(&"groups"));
    users.get(&format!("/Schemas/{}", crate::sample::GROUP)).answered(404);
    users.get("/ResourceTypes/Group").answered(404);
    assert_eq!(users.get("/ResourceTypes").answered(200).json["totalResults"], 1);
}

#[test]
fn a_token_for_groups_reads_no_names_of_members() {
    let (all, groups) = with_rights("groups");
    let named = |name: &str| json!({"schemas": [crate::sample::USER], "userName": name, "displayName": "Ada Lovelace"});
    let ada = all.created("/Users", &named("ada"));
    let team = all.created("/Groups", &group("Team", &[&ada]));
    let whole = all.get(&format!("/Groups/{team}")).answered(200).json;
    assert_eq!(whole["members"][0]["display"], "Ada Lovelace");
    for path in [
        format!("/Groups/{team}"),
        format!("/Groups/{team}?attributes=members"),
        format!("/Groups/{team}?attributes=members.display,members.value"),
        "/Groups".to_owned(),
        "/?attributes=members".to_owned(),
        "/Groups?filter=members.type%20eq%20%22User%22".to_owned(),
    ] {
        let reply = groups.get(&path).answered(200);
        let text = reply.json.to_string();
        assert!(!text.contains("Lovelace") && !text.contains("display\""), "{path}: {text}");
        assert!(text.contains(&ada), "{path}: the id of a member stays visible: {text}");
    }
    for filter in ["members.display eq \"Ada Lovelace\"", "members[display sw \"A\"]", "not (members.display pr)"] {
        let query = crate::sample::encode(filter);
        all.get(&format!("/Groups?filter={query}")).answered(200);
        groups.get(&format!("/Groups?filter={query}")).refused(400, "invalidFilter");
        groups.get(&format!("/?filter={query}")).refused(400, "invalidFilter");
        groups.post("/Groups/.search", &json!({"schemas": [SEARCH], "filter": filter})).refused(400, "invalidFilter");
    }
    groups.get("/Groups?sortBy=members.display").refused(400, "invalidPath");
    for path in ["members[display eq \"Ada Lovelace\"]", "members[display eq \"Bob\"]", "members[not (display pr)]"] {
        groups
            .patch(&format!("/Groups/{team}"), &operation("remove", path, &Value::Null))
            .refused(400, "invalidFilter|invalidPath");
    }
    assert_eq!(all.get(&format!("/Groups/{team}")).json["members"].as_array().unwrap().len(), 1);
    // A client that sends the name of a member is not refused.
    let add = operation("add", "members", &json!([{"value": ada, "display": "Ada Lovelace"}]));
    let reply = groups.patch(&format!("/Groups/{team}?attributes=members"), &add).answered(200);
    assert!(!reply.json.to_string().contains("Lovelace"), "{}", reply.json);
    let schema = groups.get(&format!("/Schemas/{}", crate::sample::GROUP)).answered(200).json;
    let members = schema["attributes"].as_array().unwrap().iter().find(|one| one["name"] == "members").unwrap();
    let parts = members["subAttributes"].as_array().unwrap();
    assert!(parts.len() == 3 && parts.iter().all(|part| part["name"] != "display"), "{members}");
    groups.get(&format!("/Schemas/{}", crate::sample::USER)).answered(404);
    groups.get("/ResourceTypes/User").answered(404);
}

#[test]
fn a_large_group_is_streamed_without_names_for_a_token_for_groups() {
    let (all, groups) = with_rights("groups");
    let named = |number: usize| json!({"schemas": [crate::sample::USER], "userName": format!("u{number}"), "displayName": format!("Secret {number}")});
    let mut ids = Vec::new();
    for block in 0..6 {
        let items: Vec<Value> = (0..900)
            .map(|number| json!({"method": "POST", "path": "/Users", "bulkId": format!("b{number}"), "data": named(block * 900 + number)}))
            .collect();
        let reply = all.post("/Bulk", &json!({"schemas": [BULK], "Operations": items})).answered(200);
        let made = reply.json["Operations"].as_array().unwrap().iter();
        ids.extend(made.map(|one| one["location"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()));
    }
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let team = all.created("/Groups?attributes=id", &group("Large", &ids));
    let reply = groups.get(&format!("/Groups/{team}")).answered(200);
    assert_eq!(reply.json["members"].as_array().unwrap().len(), 5_400);
    assert!(!reply.json.to_string().contains("Secret"));
    assert!(all.get(&format!("/Groups/{team}")).answered(200).json.to_string().contains("Secret 5399"));
}
