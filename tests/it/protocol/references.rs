//! References between resources: accepted forms, targets, and the effects of a changed or deleted target.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::app::App;
use crate::sample::{ENTERPRISE, group, operation, user, user_with};

#[test]
fn a_member_may_be_named_by_a_reference_alone_relative_or_with_another_prefix() {
    //
    let client = App::shared().configuration("other");
    let id = client.created("/Users", &user("ada"));
    let spellings = [
        format!("{}/Users/{id}", client.url),
        format!("../Users/{id}"),
        format!("Users/{id}"),
        format!("https://elsewhere.example/scim/v2/Users/{id}"),
        format!("https://elsewhere.example/scim/Users/{id}/"),
    ];
    for (number, reference) in spellings.iter().enumerate() {
        let document = json!({"displayName": format!("g{number}"), "members": [{"$ref": reference}]});
        let made = client.post("/Groups", &document).answered(201).json;
        assert_eq!(super::values(&made["members"]), [id.as_str()], "{reference}");
        assert!(made["members"][0]["$ref"].as_str().unwrap().ends_with(&format!("{}/Users/{id}", client.base)));
    }
}

#[test]
fn ref_is_supported_in_bodies_filters_and_paths() {
    //
    let client = App::shared().configuration("other");
    let id = client.created("/Users", &user("ada"));
    let path = format!("/Groups/{}", client.created("/Groups", &group("Team", &[&id])));
    let reference = client.get(&path).answered(200).json["members"][0]["$ref"].as_str().unwrap().to_owned();
    for filter in ["members.$ref pr".to_owned(), format!("members[$ref eq \"{reference}\"]")] {
        assert_eq!(client.find("/Groups", &filter).len(), 1, "{filter}");
    }
    let manager = json!({"value": id, "$ref": format!("../Users/{id}")});
    let worker = client.created("/Users", &user_with("worker", &json!({ENTERPRISE: {"manager": manager}})));
    let found = client.find("/Users", &format!("{ENTERPRISE}:manager.$ref pr"));
    assert_eq!(found[0]["id"], worker.as_str());
    let change = operation("replace", &format!("{ENTERPRISE}:manager.$ref"), &json!("../Users/other"));
    let changed = client.patch(&format!("/Users/{worker}"), &change).answered(200).json;
    assert_eq!(changed[ENTERPRISE]["manager"]["$ref"], "../Users/other");
}

#[test]
fn a_deleted_manager_is_removed_from_other_users() {
    //
    let client = App::shared().configuration("other");
    let boss = client.created("/Users", &user("boss"));
    let more = json!({"title": "x", ENTERPRISE: {"department": "Engines", "manager": {"value": boss}}});
    let made = client.post("/Users", &user_with("worker", &more)).answered(201);
    client.delete(&format!("/Users/{boss}")).answered(204);
    let left = client.get(&format!("/Users/{}", made.id())).answered(200);
    assert_eq!(left.json[ENTERPRISE], json!({"department": "Engines"}));
    assert_ne!(left.version(), made.version());
    assert!(client.find("/Users", &format!("manager eq \"{boss}\"")).is_empty());
}

#[test]
fn a_manager_with_many_reports_is_deleted_at_once_and_the_references_follow_in_steps() {
    const REPORTS: usize = 350;
    let client = App::shared().configuration("other");
    let boss = client.created("/Users", &user("boss"));
    let items: Vec<Value> = (0..REPORTS)
        .map(|number| {
            let more = json!({"title": "x", ENTERPRISE: {"department": "Engines", "manager": {"value": boss}}});
            json!({"method": "POST", "path": "/Users", "bulkId": format!("b{number}"), "data": user_with(&format!("r{number}"), &more)})
        })
        .collect();
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": items});
    client.post("/Bulk", &body).answered(200);
    let reports = format!("manager.value eq \"{boss}\"");
    let count = || {
        let path = format!("/Users?count=0&filter={}", crate::sample::encode(&reports));
        client.get(&path).answered(200).json["totalResults"].as_u64().unwrap()
    };
    assert_eq!(count(), REPORTS as u64);
    client.delete(&format!("/Users/{boss}")).answered(204);
    client.get(&format!("/Users/{boss}")).answered(404);
    // Another write does not wait for the references.
    let changed = client.find("/Users", "userName eq \"r0\"")[0]["id"].as_str().unwrap().to_owned();
    client.patch(&format!("/Users/{changed}"), &operation("replace", "title", &json!("y"))).answered(200);
    let begun = Instant::now();
    while count() > 0 {
        assert!(begun.elapsed() < Duration::from_mins(1), "{} references are left", count());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(client.count("/Users"), REPORTS as u64);
    let report = client.get(&format!("/Users/{changed}")).answered(200).json;
    assert_eq!((&report["title"], &report[ENTERPRISE]), (&json!("y"), &json!({"department": "Engines"})));
}

#[test]
fn a_group_whose_member_is_renamed_has_a_new_version() {
    // RFC 7644 section 3.14: the name is part of the answer, so a cached answer must become invalid.
    let client = App::shared().configuration("other");
    let id = client.created("/Users", &user_with("ada", &json!({"displayName": "Ada"})));
    let inner = client.created("/Groups", &group("Inner", &[&id]));
    let path = format!("/Groups/{}", client.created("/Groups", &group("Outer", &[&id, &inner])));
    let mut tag = client.get(&path).answered(200).version();
    for (renamed, name) in [(format!("/Users/{id}"), "Augusta"), (format!("/Groups/{inner}"), "Within")] {
        client.patch(&renamed, &operation("replace", "displayName", &json!(name))).answered(200);
        let after = client.request("GET", &path).header("If-None-Match", &tag).send().answered(200);
        assert!(after.json["members"].to_string().contains(name), "{}", after.json);
        tag = after.version();
    }
    client.patch(&format!("/Users/{id}"), &operation("replace", "title", &json!("x"))).answered(200);
    assert_eq!(client.get(&path).answered(200).version(), tag, "nothing of it shows in the group");
}

#[test]
fn every_url_in_an_answer_resolves_to_its_resource() {
    //
    let client = App::shared().configuration("other");
    let more = json!({ENTERPRISE: {"department": "Engines"}});
    let made = client.post("/Users", &user_with("ada", &more)).answered(201);
    let team = client.post("/Groups", &group("Team", &[&made.id()])).answered(201);
    let document = client.get(&format!("/Users/{}", made.id())).answered(200).json;
    let at = |address: &serde_json::Value| {
        let path = address.as_str().unwrap().split_once(&client.base).unwrap().1.to_owned();
        client.get(&path).answered(200).id()
    };
    assert_eq!(at(&document["meta"]["location"]), made.id());
    assert_eq!(at(&team.json["meta"]["location"]), team.id());
    assert_eq!(at(&team.json["members"][0]["$ref"]), made.id());
    assert_eq!(at(&document["groups"][0]["$ref"]), team.id());
    for uri in document["schemas"].as_array().unwrap().iter().chain(team.json["schemas"].as_array().unwrap()) {
        client.get(&format!("/Schemas/{}", uri.as_str().unwrap())).answered(200);
    }
}

#[test]
fn a_photo_reference_is_never_fetched() {
    //
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/ada.jpg", listener.local_addr().unwrap());
    let client = App::shared().configuration("other");
    let made = client.post("/Users", &user_with("ada", &json!({"photos": [{"value": url, "type": "photo"}]})));
    assert_eq!(made.answered(201).json["photos"][0]["value"], url.as_str());
    client.get("/Users").answered(200);
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "the server fetched the photo");
}
