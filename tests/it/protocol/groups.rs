//! Groups, their members, and the groups of users (RFC 7643 section 4.2).

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::app::{App, Client};
use crate::sample::{group, operation, operations, removal, user, user_with};

fn create_users(client: &Client, count: usize) -> Vec<String> {
    (0..count).map(|number| client.created("/Users", &user(&format!("user-{number}")))).collect()
}

fn as_members(ids: &[String]) -> Value {
    ids.iter().map(|id| json!({"value": id})).collect()
}

#[test]
fn members_are_added_removed_and_replaced() {
    // D31 to D33
    let client = App::shared().configuration("other");
    let ids = create_users(&client, 4);
    let path = format!("/Groups/{}", client.created("/Groups", &group("Team", &[])));
    let one = |number: usize| format!("members[value eq \"{}\"]", ids[number]);
    let either = format!("members[value eq \"{}\" or value eq \"{}\"]", ids[0], ids[2]);
    let without_path = json!([{"op": "add", "value": {"members": [{"value": ids[3]}]}}]);
    let mixed = json!([
        {"op": "remove", "path": one(1)},
        {"op": "add", "path": "members", "value": [{"value": ids[3], "display": "ignored"}]}
    ]);
    let table: [(Value, &[usize]); 12] = [
        (operation("add", "members", &as_members(&ids[..2])), &[0, 1]),
        (operation("Add", "members", &json!({"value": ids[2]})), &[0, 1, 2]),
        (operation("add", "members", &as_members(&ids[..3])), &[0, 1, 2]),
        (operations(&without_path), &[0, 1, 2, 3]),
        (removal(&one(0)), &[1, 2, 3]),
        (removal(&one(1).replace('"', "'")), &[2, 3]),
        (removal(&either), &[3]),
        (operation("replace", "members", &as_members(&ids[1..3])), &[1, 2]),
        (operations(&mixed), &[2, 3]),
        (operation("replace", "members", &json!([])), &[]),
        (operation("add", "members", &as_members(&ids)), &[0, 1, 2, 3]),
        (removal("members"), &[]),
    ];
    for (body, expected) in table {
        let document = client.patch(&path, &body).answered(200).json;
        assert_eq!(client.get(&path).answered(200).json, document);
        let mut members = super::values(&document["members"]);
        members.sort_unstable();
        let mut expected: Vec<&str> = expected.iter().map(|number| ids[*number].as_str()).collect();
        expected.sort_unstable();
        assert_eq!(members, expected, "{body}");
    }
}

#[test]
fn a_member_shows_its_present_name_and_an_address_that_answers() {
    //
    let client = App::shared().configuration("other");
    let id = client.created("/Users", &user_with("ada", &json!({"displayName": "Before"})));
    let team = format!("/Groups/{}", client.created("/Groups", &group("Team", &[&id])));
    let member = || client.get(&team).answered(200).json["members"][0].clone();
    assert_eq!(member()["display"], "Before");
    client.patch(&format!("/Users/{id}"), &operation("replace", "displayName", &json!("After"))).answered(200);
    assert_eq!(member()["display"], "After");
    let address = member()["$ref"].as_str().unwrap().to_owned();
    let path = address.split_once(&client.base).unwrap().1.to_owned();
    assert_eq!(client.get(&path).answered(200).id(), id);
}

#[test]
fn a_user_shows_the_groups_it_is_in() {
    //
    let client = App::shared().configuration("other");
    let id = client.created("/Users", &user("ada"));
    let path = format!("/Users/{id}");
    assert!(client.get(&path).answered(200).json.get("groups").is_none());
    let team = client.created("/Groups", &group("Team", &[&id]));
    let document = client.get(&path).answered(200).json["groups"].clone();
    assert_eq!(document.as_array().unwrap().len(), 1);
    assert_eq!((&document[0]["value"], &document[0]["display"]), (&json!(team), &json!("Team")));
    assert_eq!(document[0]["type"], "direct");
    assert!(document[0]["$ref"].as_str().unwrap().ends_with(&format!("{}/Groups/{team}", client.base)));
    client.patch(&format!("/Groups/{team}"), &operation("replace", "displayName", &json!("Crew"))).answered(200);
    assert_eq!(client.get(&path).answered(200).json["groups"][0]["display"], "Crew");
    assert_eq!(client.find("/Users", "userName eq \"ada\"")[0]["groups"][0]["value"], team.as_str());
}

#[test]
fn groups_may_contain_groups_even_in_a_cycle() {
    //
    let client = App::shared().configuration("other");
    let inner = client.created("/Groups", &group("Inner", &[]));
    let outer = client.created("/Groups", &group("Outer", &[&inner]));
    client.patch(&format!("/Groups/{inner}"), &operation("add", "members", &json!([{"value": outer}]))).answered(200);
    let begun = Instant::now();
    let document = client.get(&format!("/Groups/{outer}")).answered(200).json;
    assert_eq!((&document["members"][0]["value"], &document["members"][0]["type"]), (&json!(inner), &json!("Group")));
    client.get("/Groups").answered(200);
    assert!(begun.elapsed() < Duration::from_secs(2));
    client.delete(&format!("/Groups/{inner}")).answered(204);
    assert_eq!(client.get(&format!("/Groups/{outer}")).answered(200).json["members"], json!([]));
}

#[test]
fn a_large_group_answers_a_patch_without_a_body_unless_attributes_are_asked() {
    // D39
    let client = App::shared().configuration("other");
    let ids = create_users(&client, 102);
    let path = format!("/Groups/{}", client.created("/Groups", &group("Crowd", &[])));
    client.patch(&path, &operation("add", "members", &as_members(&ids[..100]))).answered(200);
    let reply = client.patch(&path, &operation("add", "members", &as_members(&ids[100..101]))).answered(204);
    assert!(reply.header("location").ends_with(&path));
    assert_eq!(reply.header("etag"), client.get(&path).answered(200).version());
    let asked = format!("{path}?attributes=displayName");
    let document = client.patch(&asked, &operation("add", "members", &as_members(&ids[101..]))).answered(200).json;
    assert_eq!(document["displayName"], "Crowd");
    assert!(document.get("members").is_none());
    assert_eq!(client.get(&path).answered(200).json["members"].as_array().unwrap().len(), 102);
    let removals: Vec<Value> =
        ids[..60].iter().map(|id| json!({"op": "remove", "path": format!("members[value eq \"{id}\"]")})).collect();
    client.patch(&path, &operations(&Value::Array(removals))).answered(200);
    assert_eq!(client.get(&path).answered(200).json["members"].as_array().unwrap().len(), 42);
}

#[test]
fn names_of_groups_are_unique_and_may_be_changed() {
    // D43
    let client = App::shared().configuration("other");
    client.created("/Groups", &group("Taken", &[]));
    let path = format!("/Groups/{}", client.created("/Groups", &group("Free", &[])));
    client.patch(&path, &operation("replace", "displayName", &json!("TAKEN"))).refused(409, "uniqueness");
    assert_eq!(
        client.patch(&path, &operation("replace", "displayName", &json!("Other"))).answered(200).json["displayName"],
        "Other"
    );
    client.created("/Groups", &group("Free", &[]));
}
