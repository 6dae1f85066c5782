//! Authentication: tokens, absent tokens, and unusual spellings of paths that must not bypass the check.

use serde_json::json;

use crate::app::{App, Client, Reply};
use crate::sample::{operation, user};

/// RFC 7644 section 2, RFC 6750 section 3: a 401 names the scheme, and its body is the same in all cases.
#[track_caller]
fn unauthorized(reply: Reply) -> Vec<u8> {
    let reply = reply.refused(401, "");
    assert!(reply.header("www-authenticate").starts_with("Bearer"), "{:?}", reply.answer.headers);
    reply.answer.body
}

#[test]
fn only_the_exact_token_is_accepted() {
    // T1, R-089, R-296
    let client = App::shared().configuration("other");
    let token = client.token.clone();
    let swapped: String = token
        .chars()
        .map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
        .collect();
    let mut headers = vec![
        String::new(),
        " ".to_owned(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer null".to_owned(),
        "Bearer undefined".to_owned(),
        "Bearer *".to_owned(),
        "Bearer é".to_owned(),
        format!("Bearer {swapped}"),
        format!("Bearer {token}x"),
        format!("Bearer {}", &token[..token.len() - 1]),
        format!("Bearer {token} {token}"),
        format!("Bearer \"{token}\""),
        format!("Bearer Bearer {token}"),
        format!("Bearer {token},"),
        format!("Basic {token}"),
        format!("Token {token}"),
        format!("Digest {token}"),
        format!("Bearer{token}"),
        format!("Bearer {}", "a".repeat(16 * 1024)),
    ];
    headers.push(format!("Bearer {}", client.id));
    let mut bodies = Vec::new();
    for header in headers {
        bodies.push(unauthorized(client.request("GET", "/Users").header("Authorization", &header).send()));
    }
    bodies.push(unauthorized(client.request("GET", "/Users").without("Authorization").send()));
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "the answer reveals the reason: {bodies:?}");
}

#[test]
fn an_enormous_token_is_refused_without_a_server_error() {
    // T1: the HTTP parser may refuse such a header itself, without a body.
    let client = App::shared().configuration("other");
    let header = format!("Bearer {}", "a".repeat(100 * 1024));
    let reply = client.request("GET", "/Users").header("Authorization", &header).send();
    assert!([400, 401, 431].contains(&reply.status), "{}", reply.status);
}

#[test]
fn two_authorization_headers_are_refused() {
    // T1
    let client = App::shared().configuration("other");
    let reply = client.request("GET", "/Users").also("Authorization", "Bearer other").send();
    assert!([400, 401].contains(&reply.status), "{}", reply.status);
}

#[test]
fn the_scheme_may_be_written_in_any_case() {
    // D5, RFC 7235 section 2.1
    let client = App::shared().configuration("other");
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let header = format!("{scheme} {}", client.token);
        client.request("GET", "/Users").header("Authorization", &header).send().answered(200);
    }
}

#[test]
fn the_token_is_checked_before_the_id_and_the_body() {
    // T1, R-330: the answer does not reveal an unknown configuration or an invalid body.
    let client = App::shared().configuration("other");
    let expected = unauthorized(client.request("GET", "/Users").without("Authorization").send());
    let unknown = "/directory/resources/scim/v2.0/00000000-0000-7000-8000-000000000000/Users";
    assert_eq!(unauthorized(client.request_to("GET", unknown).without("Authorization").send()), expected);
    assert_eq!(unauthorized(client.request_to("GET", unknown).send()), expected);
    let broken = client.request("POST", "/Users").body(b"{").without("Authorization");
    assert_eq!(unauthorized(broken.header("Content-Type", "text/xml").send()), expected);
    let absent = client.request("PUT", "/Users/unknown").json(&user("x")).without("Authorization");
    assert_eq!(unauthorized(absent.send()), expected);
}

#[test]
fn a_token_in_the_query_the_body_or_a_cookie_is_ignored() {
    // T6, RFC 7644 section 7.4, RFC 6750 section 5.3
    let client = App::shared().configuration("other");
    let token = client.token.clone();
    for name in ["access_token", "token", "bearer", "authorization"] {
        let path = format!("/Users?{name}={token}");
        unauthorized(client.request("GET", &path).without("Authorization").send());
        let cookie = format!("{name}={token}");
        unauthorized(client.request("GET", "/Users").without("Authorization").header("Cookie", &cookie).send());
    }
    let form = client.request("POST", "/Users").without("Authorization");
    let form = form.header("Content-Type", "application/x-www-form-urlencoded");
    unauthorized(form.body(format!("access_token={token}").as_bytes()).send());
}

