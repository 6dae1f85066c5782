//! Lists and index paging (RFC 7644 section 3.4.2).

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::app::{App, Client};
use crate::sample::{LIST, SEARCH, user};

fn client_with_users(count: usize) -> Client {
    let client = App::shared().configuration("other");
    for number in 0..count {
        client.created("/Users", &user(&format!("user-{number:03}")));
    }
    client
}

#[track_caller]
fn page(client: &Client, query: &str) -> (u64, u64, u64, Vec<String>) {
    let list = client.get(&format!("/Users?{query}")).answered(200).json;
    assert_eq!(list["schemas"], json!([LIST]));
    let number = |name: &str| list[name].as_u64().unwrap_or_else(|| panic!("{name} in {list}"));
    let ids: Vec<String> =
        list["Resources"].as_array().unwrap().iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(number("itemsPerPage"), ids.len() as u64);
    (number("totalResults"), number("startIndex"), number("itemsPerPage"), ids)
}

#[test]
fn pages_follow_each_other_without_gap_or_repeat() {
    // D14
    let client = client_with_users(57);
    let mut seen = HashSet::new();
    for start in (1..=57).step_by(10) {
        let (total, first, items, ids) = page(&client, &format!("startIndex={start}&count=10"));
        assert_eq!((total, first), (57, start));
        assert_eq!(items, if start == 51 { 7 } else { 10 });
        for id in ids {
            assert!(seen.insert(id), "a resource came twice");
        }
    }
    assert_eq!(seen.len(), 57);
    assert_eq!(page(&client, "startIndex=1&count=57").3, page(&client, "").3, "the order changes");
}

#[test]
fn odd_starts_and_counts_follow_the_rules() {
    //
    let client = client_with_users(12);
    let all = page(&client, "").3;
    for query in ["startIndex=0", "startIndex=-5", "startIndex=1", "count=500", "count=1000000", "count=100"] {
        let (total, start, _, ids) = page(&client, query);
        assert_eq!((total, start, &ids), (12, 1, &all), "{query}");
    }
    for query in ["count=0", "count=-1", "count=-100"] {
        assert_eq!(page(&client, query).0, 12, "{query}");
        assert!(page(&client, query).3.is_empty(), "{query}");
    }
    for query in ["startIndex=13", "startIndex=1000", "startIndex=1000&count=5"] {
        let (total, _, _, ids) = page(&client, query);
        assert_eq!((total, ids.len()), (12, 0), "{query}");
    }
    assert_eq!(page(&client, "startIndex=12&count=5").3, all[11..]);
}

#[test]
fn paging_with_a_filter_counts_only_matches() {
    //
    let client = client_with_users(23);
    let (total, _, _, ids) = page(&client, "filter=userName%20sw%20%22user-01%22&count=4&startIndex=8");
    assert_eq!((total, ids.len()), (10, 3));
    let (total, start, _, ids) = page(&client, "filter=userName%20eq%20%22unknown%22");
    assert_eq!((total, start, ids.len()), (0, 1, 0));
}

#[test]
fn a_search_returns_the_same_as_the_equivalent_query() {
    // D17
    let client = client_with_users(9);
    let strip = |mut list: Value| {
        list["schemas"].take();
        list
    };
    for (query, body) in [
        ("", json!({})),
        ("startIndex=3&count=4", json!({"startIndex": 3, "count": 4})),
        ("filter=userName+co+%223%22", json!({"filter": "userName co \"3\""})),
        ("attributes=userName", json!({"attributes": ["userName"]})),
        ("attributes=userName,title", json!({"attributes": "userName,title"})),
        ("excludedAttributes=meta", json!({"excludedAttributes": ["meta"]})),
        ("count=0", json!({"count": 0})),
    ] {
        let mut search = json!({"schemas": [SEARCH]});
        search.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        let found = client.post("/Users/.search?count=1&filter=nonsense", &search).answered(200).json;
        assert_eq!(strip(found), strip(client.get(&format!("/Users?{query}")).answered(200).json), "{query}");
    }
}

#[test]
fn a_page_holds_a_hundred_unless_asked_otherwise() {
    //
    let client = client_with_users(105);
    assert_eq!(page(&client, "").2, 100);
    assert_eq!(page(&client, "count=105").2, 105);
    let maximum = client.get("/ServiceProviderConfig").answered(200).json["filter"]["maxResults"].as_u64().unwrap();
    assert!(maximum >= 100);
}
