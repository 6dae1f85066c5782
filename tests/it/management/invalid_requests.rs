//! Invalid requests of any kind are refused with a status below 500 and an error body.

use serde_json::Value;

use crate::app::{App, Request};
use crate::http;

/// Method and path of every operation.
fn operations(app: &App) -> Vec<(String, String)> {
    let document = app.anonymous().get("/openapi.json").answered(200).json;
    let paths = document["paths"].as_object().unwrap().clone();
    let methods = |(path, item): (String, Value)| {
        let methods: Vec<String> = item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        methods.into_iter().map(move |method| (method, path.clone()))
    };
    paths.into_iter().flat_map(methods).collect()
}

/// The path with `part` in place of every parameter.
fn filled(path: &str, part: &str) -> String {
    path.split('/').map(|one| if one.starts_with('{') { part } else { one }).collect::<Vec<_>>().join("/")
}

/// Sends the request; a refusal must have the standard error body.
#[track_caller]
fn assert_handled(request: &Request) {
    let reply = request.send();
    if reply.status >= 400 && reply.status != 503 {
        let status = reply.status;
        reply.problem(status);
    }
}

#[test]
fn odd_paths_and_queries_are_refused_with_an_error_body() {
    let app = App::shared();
    let operator = app.operator().for_account("odd");
    let long = "x".repeat(5_000);
    for (method, path) in operations(app) {
        if path.contains('{') {
            for part in
                ["%00", "%ff%fe", "%2e%2e", "%2F", "%", "%zz", "-1", "99999999999999999999", "'", "%E2%80%AE", &long]
            {
                assert_handled(&operator.request(&method, &filled(&path, part)));
            }
        }
        let path = filled(&path, "01890a5d-ac96-774b-bcce-b302099a8057");
        for query in [
            "limit=99999999999999999999999999",
            "limit=-1&cursor=%00",
            "limit=1e3",
            "cursor=%ff",
            "cursor=bnVsbA",
            "after=-1",
            "after=99999999999999999999",
            "wait=NaN",
            "purge=maybe",
            "id=%00&source=%ff&tenantId=%F0%9F%92%A9",
            "since=yesterday&until=9999-99-99T99:99:99Z",
            "=&&&==&%",
        ] {
            assert_handled(&operator.request(&method, &format!("{path}?{query}")));
        }
    }
}

#[test]
fn odd_bodies_are_refused_with_an_error_body() {
    let app = App::shared();
    let operator = app.operator().for_account("odd");
    let deep = format!("{}1{}", "[".repeat(2_000), "]".repeat(2_000));
    let wide = format!("{{\"name\":\"{}\"}}", "x".repeat(100_000));
    for (method, path) in operations(app).into_iter().filter(|(method, _)| method != "GET") {
        let path = filled(&path, "01890a5d-ac96-774b-bcce-b302099a8057");
        for body in [
            &b"\xff\xfe"[..],
            b"{\"source\":\"okta\",\"connectionName\":\"\\u0000\"}",
            b"{\"source\":1e999}",
            b"{\"expiresIn\":-1,\"expiresAt\":\"9999999-01-01T00:00:00Z\",\"limit\":99999999999999999999999}",
            b"{\"id\":{},\"name\":[],\"switches\":null,\"rights\":7,\"permissions\":{}}",
            b"{\"\\ud800\":1}",
            b"[[[",
            b"\"\"",
            b"0",
            b"{}{}",
            deep.as_bytes(),
            wide.as_bytes(),
        ] {
            let request = operator.request(&method, &path).body(body).header("Content-Type", "application/json");
            assert_handled(&request);
        }
        let other =
            operator.request(&method, &path).body(b"a=b").header("Content-Type", "application/x-www-form-urlencoded");
        assert_handled(&other);
    }
}

#[test]
fn odd_headers_are_refused_or_ignored() {
    let app = App::shared();
    let operator = app.operator();
    let secret = operator.credential.clone().unwrap();
    for (method, path) in operations(app) {
        let path = filled(&path, "01890a5d-ac96-774b-bcce-b302099a8057");
        let odd = |name: &str, value: &[u8]| {
            let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", app.address);
            let head = format!("{head}Content-Length: 2\r\nContent-Type: application/json\r\n{name}: ");
            [head.as_bytes(), value, b"\r\n\r\n{}"].concat()
        };
        for request in [
            odd("frontegg-tenant-id", b"\xff\xfe\x80"),
            odd("Authorization", b"Bearer \xff\xfe"),
            odd("Authorization", b"Bearer"),
            odd("Authorization", b""),
            odd("x-access-token", b"\xc3\x28"),
            odd("Idempotency-Key", b"\x80"),
            odd("Accept", b"\xff"),
            odd("X-Forwarded-For", b"\x00"),
        ] {
            let answer = http::exchange(app.address, &request).unwrap();
            assert!(answer.status < 500, "{method} {path}: {answer:?}");
        }
        for (name, value) in [("frontegg-tenant-id", "\u{80}\u{ff}"), ("Idempotency-Key", "\u{ff}"), ("Accept", "x/y")]
        {
            let request = operator.with(&secret).request(&method, &path).header(name, value);
            assert_handled(&request.header("Content-Type", "application/json"));
        }
    }
}
