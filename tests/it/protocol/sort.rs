//! Sorting (RFC 7644 section 3.4.2.3).

use serde_json::{Value, json};

use crate::app::{App, Client};
use crate::sample::{ENTERPRISE, SEARCH, encode, group, user_with};

/// Five users, created in the order b, Z, a, ä, c, with values for all sorted attributes.
fn client_with_users() -> Client {
    let client = App::shared().configuration("other");
    let photo = |url: &str| json!([{"value": url}]);
    for (name, more) in [
        (
            "b",
            json!({"displayName": "two", "name": {"familyName": "Ärger"}, "active": true, "title": "x", "externalId": "B",
            "emails": [{"value": "z@x", "type": "work"}, {"value": "a@x", "type": "home", "primary": true}]}),
        ),
        (
            "Z",
            json!({"displayName": "TWO", "name": {"familyName": "zahn"}, "active": false, "externalId": "a",
            "emails": [{"value": "B@x"}], ENTERPRISE: {"department": "Dept 2"}, "photos": photo("https://x/b")}),
        ),
        (
            "a",
            json!({"displayName": "One", "title": "X", ENTERPRISE: {"department": "dept 1"}, "photos": photo("https://x/B")}),
        ),
        ("ä", json!({"name": {"familyName": "arm"}, "active": true, "emails": [{"value": "c@x"}, {"value": "0@x"}]})),
        ("c", json!({"active": false, "externalId": "A", "roles": [{"value": "admin", "display": "r"}]})),
    ] {
        client.created("/Users", &user_with(name, &more));
    }
    client
}

#[track_caller]
fn names(client: &Client, query: &str) -> String {
    let list = client.get(&format!("/Users?{query}")).answered(200).json;
    joined(&list)
}

fn joined(list: &Value) -> String {
    let resources = list["Resources"].as_array().unwrap_or_else(|| panic!("{list}"));
    let name = |one: &Value| ["userName", "displayName"].iter().find_map(|name| one[*name].as_str().map(str::to_owned));
    resources.iter().filter_map(name).collect::<Vec<_>>().join(" ")
}

/// Attribute and ascending order; users after the bar have no value.
const ORDERS: &[(&str, &str)] = &[
    ("userName", "a b c Z ä"),
    ("USERNAME", "a b c Z ä"),
    ("urn:ietf:params:scim:schemas:core:2.0:User:userName", "a b c Z ä"),
    ("id", "b Z a ä c"),
    ("meta.created", "b Z a ä c"),
    ("meta.lastModified", "b Z a ä c"),
    ("meta.location", "b Z a ä c"),
    ("meta.resourceType", "b Z a ä c"),
    ("displayName", "a b Z | ä c"),
    // Case-sensitive order: A, B, a.
    ("externalId", "c b Z | a ä"),
    ("photos", "a Z | b ä c"),
    // A user created without `active` is active.
    ("active", "Z c b a ä"),
    ("title", "b a | Z ä c"),
    ("name.familyName", "ä Z b | a c"),
    // By the primary address, otherwise by the first.
    ("emails", "b Z ä | a c"),
    ("emails.value", "b Z ä | a c"),
    ("emails.type", "b | Z a ä c"),
    ("roles.display", "c | b Z a ä"),
    ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "a Z | b ä c"),
    ("nickName", "| b Z a ä c"),
];

#[test]
fn every_attribute_sorts_with_absent_values_last_and_first_when_descending() {
    // R-148 to R-152, R-154
    let client = client_with_users();
    for (by, order) in ORDERS {
        let ascending: Vec<&str> = order.split(' ').filter(|name| *name != "|").collect();
        let descending: Vec<&str> = ascending.iter().rev().copied().collect();
        let by = encode(by);
        assert_eq!(names(&client, &format!("sortBy={by}")), ascending.join(" "), "{by}");
        assert_eq!(names(&client, &format!("sortBy={by}&sortOrder=ascending")), ascending.join(" "), "{by}");
        assert_eq!(names(&client, &format!("sortBy={by}&sortOrder=descending")), descending.join(" "), "{by}");
        for start in 1..=6 {
            let page = names(&client, &format!("sortBy={by}&startIndex={start}&count=2"));
            let expected: Vec<&str> = ascending.iter().skip(start - 1).take(2).copied().collect();
            assert_eq!(page, expected.join(" "), "{by} from {start}");
        }
    }
    assert_eq!(names(&client, "sortOrder=descending"), "b Z a ä c", "an order without an attribute says nothing");
}

