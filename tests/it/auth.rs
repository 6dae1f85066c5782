//! Who may call: tokens, their absence, and the spellings with which somebody might slip past the check.

use serde_json::json;

use crate::app::{App, Client, Reply};
use crate::sample::{operation, user};

/// RFC 7644 section 2, RFC 6750 section 3: 401 names the scheme; the body is one for all cases.
#[track_caller]
fn unauthorized(reply: Reply) -> Vec<u8> {
    let reply = reply.refused(401, "");
    assert!(reply.header("www-authenticate").starts_with("Bearer"), "{:?}", reply.answer.headers);
    reply.answer.body
}

#[test]
fn only_the_very_token_opens_the_door() {
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
    assert_eq!(bodies.len(), 1, "the answer tells why: {bodies:?}");
}

#[test]
fn an_enormous_token_is_refused_without_an_error_of_ours() {
    // T1: the parser may refuse such a head by itself, without a body.
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
fn the_token_is_judged_before_the_id_and_the_body() {
    // T1, R-330: neither an unknown configuration nor a broken body shows through.
    let client = App::shared().configuration("other");
    let expected = unauthorized(client.request("GET", "/Users").without("Authorization").send());
    let stranger = "/directory/resources/scim/v2.0/00000000-0000-7000-8000-000000000000/Users";
    assert_eq!(unauthorized(client.request_to("GET", stranger).without("Authorization").send()), expected);
    assert_eq!(unauthorized(client.request_to("GET", stranger).send()), expected);
    let broken = client.request("POST", "/Users").body(b"{").without("Authorization");
    assert_eq!(unauthorized(broken.header("Content-Type", "text/xml").send()), expected);
    let missing = client.request("PUT", "/Users/nobody").json(&user("x")).without("Authorization");
    assert_eq!(unauthorized(missing.send()), expected);
}

#[test]
fn a_token_in_the_query_the_body_or_a_cookie_is_no_token() {
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
fn no_odd_spelling_of_a_path_gets_past_the_check() {
    // T7
    let client = App::shared().configuration("other");
    let id = client.created("/Users", &user("secret-person"));
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
        assert!(!body.contains("secret-person"), "{target} answered {body}");
    }
}

#[test]
fn headers_that_change_method_or_person_are_ignored() {
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
fn a_deleted_configuration_is_closed_at_once() {
    // T2, T9
    let client = App::shared().configuration("other");
    client.get("/Users").answered(200);
    App::shared().succeeds(&["configuration", "delete", &client.id]);
    unauthorized(client.get("/Users"));
    unauthorized(client.post("/Users", &user("late")));
}

#[test]
fn of_three_tokens_the_oldest_dies_and_two_live_side_by_side() {
    // T9, T10: at most two live tokens, so that a token can be changed without a gap.
    let first = App::shared().configuration("other");
    let second = rotated(&first);
    first.get("/Users").answered(200);
    second.get("/Users").answered(200);
    let third = rotated(&first);
    unauthorized(first.get("/Users"));
    second.get("/Users").answered(200);
    third.get("/Users").answered(200);
}

fn rotated(client: &Client) -> Client {
    let output = App::shared().succeeds(&["token", "rotate", &client.id, "--output", "json"]);
    let made: serde_json::Value = serde_json::from_slice(&output).unwrap();
    Client { token: made["token"].as_str().unwrap().to_owned(), ..client.clone() }
}

#[test]
fn a_token_is_long_drawn_anew_and_kept_only_as_a_digest() {
    // T4, T5, R-294: 256 bits, a prefix that secret scanners know, nowhere in the files.
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
fn a_guesser_is_slowed_down_and_a_right_token_still_passes() {
    // T11: a server of its own, because the budget is per address.
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
