//! Size of answers: pages end early, lists of groups are shortened, and nothing is lost.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::app::{App, Client};
use crate::sample::{encode, group, operation, user, user_with};

/// What a page of resources may have at most, and the head and tail around it.
const ANSWER_MAX: usize = (8 << 20) + 1024;
const GROUPS_IN_LIST: usize = 100;

fn ids(list: &Value) -> Vec<String> {
    let resources = list["Resources"].as_array().unwrap();
    resources.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

/// Creates users of about 700 KB each and returns their ids in order.
fn create_large_users(client: &Client, count: usize) -> Vec<String> {
    let numbers: Vec<Value> = (0..14).map(|at| json!({"value": format!("{at}{}", "x".repeat(50_000))})).collect();
    (0..count)
        .map(|number| {
            client.created("/Users", &user_with(&format!("large-{number}"), &json!({"phoneNumbers": numbers})))
        })
        .collect()
}

#[test]
fn a_page_of_large_users_ends_early_and_the_next_one_continues() {
    let client = App::shared().configuration("other");
    let created = create_large_users(&client, 14);
    let (mut seen, mut pages) = (Vec::new(), 0);
    while seen.len() < created.len() {
        let reply = client.get(&format!("/Users?count=500&startIndex={}", seen.len() + 1)).answered(200);
        assert!(reply.answer.body.len() <= ANSWER_MAX, "{} bytes", reply.answer.body.len());
        let found = ids(&reply.json);
        assert_eq!(reply.json["itemsPerPage"], found.len());
        assert_eq!(reply.json["totalResults"], created.len());
        assert!(!found.is_empty());
        seen.extend(found);
        pages += 1;
    }
    assert_eq!(seen, created);
    assert!(pages >= 2, "{pages} pages");
}

#[test]
fn cursors_of_large_pages_lead_forward_and_back() {
    let client = App::shared().configuration("other");
    let created = create_large_users(&client, 14);
    let (mut seen, mut cursor, mut back) = (Vec::new(), String::new(), String::new());
    loop {
        let list = client.get(&format!("/Users?count=500&cursor={cursor}")).answered(200).json;
        seen.extend(ids(&list));
        back = list["previousCursor"].as_str().map_or(back, str::to_owned);
        let Some(next) = list["nextCursor"].as_str() else { break };
        cursor = next.to_owned();
    }
    assert_eq!(seen, created);
    let last = seen.len() - ids(&client.get(&format!("/Users?count=500&cursor={cursor}")).answered(200).json).len();
    let previous = ids(&client.get(&format!("/Users?count=500&cursor={back}")).answered(200).json);
    assert!(!previous.is_empty());
    assert_eq!(previous, created[last - previous.len()..last], "the page directly before, in order");
}

#[test]
fn the_lists_of_the_management_api_and_the_feed_are_bounded_too() {
    let app = App::shared();
    let client = app.configuration("other");
    let created = create_large_users(&client, 14);
    let operator = app.operator();
    for base in [
        format!("/directory/resources/v1/users?configuration={}&limit=1000", client.id),
        format!("/directory/resources/v1/configurations/scim2/{}/users?limit=1000", client.id),
    ] {
        let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let reply = operator.get(&format!("{base}&cursor={cursor}")).answered(200);
            assert!(reply.answer.body.len() <= ANSWER_MAX + 1_000 * 600, "{} bytes", reply.answer.body.len());
            let items = reply.json["items"].as_array().unwrap();
            seen.extend(items.iter().map(|one| one["id"].as_str().unwrap().to_owned()));
            pages += 1;
            let Some(next) = reply.json["nextCursor"].as_str() else { break };
            cursor = next.to_owned();
        }
        assert_eq!(seen, created, "{base}");
        assert!(pages >= 2, "{pages} pages");
    }
    let (mut seen, mut after) = (HashSet::new(), "0".to_owned());
    loop {
        let path = format!("/directory/resources/v1/events?configuration={}&limit=1000&after={after}", client.id);
        let reply = operator.get(&path).answered(200);
        assert!(reply.answer.body.len() <= ANSWER_MAX + 1_000 * 400, "{} bytes", reply.answer.body.len());
        let events = reply.json["events"].as_array().unwrap();
        let users = events.iter().filter(|event| event["kind"] == "user.created");
        seen.extend(users.map(|event| event["resourceId"].as_str().unwrap().to_owned()));
        after = reply.json["nextAfter"].as_str().unwrap().to_owned();
        if reply.json["hasMore"] == false {
            break;
        }
    }
    assert_eq!(seen, created.into_iter().collect());
}

