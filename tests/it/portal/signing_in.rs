//! Signing in and out, and protection against forms of other sites.

use crate::portal::browser::{Browser, PASSWORD, own_app, with_fields};

const COOKIE: &str = "rc";

#[test]
fn the_session_cookie_is_not_accessible_to_scripts_and_other_sites() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let (email, old) = (owner.email.clone(), owner.cookies[COOKIE].clone());
    let page = owner.submit_only("/login", &[("email", &email), ("password", PASSWORD)]).answered(303);
    let cookie = page.header("set-cookie").unwrap();
    for flag in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    assert_ne!(owner.cookies[COOKIE], old, "a session keeps the name it had before signing in");
}

#[test]
fn a_preset_session_cookie_is_replaced_at_sign_in() {
    let (app, _folder) = own_app();
    let mut victim = Browser::owner(&app);
    let email = victim.email.clone();
    victim.cookies = [(COOKIE.to_owned(), "chosen-by-attacker".to_owned())].into();
    victim.submit("/login", &[("email", &email), ("password", PASSWORD)]).answered(200);
    assert_ne!(victim.cookies[COOKIE], "chosen-by-attacker");
    victim.cookies = [(COOKIE.to_owned(), "chosen-by-attacker".to_owned())].into();
    assert!(victim.get("/connections").at.starts_with("/login"));
}

#[test]
fn a_session_ends_when_its_admin_signs_out() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let stolen = owner.cookies.clone();
    let page = owner.submit("/logout", &[]).answered(200);
    assert!(page.contains("You are signed out."), "{}", page.text);
    assert!(!owner.cookies.contains_key(COOKIE));
    owner.cookies = stolen;
    assert!(owner.get("/connections").at.starts_with("/login"));
}

#[test]
fn a_form_from_elsewhere_changes_nothing() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let other = Browser::owner(&app);
    let own = format!("http://{}", app.address);
    let (good, foreign_token) = (owner.form_token.clone(), other.form_token);
    for (why, token, header) in [
        ("no token", "", ("Origin", own.as_str())),
        ("a token of another session", foreign_token.as_str(), ("Origin", own.as_str())),
        ("another site by origin", good.as_str(), ("Origin", "https://evil.example")),
        ("an origin that begins like ours", good.as_str(), ("Origin", "http://127.0.0.1.evil.example")),
        ("an origin that is withheld", good.as_str(), ("Origin", "null")),
        ("another site by Sec-Fetch-Site", good.as_str(), ("Sec-Fetch-Site", "cross-site")),
        ("a sibling site", good.as_str(), ("Sec-Fetch-Site", "same-site")),
        ("nothing said about the sender", good.as_str(), ("X-Nothing", "at all")),
    ] {
        for path in ["/logout", "/connections/new"] {
            let request = owner.request("POST", path).header(header.0, header.1);
            let page = owner.send(&with_fields(request, &[("form_token", token), ("name", "x")]), path);
            assert_eq!(page.status, 403, "{path}: {why}");
        }
    }
    owner.get("/connections").answered(200);
}

#[test]
fn signing_in_leads_to_our_own_pages_only() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    for (next, expected) in [
        ("/accounts?text=a", "/accounts?text=a"),
        ("//evil.example/x", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ] {
        // A signed-in admin is redirected without a form.
        let path = format!("/login?next={}", crate::sample::encode(next));
        let page = owner.send(&owner.request("GET", &path), &path).answered(303);
        assert_eq!(page.header("location"), Some(expected), "{next}");
    }
    let email = owner.email.clone();
    let fields = [("email", email.as_str()), ("password", PASSWORD), ("next", "//evil.example")];
    assert_eq!(owner.submit_only("/login", &fields).answered(303).header("location"), Some("/"));
}

#[test]
fn every_failed_sign_in_gets_the_same_message() {
    let (app, _folder) = own_app();
    let mut browser = Browser::owner(&app);
    let email = browser.email.clone();
    let mut said = Vec::new();
    for (email, password) in [(email.as_str(), "wrong but long enough"), ("unknown@portal.example", PASSWORD)] {
        let page = browser.submit("/login", &[("email", email), ("password", password)]).answered(401);
        said.push(page.between("role=\"alert\">", "</div>").to_owned());
    }
    assert_eq!(said[0], said[1]);
}
