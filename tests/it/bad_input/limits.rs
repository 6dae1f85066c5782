//! Size and depth limits (T23, T24): a limit is enforced quickly, and everything below it works.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Populated;
use crate::app::App;
use crate::sample::{operations, user, user_with};

const BODY_MAX: usize = 8 * 1024 * 1024;

#[test]
fn a_body_over_the_limit_is_413() {
    // T24, D32: 8 MiB, because some providers send thousands of members in one request.
    Populated::new().assert_unchanged(|on| {
        let mut body = user("big").to_string().into_bytes();
        body.resize(BODY_MAX + 1, b' ');
        let request = on.client.request("POST", "/Users").header("Content-Type", "application/scim+json");
        request.body(&body).send().refused(413, "");
    });
}

#[test]
fn a_large_body_below_the_limit_is_accepted() {
    let client = App::shared().configuration("other");
    let mut body = user("padded").to_string().into_bytes();
    body.resize(BODY_MAX - 1024, b' ');
    let request = client.request("POST", "/Users").header("Content-Type", "application/scim+json");
    request.body(&body).send().answered(201);
}

#[test]
fn an_announced_length_over_the_limit_is_refused_unread() {
    // T24, R-330
    let client = App::shared().configuration("other");
    let begun = Instant::now();
    let request = client.request("POST", "/Users").header("Content-Type", "application/scim+json");
    request.header("Content-Length", "10737418240").send().refused(413, "");
    let unauthenticated =
        client.request("POST", "/Users").without("Authorization").header("Content-Length", "10737418240");
    unauthenticated.send().refused(401, "");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn a_text_over_64_kib_is_413_and_one_of_64_kib_is_stored() {
    // T24
    let on = Populated::new();
    on.assert_unchanged(|on| {
        let long = "x".repeat(64 * 1024 + 1);
        let documents = [
            user(&long),
            user_with("x", &json!({"title": long})),
            user_with("x", &json!({"emails": [{"value": long}]})),
            user_with("x", &json!({"name": {"formatted": long}})),
        ];
        for document in documents {
            on.client.post("/Users", &document).refused(413, "");
        }
        let path = format!("/Users/{}", on.user);
        on.client
            .patch(&path, &operations(&json!([{"op": "replace", "path": "title", "value": long}])))
            .refused(413, "");
    });
    let fits = "x".repeat(64 * 1024);
    let made = on.client.post("/Users", &user_with("fits", &json!({"title": fits}))).answered(201).json;
    assert_eq!(made["title"], fits.as_str());
}

#[test]
fn more_than_ten_thousand_operations_are_413() {
    // T24
    Populated::new().assert_unchanged(|on| {
        let many = vec![json!({"op": "replace", "path": "title", "value": "x"}); 10_001];
        on.client.patch(&format!("/Users/{}", on.user), &operations(&Value::Array(many))).refused(413, "");
    });
}

#[test]
fn more_than_a_hundred_thousand_members_are_413() {
    // T24
    Populated::new().assert_unchanged(|on| {
        let many: Vec<Value> =
            (0..100_001).map(|n| json!({"value": format!("00000000-0000-7000-8000-{n:012}")})).collect();
        on.client.post("/Groups", &json!({"displayName": "Crowd", "members": many})).refused(413, "");
    });
}

#[test]
fn json_nested_too_deep_is_invalid_syntax_at_once() {
    // T23, R-091
    Populated::new().assert_unchanged(|on| {
        for depth in [70, 1000, 200_000] {
            for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
                let nested = format!("{}1{}", open.repeat(depth), close.repeat(depth));
                for body in [nested.clone(), format!("{{\"userName\":\"x\",\"title\":{nested}}}"), open.repeat(depth)] {
                    let begun = Instant::now();
                    let request = on.client.request("POST", "/Users").body(body.as_bytes());
                    request.header("Content-Type", "application/scim+json").send().refused(400, "invalidSyntax");
                    assert!(begun.elapsed() < Duration::from_secs(2), "{depth} took {:?}", begun.elapsed());
                }
            }
        }
    });
}

#[test]
fn a_path_in_a_patch_has_the_limits_of_a_filter() {
    // T23
    Populated::new().assert_unchanged(|on| {
        let deep = format!("emails[{}type eq \"x\"{}].value", "(".repeat(5000), ")".repeat(5000));
        let long = format!("emails[type eq \"{}\"].value", "x".repeat(20_000));
        let chain = format!("emails[{}].value", vec!["type eq \"x\""; 400].join(" or "));
        let dots = vec!["name"; 5000].join(".");
        for path in [deep, long, chain, dots] {
            let body = operations(&json!([{"op": "replace", "path": path, "value": "x"}]));
            let reply = on.client.patch(&format!("/Users/{}", on.user), &body);
            assert!([400, 413].contains(&reply.status), "{}", reply.status);
            reply.with_scim_error();
        }
    });
}

#[test]
fn an_oversized_url_or_header_is_refused_by_the_parser() {
    // T24: 414 or 431, or 400 where the parser uses one status for all cases.
    let client = App::shared().configuration("other");
    let long = format!("/Users?filter={}", "x".repeat(500_000));
    if let Ok(answer) = client.request("GET", &long).attempt() {
        assert!([400, 413, 414, 431].contains(&answer.status), "{}", answer.status);
    }
    let mut request = client.request("GET", "/Users");
    for number in 0..5000 {
        request = request.also(&format!("X-Number-{number}"), "x");
    }
    if let Ok(answer) = request.attempt() {
        assert!([400, 413, 431].contains(&answer.status), "{}", answer.status);
    }
    client.get("/Users").answered(200);
}

#[test]
fn an_incomplete_body_times_out() {
    // T40: a body must arrive within ten seconds; nothing of an incomplete body is stored.
    Populated::new().assert_unchanged(|on| {
        let request = on.client.request("POST", "/Users").header("Content-Type", "application/scim+json");
        let half = request.header("Content-Length", "400").also("X-Note", "the rest never comes");
        half.body(b"{\"userName\":").send().refused(408, "");
    });
}
