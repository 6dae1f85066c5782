//! Requests from web pages of other origins.

use crate::app::{App, Reply};
use crate::caller::CONFIGURATIONS;

const PAGE: &str = "https://app.example.com";

fn app() -> (tempfile::TempDir, App) {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start_with(folder.path(), &["--allowed-origin", "https://App.example.com,http://localhost:3000"]);
    (folder, app)
}

fn preflight(app: &App, path: &str, origin: &str) -> Reply {
    let request = app.anonymous().request("OPTIONS", path).header("Origin", origin);
    let asked = request.header("Access-Control-Request-Method", "POST");
    asked.header("Access-Control-Request-Headers", "authorization, content-type, frontegg-tenant-id").send()
}

#[test]
fn a_named_origin_may_ask_and_call() {
    let (_folder, app) = app();
    for origin in [PAGE, "http://localhost:3000"] {
        let asked = preflight(&app, CONFIGURATIONS, origin).answered(204);
        assert_eq!(asked.header("access-control-allow-origin"), origin);
        assert_eq!(asked.header("access-control-allow-credentials"), "true");
        assert!(asked.header("access-control-allow-methods").contains("POST"));
        assert!(asked.header("access-control-allow-headers").contains("frontegg-tenant-id"));
        assert!(asked.header("vary").to_ascii_lowercase().contains("origin"));
    }
    let called = app.operator().request("GET", CONFIGURATIONS).header("Origin", PAGE).send().answered(200);
    assert_eq!(called.header("access-control-allow-origin"), PAGE);
    assert!(called.header("access-control-expose-headers").contains("frontegg-trace-id"));
    // A page must be able to read the reason of a refusal.
    let refused = app.anonymous().request("GET", CONFIGURATIONS).header("Origin", PAGE).send().problem(401);
    assert_eq!(refused.header("access-control-allow-origin"), PAGE);
}

#[test]
fn every_other_origin_is_not_allowed() {
    let (_folder, app) = app();
    let operator = app.operator();
    for origin in [
        "https://evil.example.com",
        "https://app.example.com.evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
        "null",
        "*",
    ] {
        let called = operator.request("GET", CONFIGURATIONS).header("Origin", origin).send().answered(200);
        for reply in [preflight(&app, CONFIGURATIONS, origin), called] {
            assert_eq!(reply.header("access-control-allow-origin"), "", "{origin}");
            assert_eq!(reply.header("access-control-allow-credentials"), "", "{origin}");
            assert!(reply.header("vary").to_ascii_lowercase().contains("origin"));
        }
    }
}

#[test]
fn scim_paths_allow_no_origin() {
    let (_folder, app) = app();
    let client = app.operator().configuration("acme", "okta");
    let called = client.request("GET", "/Users").header("Origin", PAGE).send().answered(200);
    let asked = preflight(&app, &format!("{}/Users", client.base), PAGE);
    for reply in [called, asked] {
        assert_eq!(reply.header("access-control-allow-origin"), "");
    }
}

#[test]
fn without_the_setting_no_origin_is_allowed() {
    let reply = preflight(App::shared(), CONFIGURATIONS, PAGE).answered(204);
    assert_eq!(reply.header("access-control-allow-origin"), "");
    assert_eq!(reply.header("vary"), "");
}