#[test]
fn a_filter_and_a_projection_keep_the_order() {
    // R-148, R-183
    let client = client_with_users();
    let filtered = |filter: &str, by: &str| names(&client, &format!("filter={}&sortBy={by}", encode(filter)));
    assert_eq!(filtered("active eq true", "userName"), "a b ä");
    assert_eq!(filtered("emails pr", "name.familyName"), "ä Z b");
    assert_eq!(filtered("userName eq \"a\" or userName eq \"Z\" or userName eq \"b\"", "displayName"), "a b Z");
    assert_eq!(filtered("title pr", "active"), "b a");
    let sorted = names(&client, "sortBy=emails.value&attributes=userName&count=3");
    assert_eq!(sorted, "b Z ä");
    let search = json!({"schemas": [SEARCH], "sortBy": "userName", "sortOrder": "descending", "count": 2});
    assert_eq!(joined(&client.post("/Users/.search", &search).answered(200).json), "ä Z");
}

#[test]
fn groups_are_sorted_too_also_by_their_members() {
    // R-148
    let client = App::shared().configuration("other");
    let user_ids: Vec<String> = ["x", "y"]
        .iter()
        .map(|name| client.created("/Users", &user_with(name, &json!({"displayName": name}))))
        .collect();
    for (name, members) in [("b", vec![&*user_ids[1]]), ("A", vec![&*user_ids[0], &*user_ids[1]]), ("c", vec![])] {
        client.created("/Groups", &group(name, &members));
    }
    for (by, order) in
        [("displayName", "A b c"), ("members.value", "A b c"), ("members.display", "A b c"), ("id", "b A c")]
    {
        let list = client.get(&format!("/Groups?sortBy={by}")).answered(200).json;
        assert_eq!(joined(&list), order, "{by}");
    }
    let list = client.get("/Users?sortBy=groups.display&sortOrder=descending").answered(200).json;
    assert_eq!(joined(&list), "y x");
}

#[test]
fn the_root_is_one_sequence_over_all_types() {
    // R-113, R-148: an attribute that a type lacks has no value there.
    let client = App::shared().configuration("other");
    client.created("/Users", &user_with("u1", &json!({"displayName": "d"})));
    client.created("/Groups", &group("c", &[]));
    client.created("/Users", &user_with("u2", &json!({"displayName": "B"})));
    client.created("/Groups", &group("a", &[]));
    client.created("/Users", &user_with("u3", &json!({})));
    let at = |query: &str| joined(&client.get(&format!("/?{query}")).answered(200).json);
    assert_eq!(at(""), "u1 c u2 a u3");
    assert_eq!(at("sortBy=displayName"), "a u2 c u1 u3");
    assert_eq!(at("sortBy=displayName&sortOrder=descending"), "u3 u1 c u2 a");
    assert_eq!(at("sortBy=displayName&startIndex=2&count=3"), "u2 c u1");
    assert_eq!(at("sortBy=userName"), "u1 u2 u3 c a");
    assert_eq!(at("sortBy=userName&sortOrder=descending&startIndex=2&count=2"), "c u3");
    assert_eq!(at("sortBy=userName&startIndex=5&count=2"), "a");
    let search = json!({"schemas": [SEARCH], "sortBy": "displayName", "filter": "displayName pr", "count": 2});
    assert_eq!(joined(&client.post("/.search", &search).answered(200).json), "a u2");
}

#[test]
fn unsortable_attributes_are_refused() {
    // R-149, R-153, R-154, T29
    let client = App::shared().configuration("other");
    for by in [
        "name",
        "addresses",
        "meta",
        "manager",
        "shoeSize",
        "name.shoe",
        "",
        "a b",
        "emails[type eq \"work\"]",
        "password",
    ] {
        let path = format!("sortBy={}", encode(by));
        client.get(&format!("/Users?{path}")).refused(400, "invalidPath");
        client.get(&format!("/?{path}")).refused(400, "invalidPath");
        let search = json!({"schemas": [SEARCH], "sortBy": by});
        client.post("/Users/.search", &search).refused(400, "invalidPath");
    }
    client.get("/Groups?sortBy=userName").refused(400, "invalidPath");
    for order in ["up", "", "desc", "ascending,descending"] {
        client.get(&format!("/Users?sortBy=userName&sortOrder={}", encode(order))).refused(400, "invalidValue");
    }
    client.get("/Users?sortBy=userName&sortBy=id").refused(400, "invalidValue");
    client.post("/Users/.search", &json!({"schemas": [SEARCH], "sortBy": ["id"]})).refused(400, "invalidValue");
}
