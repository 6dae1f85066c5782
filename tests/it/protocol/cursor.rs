//! Paging by cursor (RFC 9865).

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::app::{App, Client};
use crate::sample::{SEARCH, encode, group, user, user_with};

fn client_with_users(count: usize) -> Client {
    let client = App::shared().configuration("other");
    for number in 0..count {
        let more =
            json!({"displayName": format!("Name {}", number % 4), "title": if number % 3 == 0 { "x" } else { "y" }});
        client.created("/Users", &user_with(&format!("user-{:03}", count - number), &more));
    }
    client
}

#[track_caller]
fn list(client: &Client, query: &str) -> Value {
    client.get(&format!("/Users?{query}")).answered(200).json
}

fn ids(list: &Value) -> Vec<String> {
    list["Resources"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

fn next(list: &Value) -> Option<String> {
    list.get("nextCursor").map(|cursor| cursor.as_str().unwrap().to_owned())
}

/// Every page of a sequence; checks the rules for all pages.
#[track_caller]
fn all_pages(page: impl Fn(&str) -> Value, total: usize) -> Vec<Value> {
    let mut pages = vec![page("")];
    while let Some(cursor) = next(&pages[pages.len() - 1]) {
        assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)), "{cursor}");
        pages.push(page(&cursor));
        assert!(pages.len() <= total + 1, "the walk does not end");
    }
    for (number, page) in pages.iter().enumerate() {
        assert_eq!(page["totalResults"], total);
        assert_eq!(page["itemsPerPage"], ids(page).len());
        assert!(page.get("startIndex").is_none(), "{page}");
        assert_eq!(page.get("previousCursor").is_none(), number == 0, "page {number}");
        assert!(number == 0 || !ids(page).is_empty(), "an empty page ends the walk");
    }
    pages
}

#[test]
fn paging_returns_every_user_once_and_ends_on_the_last_page() {
    //
    let client = client_with_users(12);
    let all = ids(&list(&client, ""));
    for (count, pages) in [(1, 12), (4, 3), (5, 3), (11, 2), (12, 1), (13, 1), (100_000, 1)] {
        let walked = all_pages(|cursor| list(&client, &format!("cursor={cursor}&count={count}")), 12);
        assert_eq!(walked.len(), pages, "{count}");
        assert_eq!(walked.iter().flat_map(ids).collect::<Vec<_>>(), all, "{count}");
    }
    let valueless = list(&client, "cursor&count=5");
    assert_eq!(ids(&valueless), all[..5]);
    for plain in ["", "count=5", "startIndex=2"] {
        let page = list(&client, plain);
        assert!(page.get("nextCursor").is_none() && page.get("startIndex").is_some(), "{page}");
    }
    let nothing = list(&client, "cursor&count=0");
    assert_eq!((nothing["totalResults"].as_u64(), ids(&nothing).len(), next(&nothing)), (Some(12), 0, None));
    assert_eq!(ids(&list(&client, "cursor=&count=-3")).len(), 0);
}

#[test]
fn previous_cursors_return_the_same_pages_in_reverse() {
    //
    let client = client_with_users(11);
    for query in
        ["count=4", "count=3&sortBy=displayName&sortOrder=descending", "count=2&filter=title%20pr&sortBy=title"]
    {
        let pages = all_pages(|cursor| list(&client, &format!("cursor={cursor}&{query}")), 11);
        let mut page = pages[pages.len() - 1].clone();
        for earlier in pages.iter().rev().skip(1) {
            let back = page["previousCursor"].as_str().unwrap();
            page = list(&client, &format!("cursor={back}&{query}"));
            assert_eq!(ids(&page), ids(earlier), "{query}");
            assert!(next(&page).is_some());
        }
        assert!(page.get("previousCursor").is_none(), "page one has nothing before it");
    }
}

