//! What no client should send is refused like everything else: with a status below 500 and a body that says what to do.

use serde_json::Value;

use crate::app::{App, Request};
use crate::http;

/// Method and path of every operation.
fn places(app: &App) -> Vec<(String, String)> {
    let document = app.stranger().get("/openapi.json").answered(200).json;
    let paths = document["paths"].as_object().unwrap().clone();
    let methods = |(path, item): (String, Value)| {
        let methods: Vec<String> = item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        methods.into_iter().map(move |method| (method, path.clone()))
    };
    paths.into_iter().flat_map(methods).collect()
}

/// The path with `part` in the place of every parameter.
fn filled(path: &str, part: &str) -> String {
    path.split('/').map(|one| if one.starts_with('{') { part } else { one }).collect::<Vec<_>>().join("/")
}

/// Sends it; a refusal has the body of all refusals.
#[track_caller]
fn survives(request: &Request) {
    let reply = request.send();
    if reply.status >= 400 && reply.status != 503 {
        let status = reply.status;
        reply.problem(status);
    }
}

#[test]
fn odd_paths_and_queries_are_refused_in_words() {
    let app = App::shared();
    let operator = app.operator().of("odd");
    let long = "x".repeat(5_000);
    for (method, path) in places(app) {
        if path.contains('{') {
            for part in
                ["%00", "%ff%fe", "%2e%2e", "%2F", "%", "%zz", "-1", "99999999999999999999", "'", "%E2%80%AE", &long]
            {
                survives(&operator.request(&method, &filled(&path, part)));
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
            survives(&operator.request(&method, &format!("{path}?{query}")));
        }
    }
}

#[test]
fn odd_bodies_are_refused_in_words() {
    let app = App::shared();
    let operator = app.operator().of("odd");
    let deep = format!("{}1{}", "[".repeat(2_000), "]".repeat(2_000));
    let wide = format!("{{\"name\":\"{}\"}}", "x".repeat(100_000));
    for (method, path) in places(app).into_iter().filter(|(method, _)| method != "GET") {
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
            survives(&request);
        }
        let other =
            operator.request(&method, &path).body(b"a=b").header("Content-Type", "application/x-www-form-urlencoded");
        survives(&other);
    }
}

#[test]
fn odd_headers_are_refused_or_passed_over() {
    let app = App::shared();
    let operator = app.operator();
    let secret = operator.credential.clone().unwrap();
    for (method, path) in places(app) {
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
            survives(&request.header("Content-Type", "application/json"));
        }
    }
}
