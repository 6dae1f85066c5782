//! Nested groups: the groups of users, and cycles (RFC 7643 sections 4.1.2 and 4.2).

use serde_json::Value;

use crate::app::{App, Client};
use crate::sample::{group, operation, removal, user};

fn groups(client: &Client, user: &str) -> Vec<(String, String)> {
    let document = client.get(&format!("/Users/{user}")).answered(200).json;
    let groups = document["groups"].as_array().cloned().unwrap_or_default();
    let part = |group: &Value, name: &str| group[name].as_str().unwrap_or_default().to_owned();
    let mut found: Vec<_> = groups.iter().map(|group| (part(group, "display"), part(group, "type"))).collect();
    found.sort();
    found
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect()
}

#[test]
fn a_user_is_in_the_groups_that_hold_its_groups() {
    //
    let client = App::shared().configuration("other");
    let ada = client.created("/Users", &user("ada"));
    let team = client.created("/Groups", &group("Team", &[&ada]));
    let unit = client.created("/Groups", &group("Unit", &[&team]));
    let firm = client.created("/Groups", &group("Firm", &[&unit, &ada]));
    assert_eq!(groups(&client, &ada), pairs(&[("Firm", "direct"), ("Team", "direct"), ("Unit", "indirect")]));
    for (filter, found) in [
        (format!("groups.value eq \"{unit}\""), 1),
        (format!("groups[value eq \"{unit}\" and type eq \"indirect\"]"), 1),
        (format!("groups[value eq \"{unit}\" and type eq \"direct\"]"), 0),
        (format!("groups[value eq \"{firm}\" and type eq \"direct\"]"), 1),
        ("groups.display sw \"un\"".to_owned(), 1),
    ] {
        assert_eq!(client.find("/Users", &filter).len(), found, "{filter}");
    }
    let before = client.get(&format!("/Users/{ada}")).version();
    client.patch(&format!("/Groups/{unit}"), &operation("replace", "displayName", &"Division".into())).answered(200);
    assert_eq!(groups(&client, &ada)[0].0, "Division");
    assert_ne!(client.get(&format!("/Users/{ada}")).version(), before);
    client.patch(&format!("/Groups/{team}"), &removal("members")).answered(200);
    assert_eq!(groups(&client, &ada), pairs(&[("Firm", "direct")]));
}

#[test]
fn a_cycle_of_groups_is_stored_and_reading_it_terminates() {
    //
    let client = App::shared().configuration("other");
    let ada = client.created("/Users", &user("ada"));
    let one = client.created("/Groups", &group("One", &[&ada]));
    let two = client.created("/Groups", &group("Two", &[&one]));
    let path = format!("/Groups/{one}");
    client.patch(&path, &operation("add", "members", &serde_json::json!([{"value": two}]))).answered(200);
    assert_eq!(groups(&client, &ada), pairs(&[("One", "direct"), ("Two", "indirect")]));
    assert_eq!(client.find("/Users", &format!("groups eq \"{two}\"")).len(), 1);
    client
        .patch(&path, &operation("add", "members", &serde_json::json!([{"value": one}])))
        .refused(400, "invalidValue");
    client.delete(&path).answered(204);
    assert_eq!(groups(&client, &ada), pairs(&[]));
}
