//! `ETag`s and preconditions (RFC 7644 section 3.14).

use serde_json::json;

use crate::app::App;
use crate::sample::{group, operation, user};

#[test]
fn each_change_changes_the_version_and_reading_does_not() {
    //
    let client = App::shared().configuration("other");
    let made = client.post("/Users", &user("x")).answered(201);
    let path = format!("/Users/{}", made.id());
    let mut versions = vec![made.version()];
    for title in ["a", "b", "a"] {
        versions.push(client.patch(&path, &operation("replace", "title", &json!(title))).answered(200).version());
    }
    assert_eq!(client.get(&path).answered(200).version(), versions[3]);
    let mut distinct = versions.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), 4, "going back to an old value brought an old tag: {versions:?}");
    assert!(versions.iter().all(|version| version.starts_with("W/\"")));
}

#[test]
fn a_stale_if_match_is_refused() {
    // T46
    let client = App::shared().configuration("other");
    let made = client.post("/Users", &user("x")).answered(201);
    let path = format!("/Users/{}", made.id());
    let current = client.patch(&path, &operation("replace", "title", &json!("now"))).answered(200);
    let body = operation("replace", "title", &json!("stale"));
    for tag in [made.version(), "W/\"999\"".to_owned(), "\"nothing\"".to_owned()] {
        client.request("PATCH", &path).json(&body).header("If-Match", &tag).send().refused(412, "");
        client.request("PUT", &path).json(&user("stale")).header("If-Match", &tag).send().refused(412, "");
        client.request("DELETE", &path).header("If-Match", &tag).send().refused(412, "");
    }
    assert_eq!(client.get(&path).answered(200).json, current.json);
}

#[test]
fn a_matching_if_match_is_accepted_in_every_spelling() {
    // R-273, D40: weak tags are compared by their text; quotes are optional; lists and * work.
    let client = App::shared().configuration("other");
    let made = client.post("/Users", &user("x")).answered(201);
    let path = format!("/Users/{}", made.id());
    let mut version = made.version();
    for number in 0..6 {
        let quoted = version.trim_start_matches("W/").to_owned();
        let tag = match number {
            0 => version.clone(),
            1 => quoted,
            2 => quoted.trim_matches('"').to_owned(),
            3 => format!("\"other\", {version}"),
            4 => "*".to_owned(),
            _ => format!(" {version} "),
        };
        let body = operation("replace", "title", &json!(format!("t{number}")));
        version = client.request("PATCH", &path).json(&body).header("If-Match", &tag).send().answered(200).version();
    }
    client.request("PUT", &path).json(&user("y")).header("If-Match", &version).send().answered(200);
    let version = client.get(&path).answered(200).version();
    client.request("DELETE", &path).header("If-Match", &version).send().answered(204);
}

#[test]
fn a_malformed_if_match_changes_nothing() {
    // T46
    let client = App::shared().configuration("other");
    let path = format!("/Users/{}", client.created("/Users", &user("x")));
    for tag in ["", "W/", "\"", ",", "W/\"7", "\"a\" \"b\""] {
        let body = operation("replace", "title", &json!("x"));
        let reply = client.request("PATCH", &path).json(&body).header("If-Match", tag).send();
        assert!(
            [400, 412].contains(&reply.status) || (tag.is_empty() && reply.status == 200),
            "{tag:?}: {}",
            reply.status
        );
    }
}

#[test]
fn a_condition_on_an_unknown_resource_is_404() {
    //
    let client = App::shared().configuration("other");
    let path = "/Users/00000000-0000-7000-8000-000000000000";
    client.request("PUT", path).json(&user("x")).header("If-Match", "W/\"1\"").send().refused(404, "");
    client.request("DELETE", path).header("If-Match", "*").send().refused(404, "");
    client.request("POST", "/Users").json(&user("x")).header("If-None-Match", "*").send().answered(201);
}

#[test]
fn an_unchanged_resource_is_not_sent_again() {
    //
    let client = App::shared().configuration("other");
    let made = client.post("/Users", &user("x")).answered(201);
    let path = format!("/Users/{}", made.id());
    for (path, tag) in [
        (path.clone(), made.version()),
        (path.clone(), made.version().trim_start_matches("W/").to_owned()),
        (path.clone(), format!("\"other\", {}", made.version())),
        (path.clone(), "*".to_owned()),
        (format!("{path}?attributes=userName"), made.version()),
    ] {
        let reply = client.request("GET", &path).header("If-None-Match", &tag).send().answered(304);
        assert_eq!(reply.header("etag"), made.version());
    }
    client.request("GET", &path).header("If-None-Match", "\"other\"").send().answered(200);
}

#[test]
fn the_version_of_a_group_changes_with_its_members() {
    //
    let client = App::shared().configuration("other");
    let user_id = client.created("/Users", &user("x"));
    let made = client.post("/Groups", &group("Team", &[])).answered(201);
    let path = format!("/Groups/{}", made.id());
    let add = operation("add", "members", &json!([{"value": user_id}]));
    let added = client.patch(&path, &add).answered(200).version();
    assert_ne!(added, made.version());
    assert_eq!(client.patch(&path, &add).answered(200).version(), added, "adding twice is no change");
    client.delete(&format!("/Users/{user_id}")).answered(204);
    assert_ne!(client.get(&path).answered(200).version(), added);
}

#[test]
fn a_filter_on_the_version_matches_only_the_current_one() {
    // the tag of a user also depends on its groups.
    let client = App::shared().configuration("other");
    let user_id = client.created("/Users", &user("x"));
    client.created("/Users", &user("y"));
    let inner = client.created("/Groups", &group("Inner", &[&user_id]));
    let outer = client.created("/Groups", &group("Outer", &[&inner]));
    let version = client.get(&format!("/Users/{user_id}")).answered(200).version();
    let filter = format!("meta.version eq \"{}\"", version.replace('"', "\\\""));
    let found = |endpoint: &str| client.find(endpoint, &filter).iter().map(|one| one["id"].clone()).collect::<Vec<_>>();
    assert_eq!(found("/Users"), [json!(user_id)]);
    client.patch(&format!("/Groups/{outer}"), &operation("replace", "displayName", &json!("Renamed"))).answered(200);
    assert!(found("/Users").is_empty(), "the user shows another group name now");
    let own = client.get(&format!("/Groups/{inner}")).answered(200).version();
    let of_group = format!("meta.version eq \"{}\"", own.replace('"', "\\\""));
    assert!(client.find("/Groups", &of_group).iter().any(|group| group["id"] == inner.as_str()));
}
