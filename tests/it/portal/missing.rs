//! Addresses that are nothing, and pages that are refused.

use crate::app::App;
use crate::portal::browser::{Browser, Page, own_app};

/// What a browser gets at an address.
fn asked(browser: &mut Browser, path: &str) -> Page {
    let request = browser.request("GET", path).header("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    browser.send(&request, path)
}

#[test]
fn an_address_that_is_nothing_shows_a_page_with_the_way_back() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    for path in ["/nothing", "/connections/x/y/z", "/settings/nothing", "/docs/nothing", "/index.php?done=saved"] {
        let page = asked(&mut owner, path).answered(404);
        assert!(page.says("<h1>There is no such page</h1>") && page.says("href=\"/connections\""), "{}", page.text);
        assert!(!page.says("Your changes were saved") && page.header("content-security-policy").is_some());
        let page = asked(&mut Browser::stranger(&app), path).answered(404);
        assert!(page.says("<h1>There is no such page</h1>") && !page.says("aria-label=\"Main\""), "{}", page.text);
    }
}

#[test]
fn programs_are_told_in_their_own_form() {
    let (app, _folder) = own_app();
    let mut stranger = Browser::stranger(&app);
    for path in ["/directory/resources/v1/nothing", "/frontegg/x", "/api/scim/x", "/auth/nothing", "/scim/v2/Users"] {
        let page = asked(&mut stranger, path);
        assert!(!page.says("<html"), "{path}: {}", page.text);
    }
    let request = stranger.request("GET", "/nothing");
    let page = stranger.send(&request, "/nothing").answered(404);
    assert!(page.header("content-type").unwrap().starts_with("application/json"), "{}", page.text);
}

#[test]
fn a_page_that_is_refused_keeps_the_navigation_of_whoever_is_signed_in() {
    let app = App::shared();
    let mut viewer = Browser::with_role(app, "viewer", None);
    for (path, status) in [("/settings/people", 403), ("/connections/nobody", 404), ("/connections/new", 403)] {
        let page = viewer.get(path).answered(status);
        assert!(page.says("aria-label=\"Main\"") && page.says("Sign out"), "{}", page.text);
    }
}