#[test]
fn no_unusual_spelling_of_a_path_bypasses_authentication() {
    // T7
    let client = App::shared().configuration("other");
    let id = client.created("/Users", &user("secret-user"));
    let base = client.base.clone();
    let upper = base.to_uppercase();
    let encoded = base.replace('/', "%2F");
    let targets = [
        format!("{base}/%55sers"),
        format!("{base}/%55%73%65%72%73"),
        format!("{base}/Users%2F{id}"),
        format!("{base}//Users"),
        format!("/{base}/Users"),
        format!("{base}/./Users"),
        format!("{base}/x/../Users"),
        format!("{base}/%2e/Users"),
        format!("{base}/x/%2e%2e/Users"),
        format!("{base}/Users;x"),
        format!("{base};x/Users"),
        format!("{base}/Users/"),
        format!("{base}/Users%00"),
        format!("{base}/Users%20"),
        format!("{base}/users"),
        format!("{base}/USERS/{id}"),
        format!("{base}/Users/{id}/"),
        format!("{base}/Users/{id}?attributes=userName"),
        format!("{base}/ServiceProviderConfig/../Users"),
        format!("{base}/Schemas/%2e%2e/Users"),
        format!("{encoded}%2FUsers"),
        format!("{upper}/Users"),
        format!("http://{}{base}/Users", client.address),
        format!("/livez/..{base}/Users"),
        format!("/directory/resources/scim/v2.0/{}/../{}/Users", client.id, client.id),
    ];
    for target in targets {
        let reply = client.request_to("GET", &target).without("Authorization").send();
        assert!(reply.status >= 300, "{target} answered {}", reply.status);
        let body = String::from_utf8_lossy(&reply.answer.body);
        assert!(!body.contains("secret-user"), "{target} answered {body}");
    }
}

#[test]
fn headers_that_change_method_or_user_are_ignored() {
    // T8
    let client = App::shared().configuration("other");
    let id = client.created("/Users", &user("still-here"));
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
        client.request("GET", &format!("/Users/{id}")).header(name, "DELETE").send().answered(200);
        client.request("POST", &format!("/Users/{id}")).header(name, "DELETE").send().with_scim_error();
    }
    client.get(&format!("/Users/{id}")).answered(200);
    for name in ["X-Forwarded-User", "X-Original-URL", "X-Rewrite-URL", "X-Remote-User"] {
        unauthorized(client.request("GET", "/Users").without("Authorization").header(name, "/livez").send());
    }
}

#[test]
fn discovery_is_open_to_all_but_a_wrong_token_is_refused() {
    // D8, R-283: Rippling tests its token here.
    let client = App::shared().configuration("other");
    for path in ["/ServiceProviderConfig", "/ResourceTypes", "/Schemas", "/ResourceTypes/User"] {
        client.request("GET", path).without("Authorization").send().answered(200);
        client.get(path).answered(200);
        unauthorized(client.request("GET", path).header("Authorization", "Bearer wrong").send());
    }
}

#[test]
fn tokens_of_a_deleted_configuration_are_refused_at_once() {
    // T2, T9
    let client = App::shared().configuration("other");
    client.get("/Users").answered(200);
    App::shared().succeeds(&["configuration", "delete", &client.id, "--yes"]);
    unauthorized(client.get("/Users"));
    unauthorized(client.post("/Users", &user("late")));
}

#[test]
fn of_three_tokens_the_two_newest_are_valid() {
    // T9, T10: at most two live tokens, so that a token can be replaced without an interruption.
    let first = App::shared().configuration("other");
    let second = rotate(&first);
    first.get("/Users").answered(200);
    second.get("/Users").answered(200);
    let third = rotate(&first);
    unauthorized(first.get("/Users"));
    second.get("/Users").answered(200);
    third.get("/Users").answered(200);
}

fn rotate(client: &Client) -> Client {
    let output = App::shared().succeeds(&["token", "rotate", &client.id, "--output", "json"]);
    let made: serde_json::Value = serde_json::from_slice(&output).unwrap();
    Client { token: made["token"].as_str().unwrap().to_owned(), ..client.clone() }
}

#[test]
fn a_token_is_long_random_and_stored_only_as_a_digest() {
    // T4, T5, R-294: 256 bits, a prefix for secret scanners, and no plain text in the files.
    let app = App::shared();
    let clients: Vec<Client> = (0..3).map(|_| app.configuration("other")).collect();
    for client in &clients {
        assert!(client.token.starts_with("rct_") && client.token.len() >= 43, "{}", client.token.len());
        client.patch("/Users/none", &operation("replace", "title", &json!("x"))).refused(404, "");
    }
    assert_ne!(clients[0].token, clients[1].token);
    for entry in std::fs::read_dir(&app.data).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        for client in &clients {
            let token = client.token.as_bytes();
            assert!(!bytes.windows(token.len()).any(|window| window == token), "{} holds a token", path.display());
        }
    }
}

#[test]
fn wrong_tokens_are_throttled_and_a_valid_token_still_passes() {
    // T11: a separate server, because the limit is per address.
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let client = app.configuration("other");
    let guess = || client.request("GET", "/Users").header("Authorization", "Bearer wrong").send();
    let refused = (0..1_000).map(|_| guess()).find(|reply| reply.status != 401).expect("an end to the budget");
    assert!(refused.answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u64>().is_ok_and(|s| s > 0)));
    refused.refused(429, "");
    client.get("/Users").answered(200);
    client.request("GET", "/Users").without("Authorization").send().refused(401, "");
    app.kill();
}
