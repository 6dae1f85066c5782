//! An identity is linked to an existing admin with the password and the code, or from the admin's own session. An e-mail
//! address alone never links.

use serde_json::json;

use super::{SsoFixture, is_signed_in, return_with_code, start_sign_in};
use crate::portal::browser::{Browser, PASSWORD, Page};
use crate::portal::codes::{code, set_up, wait_for_early_step};

/// Starts the link of the profile page; returns the query of the URL at the provider.
#[track_caller]
fn start_own_link(browser: &mut Browser) -> super::AuthorizationRequest {
    let page = browser.submit("/profile/sso", &[("present", PASSWORD)]).answered(200);
    let main = Page { text: page.between("<main", "</main>").to_owned(), ..page };
    let address = main.between("class=\"button primary\" href=\"", "\"").replace("&#38;", "&").replace("&amp;", "&");
    let (_, query) = address.split_once('?').unwrap();
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

#[test]
fn an_identity_with_the_address_of_an_owner_gets_nothing_without_the_password() {
    let mut fixture = SsoFixture::new(&[]);
    let owner = fixture.owner.email.clone();
    let mut attacker = Browser::anonymous(&fixture.app);
    let page = fixture.sign_in(&mut attacker, &json!({"sub": "evil", "email": owner})).answered(303);
    assert_eq!(page.header("location"), Some("/login/link"));
    assert!(!is_signed_in(&mut attacker));
    let page = attacker.get("/login/link").answered(200);
    assert!(page.contains(&owner) && page.contains("<code>evil</code>"), "{}", page.text);
    attacker.submit("/login/link", &[("password", "not the password of it")]).answered(401);
    attacker.submit("/login/link", &[]).answered(401);
    assert!(!is_signed_in(&mut attacker));
    // The same identity again is still not linked.
    assert_eq!(fixture.sign_in(&mut attacker, &json!({"sub": "evil", "email": owner})).status, 303);
    assert!(!is_signed_in(&mut attacker));
    assert!(!fixture.owner.get("/audit/export.json?action=admin.linked").contains("evil"));
    // Another browser has nothing to confirm.
    let mut other = Browser::anonymous(&fixture.app);
    assert!(other.get("/login/link").at.starts_with("/login"));
    assert_eq!(other.submit("/login/link", &[("password", PASSWORD)]).at, "/login");
    // An admin without a password has nothing to confirm with.
    let added = [("adds_people", "on"), ("domains", "sso.example"), ("default_role", "viewer")];
    fixture.save_settings(&added).answered(200);
    let mut first = Browser::anonymous(&fixture.app);
    fixture.sign_in(&mut first, &json!({"sub": "u6", "email": "ben@sso.example"})).answered(303);
    let list = fixture.owner.get("/settings/people");
    let (before, _) = list.text.split_once("ben@sso.example").unwrap();
    let id = before.rsplit_once("/settings/people/").unwrap().1.split('"').next().unwrap();
    fixture.owner.submit(&format!("/settings/people/{id}/unlink"), &[]).answered(200);
    fixture.sign_in(&mut other, &json!({"sub": "u7", "email": "ben@sso.example"})).answered(403);
    assert_eq!(fixture.reasons()[0], "no_password_to_confirm_link");
}

#[test]
fn a_link_needs_the_code_too_if_codes_are_enabled() {
    wait_for_early_step();
    let mut fixture = SsoFixture::new(&[]);
    let mut owner = fixture.owner.clone();
    let (secret, recovery) = set_up(&mut owner);
    let claims = json!({"sub": "o1", "email": owner.email.clone()});
    let mut browser = Browser::anonymous(&fixture.app);
    fixture.sign_in(&mut browser, &claims).answered(303);
    let page = browser.submit("/login/link", &[("password", PASSWORD)]).answered(200);
    assert!(page.at.starts_with("/login/code"), "{}", page.at);
    browser.submit("/login/code", &[("code", "000000")]).answered(401);
    assert!(!is_signed_in(&mut browser));
    // A claim of an ordinary sign-in does not confirm the link.
    let link = browser.cookies["rc_link"].clone();
    let mut ordinary = Browser::anonymous(&fixture.app);
    ordinary.email.clone_from(&owner.email);
    ordinary.sign_in();
    ordinary.cookies.insert("rc_link".to_owned(), link);
    ordinary.submit("/login/code", &[("code", &code(&secret, 1))]).answered(200);
    assert!(is_signed_in(&mut ordinary));
    assert!(!fixture.owner.get("/audit/export.json?action=admin.linked").contains("o1"));
    let spare = recovery.between("<ul class=\"mono\"><li>", "</li>").to_owned();
    browser.submit("/login/code", &[("code", &spare)]).answered(200);
    assert!(is_signed_in(&mut browser));
    assert!(fixture.owner.get("/audit/export.json?action=admin.linked").contains("\"o1\""));
    let mut again = Browser::anonymous(&fixture.app);
    fixture.sign_in(&mut again, &claims).answered(303);
    assert!(is_signed_in(&mut again));
}

#[test]
fn a_signed_in_admin_links_an_own_identity() {
    let fixture = SsoFixture::new(&[]);
    let mut owner = fixture.owner.clone();
    owner.submit("/profile/sso", &[("present", "wrong")]).answered(422);
    let sent = start_own_link(&mut owner);
    fixture.issue_tokens(&sent, &json!({"sub": "o1", "email": "private@elsewhere.example"}));
    // The attempt belongs to the session that started it.
    let mut thief = Browser::anonymous(&fixture.app);
    thief.cookies.insert("rc_sso".to_owned(), owner.cookies["rc_sso"].clone());
    return_with_code(&mut thief, &sent).answered(403);
    let mut other = Browser::owner(&fixture.app);
    other.cookies.insert("rc_sso".to_owned(), owner.cookies["rc_sso"].clone());
    return_with_code(&mut other, &sent).answered(403);
    let page = return_with_code(&mut owner, &sent).answered(303);
    assert_eq!(page.header("location"), Some("/profile?done=identity-linked"));
    assert!(owner.get("/profile").contains("<code>o1</code>"));
    let mut browser = Browser::anonymous(&fixture.app);
    fixture.sign_in(&mut browser, &json!({"sub": "o1", "email": "private@elsewhere.example"})).answered(303);
    assert_eq!(browser.get("/settings/people").status, 200);
    // An identity belongs to one admin.
    let sent = start_own_link(&mut other);
    fixture.issue_tokens(&sent, &json!({"sub": "o1"}));
    let page = return_with_code(&mut other, &sent).answered(422);
    assert!(page.contains("linked to another admin"), "{}", page.text);
}

#[test]
fn an_attempt_works_once_even_if_its_cookie_is_copied() {
    let mut fixture = SsoFixture::new(&[]);
    fixture.add_linked("ann@sso.example", "viewer");
    let mut browser = Browser::anonymous(&fixture.app);
    let sent = start_sign_in(&mut browser, "/login/sso");
    let copied = browser.cookies["rc_sso"].clone();
    fixture.issue_tokens(&sent, &json!({}));
    return_with_code(&mut browser, &sent).answered(303);
    let mut victim = Browser::anonymous(&fixture.app);
    victim.cookies.insert("rc_sso".to_owned(), copied);
    return_with_code(&mut victim, &sent).answered(403);
    assert!(!is_signed_in(&mut victim));
}

#[test]
fn the_required_acr_and_amr_must_be_in_the_id_token() {
    let mut fixture = SsoFixture::new(&[]);
    fixture.add_linked("ann@sso.example", "viewer");
    let required = [("required_acr", "phr phrh"), ("required_amr", "pwd mfa")];
    let page = fixture.save_settings(&required).answered(200);
    assert!(page.contains("value=\"phr phrh\""), "{}", page.text);
    fixture.provider.set_answers(|answers| {
        answers.userinfo = (200, json!({"sub": "u1", "acr": "phr", "amr": ["pwd", "mfa"]}));
    });
    let mut browser = Browser::anonymous(&fixture.app);
    assert_eq!(start_sign_in(&mut browser, "/login/sso")["acr_values"], "phr phrh");
    for weak in [
        json!({}),
        json!({"acr": "phr"}),
        json!({"acr": "phr", "amr": ["mfa"]}),
        json!({"acr": "0", "amr": ["pwd", "mfa"]}),
        json!({"acr": ["phr"], "amr": ["pwd", "mfa"]}),
        json!({"acr": "phr", "amr": "pwd mfa"}),
        json!({"email": null, "amr": ["pwd", "mfa"]}),
    ] {
        fixture.sign_in(&mut browser, &weak).answered(403);
        assert!(!is_signed_in(&mut browser), "{weak}");
        assert_eq!(fixture.reasons()[0], "authentication_too_weak", "{weak}");
    }
    fixture.sign_in(&mut browser, &json!({"acr": "phrh", "amr": ["otp", "mfa", "pwd"]})).answered(303);
    assert!(is_signed_in(&mut browser));
    assert!(is_refused(&fixture.save_settings(&[("required_acr", &"x ".repeat(51))])));
}

fn is_refused(page: &Page) -> bool {
    page.status == 422 && page.contains("at most 50 values")
}