#[test]
fn cursor_paging_keeps_the_filter_and_the_order() {
    //
    let client = client_with_users(13);
    for query in [
        "sortBy=userName",
        "sortBy=userName&sortOrder=descending",
        "sortBy=displayName&filter=title%20eq%20%22x%22",
        "sortBy=title&sortOrder=descending",
        "sortBy=nickName",
        "filter=userName%20sw%20%22user-00%22",
        "filter=displayName%20eq%20%22name%201%22&sortBy=meta.created",
    ] {
        let whole = list(&client, query);
        let total = ids(&whole).len();
        let walked = all_pages(|cursor| list(&client, &format!("cursor={cursor}&count=2&{query}")), total);
        assert_eq!(walked.iter().flat_map(ids).collect::<Vec<_>>(), ids(&whole), "{query}");
    }
}

#[test]
fn searches_and_the_root_support_cursors() {
    //
    let client = client_with_users(5);
    for name in ["b", "Name 2", "zz"] {
        client.created("/Groups", &group(name, &[]));
    }
    for (path, more, total) in [
        ("/Users/.search", json!({}), 5),
        ("/Groups/.search", json!({"sortBy": "displayName"}), 3),
        ("/.search", json!({}), 8),
        ("/.search", json!({"sortBy": "displayName", "sortOrder": "descending"}), 8),
        ("/.search", json!({"sortBy": "userName", "attributes": ["displayName"]}), 8),
    ] {
        let search = |members: Value| {
            let mut body = json!({"schemas": [SEARCH]});
            for part in [&more, &members] {
                body.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
            }
            client.post(path, &body).answered(200).json
        };
        let walked = all_pages(|cursor| search(json!({"cursor": cursor, "count": 3})), total);
        assert_eq!(walked.iter().flat_map(ids).collect::<Vec<_>>(), ids(&search(json!({}))), "{path} {more}");
    }
    let from_url = next(&list(&client, "cursor&count=2")).unwrap();
    let body = json!({"schemas": [SEARCH], "cursor": from_url, "count": 2});
    let searched = client.post("/Users/.search", &body).answered(200).json;
    assert_eq!(ids(&searched), ids(&list(&client, &format!("cursor={from_url}&count=2"))));
    client.post("/Users/.search", &json!({"schemas": [SEARCH], "cursor": 5})).refused(400, "invalidValue");
}

#[test]
fn only_the_projection_may_change_between_pages() {
    //
    let client = client_with_users(5);
    let query = "filter=title%20pr&sortBy=userName";
    let cursor = next(&list(&client, &format!("cursor&count=2&{query}"))).unwrap();
    let again = |query: &str| client.get(&format!("/Users?cursor={cursor}&{query}"));
    let page = ids(&again(&format!("count=2&{query}")).answered(200).json);
    assert_eq!(page.len(), 2);
    // The same query with other case, without the count, and with a smaller projection.
    for same in
        ["filter=title+PR&sortBy=username", &format!("{query}&sortOrder=ascending"), &format!("{query}&attributes=id")]
    {
        assert_eq!(ids(&again(same).answered(200).json), page, "{same}");
    }
    for other in [
        "",
        "filter=title%20pr",
        "sortBy=userName",
        "filter=userName%20pr&sortBy=userName",
        "filter=title%20pr&sortBy=id",
        "filter=title%20pr&sortBy=userName&sortOrder=descending",
    ] {
        again(&format!("{other}&count=2")).refused(400, "invalidCursor");
    }
    client
        .get(&format!("/Groups?cursor={}", next(&list(&client, "cursor&count=2")).unwrap()))
        .refused(400, "invalidCursor");
    for count in ["3", "0", "-1", "ten", "", "2.0"] {
        again(&format!("count={count}&{query}")).refused(400, "invalidCount");
    }
    client.get("/Users?cursor&count=ten").refused(400, "invalidCount");
    client.get("/Users?count=ten").refused(400, "invalidValue");
    client.get("/Users?cursor=&startIndex=1").refused(400, "invalidValue");
    again(&format!("startIndex=1&{query}")).refused(400, "invalidValue");
}