#[test]
fn a_list_shows_the_first_groups_of_a_user_and_a_get_shows_all() {
    let client = App::shared().configuration("other");
    let id = client.created("/Users", &user("member of many"));
    client.created("/Users", &user("member of none"));
    for number in 0..GROUPS_IN_LIST + 20 {
        client.created("/Groups", &group(&format!("group-{number}"), &[&id]));
    }
    let whole = client.get(&format!("/Users/{id}")).answered(200);
    assert_eq!(whole.json["groups"].as_array().unwrap().len(), GROUPS_IN_LIST + 20);
    for query in [format!("filter={}", encode("userName eq \"member of many\"")), "count=500".to_owned()] {
        let list = client.get(&format!("/Users?{query}")).answered(200).json;
        let listed = &list["Resources"][0];
        assert_eq!(
            listed["groups"].as_array().unwrap()[..],
            whole.json["groups"].as_array().unwrap()[..GROUPS_IN_LIST]
        );
        assert_eq!(listed["meta"], whole.json["meta"], "the version includes all groups");
    }
    // The version of the list is accepted by a conditional write.
    let version = client.get("/Users").json["Resources"][0]["meta"]["version"].as_str().unwrap().to_owned();
    let patch = client.request("PATCH", &format!("/Users/{id}")).json(&operation("replace", "title", &json!("x")));
    patch.header("If-Match", &version).send().answered(200);
}

#[test]
fn a_user_in_thousands_of_groups_makes_pages_small() {
    let client = App::shared().configuration("other");
    let users: Vec<String> = (0..30).map(|number| client.created("/Users", &user(&format!("u{number}")))).collect();
    let members: Vec<&str> = users.iter().map(String::as_str).collect();
    for number in 0..300 {
        client.created("/Groups", &group(&format!("group-{number}"), &members));
    }
    let reply = client.get("/Users?count=500").answered(200);
    assert_eq!(ids(&reply.json), users);
    assert!(reply.answer.body.len() < 30 * (GROUPS_IN_LIST * 300 + 1_000), "{} bytes", reply.answer.body.len());
}

#[test]
fn a_large_group_is_projected_like_a_small_one() {
    let client = App::shared().configuration("other");
    let users: Vec<String> = (0..301).map(|number| client.created("/Users", &user(&format!("u{number}")))).collect();
    let members: Vec<&str> = users.iter().map(String::as_str).collect();
    let id = client.created("/Groups", &group("large", &members));
    let path = format!("/Groups/{id}");
    let whole = client.get(&path).answered(200).json;
    assert_eq!(whole["members"].as_array().unwrap().len(), members.len());
    let values: Vec<Value> =
        whole["members"].as_array().unwrap().iter().map(|one| json!({"value": one["value"]})).collect();
    let expected = json!({"schemas": whole["schemas"], "id": id, "members": values});
    assert_eq!(client.get(&format!("{path}?attributes=members.value")).answered(200).json, expected);
    let expected = json!({"schemas": whole["schemas"], "id": id, "members": whole["members"]});
    assert_eq!(client.get(&format!("{path}?attributes=members")).answered(200).json, expected);
    let mut expected = whole.clone();
    expected.as_object_mut().unwrap().remove("meta");
    assert_eq!(client.get(&format!("{path}?excludedAttributes=meta")).answered(200).json, expected);
    let list = client.get("/Groups?excludedAttributes=meta").answered(200).json;
    assert_eq!(list["Resources"], json!([expected]));
    let tag = whole["meta"]["version"].as_str().unwrap();
    assert_eq!(client.request("GET", &path).header("If-None-Match", tag).send().status, 304);
}
