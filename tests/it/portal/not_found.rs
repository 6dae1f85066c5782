//! Unknown addresses and refused pages.

use crate::app::App;
use crate::portal::browser::{Browser, Page, own_app};

/// The answer to a page request of a browser.
fn asked(browser: &mut Browser, path: &str) -> Page {
    let request = browser.request("GET", path).header("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    browser.send(&request, path)
}

#[test]
fn an_unknown_address_shows_a_page_with_a_link_back() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    for path in ["/nothing", "/connections/x/y/z", "/settings/nothing", "/docs/nothing", "/index.php?done=saved"] {
        let page = asked(&mut owner, path).answered(404);
        assert!(page.contains("<h1>Page not found</h1>") && page.contains("href=\"/connections\""), "{}", page.text);
        assert!(!page.contains("Changes saved") && page.header("content-security-policy").is_some());
        let page = asked(&mut Browser::anonymous(&app), path).answered(404);
        assert!(page.contains("<h1>Page not found</h1>") && !page.contains("aria-label=\"Main\""), "{}", page.text);
    }
}

#[test]
fn api_clients_get_errors_in_json() {
    let (app, _folder) = own_app();
    let mut anonymous = Browser::anonymous(&app);
    for path in ["/directory/resources/v1/nothing", "/frontegg/x", "/api/scim/x", "/auth/nothing", "/scim/v2/Users"] {
        let page = asked(&mut anonymous, path);
        assert!(!page.contains("<html"), "{path}: {}", page.text);
    }
    let request = anonymous.request("GET", "/nothing");
    let page = anonymous.send(&request, "/nothing").answered(404);
    assert!(page.header("content-type").unwrap().starts_with("application/json"), "{}", page.text);
}

#[test]
fn a_refused_page_keeps_the_navigation_of_the_signed_in_admin() {
    let app = App::shared();
    let mut viewer = Browser::with_role(app, "viewer", None);
    for (path, status) in [("/settings/people", 403), ("/connections/unknown", 404), ("/connections/new", 403)] {
        let page = viewer.get(path).answered(status);
        assert!(page.contains("aria-label=\"Main\"") && page.contains("Sign out"), "{}", page.text);
    }
}