#[test]
fn forged_foreign_and_broken_cursors_get_the_same_error() {
    //
    let (client, other) = (client_with_users(3), client_with_users(3));
    let good = next(&list(&client, "cursor&count=1")).unwrap();
    let foreign = next(&list(&other, "cursor&count=1")).unwrap();
    let mut wrong =
        vec![foreign, "x".to_owned(), "%00".to_owned(), encode("\u{e4}"), "A".repeat(5_000), format!("{good}A")];
    for at in [0, 5, good.len() / 2, good.len() - 1] {
        let letter = if &good[at..=at] == "A" { "B" } else { "A" };
        wrong.push(format!("{}{letter}{}", &good[..at], &good[at + 1..]));
        wrong.push(good[..at.max(1)].to_owned());
    }
    let bodies: HashSet<Vec<u8>> = wrong
        .iter()
        .map(|cursor| client.get(&format!("/Users?cursor={cursor}&count=1")).refused(400, "invalidCursor").answer.body)
        .collect();
    assert_eq!(bodies.len(), 1);
    list(&client, &format!("cursor={good}&count=1"));
}

#[test]
fn a_cursor_grants_no_access_and_is_valid_as_long_as_the_token() {
    //
    let app = App::shared();
    let client = client_with_users(3);
    let path = format!("/Users?cursor={}&count=1", next(&list(&client, "cursor&count=1")).unwrap());
    client.request("GET", &path).without("Authorization").send().refused(401, "");
    app.succeeds(&["token", "rotate", &client.id]);
    client.get(&path).answered(200);
    app.succeeds(&["token", "rotate", &client.id]);
    client.get(&path).refused(401, "");
}

#[test]
fn cursors_are_valid_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let app = App::start(data.path());
    let client = app.configuration("other");
    for name in ["a", "b", "c"] {
        client.created("/Users", &user(name));
    }
    let path = format!("/Users?count=1&cursor={}", next(&list(&client, "cursor&count=1")).unwrap());
    app.kill();
    let app = App::start(data.path());
    assert_eq!(client.at(app.address).get(&path).answered(200).json["Resources"][0]["userName"], "b");
}

#[test]
fn paging_returns_stable_users_once_while_others_are_created_and_deleted() {
    //
    let client = App::shared().configuration("other");
    let staying: BTreeSet<String> = (0..60)
        .map(|n| client.created("/Users", &user_with(&format!("stay-{n:02}"), &json!({"displayName": "same"}))))
        .collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut number = 0;
            while !done.load(Ordering::Relaxed) {
                let made: Vec<String> = (0..4)
                    .map(|n| {
                        client.created("/Users", &user(&format!("{}go-{number}-{n}", ["a", "stay-3", "z", "t"][n])))
                    })
                    .collect();
                for id in made {
                    client.delete(&format!("/Users/{id}")).answered(204);
                }
                number += 1;
            }
        });
        for query in [
            "",
            "&sortBy=userName",
            "&sortBy=displayName&sortOrder=descending",
            "&sortBy=title",
            "&filter=userName%20pr",
        ] {
            let mut met = Vec::new();
            let mut cursor = Some(String::new());
            while let Some(at) = cursor {
                let page = list(&client, &format!("cursor={at}&count=3{query}"));
                met.extend(ids(&page).into_iter().filter(|id| staying.contains(id)));
                cursor = next(&page);
            }
            assert_eq!(met.len(), 60, "{query}");
            assert_eq!(met.into_iter().collect::<BTreeSet<_>>(), staying, "{query}");
        }
        done.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    });
}

#[test]
fn a_sort_value_too_long_for_a_cursor_is_found_again() {
    let client = App::shared().configuration("other");
    let long = "x".repeat(20_000);
    let user_ids: Vec<String> = ["a", "b", "c"]
        .iter()
        .map(|name| client.created("/Users", &user_with(name, &json!({"title": format!("{long}{name}")}))))
        .collect();
    let query = "sortBy=title&count=1&attributes=userName";
    let first = list(&client, &format!("cursor&{query}"));
    let path = format!("/Users?cursor={}&{query}", next(&first).unwrap());
    assert!(path.len() < 400, "{path}");
    assert_eq!(client.get(&path).answered(200).json["Resources"][0]["userName"], "b");
    client.delete(&format!("/Users/{}", user_ids[0])).answered(204);
    client.get(&path).refused(400, "expiredCursor");
}
