//! The remaining HTTP surface of RFC 7644: versions in the path, methods, headers, root queries.

use serde_json::{Value, json};

use crate::app::App;
use crate::sample::{LIST, SEARCH, group, user, user_with};

#[test]
fn only_version_two_may_precede_the_endpoint() {
    // R-086 to R-088, RFC 7644 section 3.13
    let client = App::shared().configuration("other");
    let id = client.created("/Users", &user("x"));
    assert_eq!(client.get("/v2/Users").answered(200).json["totalResults"], 1);
    assert_eq!(client.get(&format!("/v2/Users/{id}")).answered(200).id(), id);
    assert_eq!(client.get("/Users").answered(200).json["totalResults"], 1);
    for path in ["/v1/Users", "/v3/Users", "/v1", "/v10/Groups"] {
        client.get(path).refused(400, "invalidVers");
    }
}

#[test]
fn options_and_refused_methods_name_what_is_served() {
    // R-090, RFC 9110 section 9.3.7
    let client = App::shared().configuration("other");
    let reply = client.request("OPTIONS", "/Users").send();
    assert!([200, 204].contains(&reply.status), "{}", reply.status);
    for method in ["GET", "POST"] {
        assert!(reply.header("allow").contains(method), "{:?}", reply.header("allow"));
    }
}

#[test]
fn a_refused_token_is_distinguished_from_an_absent_one() {
    // R-089, RFC 6750 section 3
    let client = App::shared().configuration("other");
    let challenge =
        |request: crate::app::Request| request.send().refused(401, "").header("www-authenticate").to_owned();
    let without = challenge(client.request("GET", "/Users").without("Authorization"));
    assert!(without.starts_with("Bearer realm=") && !without.contains("error="), "{without}");
    let wrong = challenge(client.request("GET", "/Users").header("Authorization", "Bearer wrong"));
    assert!(wrong.starts_with("Bearer realm=") && wrong.contains("error=\"invalid_token\""), "{wrong}");
}

#[test]
fn asking_for_compression_changes_no_version() {
    // R-093
    let client = App::shared().configuration("other");
    let made = client.post("/Users", &user("x")).answered(201);
    let path = format!("/Users/{}", made.id());
    let packed = client.request("GET", &path).header("Accept-Encoding", "gzip, br").send().answered(200);
    assert_eq!((packed.version(), packed.header("content-encoding")), (made.version(), ""));
}

#[test]
fn a_query_at_the_root_covers_all_types() {
    // R-113 to R-115, R-192, RFC 7644 section 3.4.2.1
    let client = App::shared().configuration("other");
    let user_id = client.created("/Users", &user_with("ada", &json!({"displayName": "Same"})));
    client.created("/Users", &user("bob"));
    let team = client.created("/Groups", &group("Same", &[&user_id]));
    let found = |query: &str, body: Value| -> Vec<String> {
        let list = client.get(&format!("/?{query}")).answered(200).json;
        assert_eq!(list["schemas"], json!([LIST]));
        let ids = |list: &Value| -> Vec<String> {
            list["Resources"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
        };
        let mut search = json!({"schemas": [SEARCH]});
        search.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        let searched = client.post("/.search", &search).answered(200).json;
        assert_eq!((ids(&searched), &searched["totalResults"]), (ids(&list), &list["totalResults"]), "{query}");
        ids(&list)
    };
    assert_eq!(found("", json!({})).len(), 3);
    assert_eq!(found("count=2", json!({"count": 2})).len(), 2);
    let same = found("filter=displayName%20eq%20%22same%22", json!({"filter": "displayName eq \"same\""}));
    assert!(same.len() == 2 && same.contains(&user_id) && same.contains(&team), "{same:?}");
    // An attribute that a type lacks has no value there.
    assert_eq!(found("filter=userName%20pr", json!({"filter": "userName pr"})).len(), 2);
    assert_eq!(found("filter=members%20pr", json!({"filter": "members pr"})), [team]);
    client.get("/?filter=broken").refused(400, "invalidFilter");
}

#[test]
fn a_filter_on_one_resource_is_ignored() {
    // R-116
    let client = App::shared().configuration("other");
    let id = client.created("/Users", &user("x"));
    let reply = client.get(&format!("/Users/{id}?filter=userName%20eq%20%22other%22&count=0&startIndex=9"));
    assert_eq!(reply.answered(200).id(), id);
}

#[test]
fn the_largest_page_is_the_one_that_is_announced() {
    // R-157, R-329
    let client = App::shared().configuration("other");
    let config = client.get("/ServiceProviderConfig").answered(200).json;
    let most = config["filter"]["maxResults"].as_u64().unwrap();
    assert_eq!(config["pagination"]["maxPageSize"].as_u64(), Some(most));
    std::thread::scope(|scope| {
        for part in 0..8 {
            let client = &client;
            scope.spawn(move || {
                for number in (part..=most).step_by(8) {
                    client.created("/Users", &user(&format!("user-{number}")));
                }
            });
        }
    });
    let page = client.get(&format!("/Users?attributes=id&count={}", most * 2)).answered(200).json;
    assert_eq!((&page["totalResults"], &page["itemsPerPage"]), (&json!(most + 1), &json!(most)));
    assert_eq!(page["Resources"].as_array().unwrap().len() as u64, most);
}
