//! Compression with gzip: assets, pages and documents; never responses of SCIM, and never a page with a secret.

use std::io::Read as _;

use crate::app::{App, Request};
use crate::portal::browser::{Browser, Page};
use crate::sample::user;

/// A request of a client that accepts gzip.
fn accepting(request: Request) -> Request {
    request.header("Accept-Encoding", "deflate, gzip, br")
}

fn unzip(body: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(body).read_to_string(&mut text).unwrap();
    text
}

/// The compressed body of a page, and its content.
#[track_caller]
fn get_compressed(browser: &Browser, path: &str) -> (usize, String) {
    let answer = accepting(browser.request("GET", path)).attempt().unwrap();
    assert_eq!(answer.status, 200, "{path}");
    assert_eq!(answer.header("content-encoding"), Some("gzip"), "{path}");
    assert_eq!(answer.header("vary"), Some("Accept-Encoding"), "{path}");
    (answer.body.len(), unzip(&answer.body))
}

fn form_token(page: &str) -> &str {
    let (_, rest) = page.split_once("name=\"form_token\" value=\"").unwrap();
    rest.split_once('"').unwrap().0
}

#[test]
fn assets_and_documents_are_compressed_for_clients_that_accept_it() {
    let app = App::shared();
    let mut browser = Browser::anonymous(app);
    let page = browser.get("/docs/api").answered(200);
    let style = format!("/assets/{}", page.between("rel=\"stylesheet\" href=\"/assets/", "\""));
    for path in ["/docs/api", "/openapi.json", &style] {
        let plain = browser.get(path).answered(200);
        assert_eq!(plain.header("content-encoding"), None, "{path}");
        assert_eq!(plain.header("vary"), Some("Accept-Encoding"), "{path}");
        let (bytes, content) = get_compressed(&browser, path);
        assert_eq!(content, plain.text, "{path}");
        assert!(bytes * 2 < content.len(), "{path} has {bytes} compressed bytes");
    }
    let asset = browser.get(&style).answered(200);
    assert_eq!(asset.header("cache-control"), Some("public, max-age=31536000, immutable"));
    for path in ["/docs/api", "/openapi.json"] {
        let page = browser.get(path).answered(200);
        assert_eq!(page.header("cache-control"), Some("public, no-cache"), "{path}");
        let tag = page.header("etag").unwrap();
        let again = Request::new(app.address, "GET", path).header("If-None-Match", tag).attempt().unwrap();
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
    }
}

#[test]
fn the_token_of_a_compressed_page_differs_each_time_and_is_accepted() {
    let mut owner = Browser::owner(App::shared());
    let [(_, first), (_, second)] = [(), ()].map(|()| get_compressed(&owner, "/accounts/new"));
    assert_ne!(form_token(&first), form_token(&second));
    assert!(!first.contains(&owner.form_token));
    owner.form_token = form_token(&first).to_owned();
    owner.submit("/accounts/new", &[("id", "of-a-compressed-page")]).answered(200);
    owner.form_token = "0".repeat(64);
    let refused: Page = owner.submit("/accounts/new", &[("id", "of-another-page")]);
    assert_eq!(refused.status, 403);
}

#[test]
fn pages_of_a_query_are_compressed_and_the_style_sheet_is_small() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = app.configuration_of("compressed-query", "okta");
    client.created("/Users", &user("plain@compressed.example"));
    for path in
        ["/connections?text=compressed", "/find?q=plain", "/audit?account=compressed-query", "/requests?only=changes"]
    {
        let (bytes, content) = get_compressed(&owner, path);
        assert!(bytes < 15_000 && !content.contains(&owner.form_token), "{path}: {bytes} bytes");
    }
    let page = owner.get("/").answered(200);
    let style = format!("/assets/{}", page.between("rel=\"stylesheet\" href=\"/assets/", "\""));
    let (bytes, _) = get_compressed(&owner, &style);
    assert!(bytes <= 8 * 1024, "the style sheet has {bytes} compressed bytes");
    // A secret is never next to text of a query.
    let made = owner.submit_only("/settings/keys/new", &[("name", "a key"), ("provisioning.read", "on")]);
    let revealed = format!("{}?text=rck_", made.header("location").unwrap());
    let answer = accepting(owner.request("GET", &revealed)).attempt().unwrap();
    assert_eq!((answer.status, answer.header("content-encoding")), (200, None));
}

#[test]
fn pages_with_a_secret_downloads_and_scim_are_not_compressed() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = app.configuration_of("uncompressed", "okta");
    client.created("/Users", &user("plain@uncompressed.example"));
    for path in ["/audit/export.csv", "/connections/export.csv", "/accounts/export.csv"] {
        let answer = accepting(owner.request("GET", path)).attempt().unwrap();
        assert_eq!((answer.status, answer.header("content-encoding")), (200, None), "{path}");
    }
    let made = owner.submit_only("/settings/keys/new", &[("name", "a key"), ("provisioning.read", "on")]);
    let next = made.header("location").unwrap().to_owned();
    let revealed = accepting(owner.request("GET", &next)).attempt().unwrap();
    assert!(String::from_utf8_lossy(&revealed.body).contains("rck_") && revealed.header("content-encoding").is_none());
    for path in ["/Users", "/Groups", "/ServiceProviderConfig", "/Schemas"] {
        let plain = client.get(path).answered(200);
        let reply = accepting(client.request("GET", path)).send();
        assert_eq!(reply.answer.body, plain.answer.body, "{path}");
        let names = |reply: &crate::app::Reply| {
            reply.answer.headers.iter().map(|(name, _)| name.clone()).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(names(&reply), names(&plain), "{path}");
    }
}
