//! Who may sign in through the provider, and with which role.

use serde_json::json;

use super::{SsoFixture, is_signed_in};
use crate::portal::browser::{Browser, PASSWORD, new_admin};

#[test]
fn a_listed_admin_confirms_the_link_once_and_the_identity_counts_from_then_on() {
    let mut fixture = SsoFixture::new(&[]);
    fixture.add("ann@sso.example", "viewer");
    let mut browser = Browser::anonymous(&fixture.app);
    fixture.provider.set_answers(|answers| answers.userinfo = (200, json!({"sub": "u1"})));
    for refused in [json!({"email_verified": false}), json!({"email_verified": null}), json!({"email": null})] {
        fixture.sign_in(&mut browser, &refused).answered(403);
    }
    assert_eq!(fixture.reasons(), ["no_email", "email_not_verified", "email_not_verified"]);
    fixture.link(&mut browser, &json!({"email": "ANN@sso.example"}));
    assert!(browser.get("/profile").answered(200).contains("ann@sso.example"));
    // The address may change; the identity does not.
    fixture.sign_in(&mut browser, &json!({"email": "married@sso.example", "email_verified": false})).answered(303);
    assert!(browser.get("/profile").contains("ann@sso.example"));
    // No other identity takes over the address.
    fixture.sign_in(&mut Browser::anonymous(&fixture.app), &json!({"sub": "u2"})).answered(403);
    assert_eq!(fixture.reasons()[0], "linked_to_another_identity");
}

#[test]
fn an_unknown_user_is_refused_with_a_contact() {
    let mut fixture = SsoFixture::new(&[]);
    let mut browser = Browser::anonymous(&fixture.app);
    let page = fixture.sign_in(&mut browser, &json!({})).answered(403);
    assert!(page.contains("ask an owner") && !page.contains("ann@sso.example"), "{}", page.text);
    assert!(!is_signed_in(&mut browser));
    assert_eq!(fixture.reasons(), ["unknown_person"]);
    assert!(!fixture.owner.get("/settings/people").contains("ann@sso.example"));
}

#[test]
fn users_of_the_configured_domains_are_added_with_the_chosen_role() {
    let mut fixture = SsoFixture::new(&[
        ("adds_people", "on"),
        ("domains", "sso.example, other.example"),
        ("default_role", "viewer"),
    ]);
    let mut browser = Browser::anonymous(&fixture.app);
    fixture.sign_in(&mut browser, &json!({"email": "ann@evil.example"})).answered(403);
    fixture.sign_in(&mut browser, &json!({"email_verified": false})).answered(403);
    assert_eq!(fixture.reasons(), ["email_not_verified", "domain_not_allowed"]);
    fixture.sign_in(&mut browser, &json!({})).answered(303);
    let profile = browser.get("/profile").answered(200);
    assert!(profile.contains("Ann Example") && profile.contains("Viewer"), "{}", profile.text);
    assert_eq!(browser.get("/settings/people").status, 403);
    // The added admin has no password, and an empty password does not match.
    let fields = [("email", "ann@sso.example"), ("password", "")];
    Browser::anonymous(&fixture.app).submit_only("/login", &fields).answered(401);
}

#[test]
fn roles_follow_the_table_at_every_sign_in_and_owners_stay_owners() {
    let table = "admins = provisioning-manager\nstaff = viewer";
    let mut fixture = SsoFixture::new(&[
        ("adds_people", "on"),
        ("domains", "sso.example"),
        ("default_role", ""),
        ("role_claim", "groups"),
        ("roles", table),
    ]);
    let mut browser = Browser::anonymous(&fixture.app);
    fixture.sign_in(&mut browser, &json!({"groups": ["others"]})).answered(403);
    fixture.sign_in(&mut browser, &json!({"groups": ["staff", "admins"]})).answered(303);
    assert!(browser.get("/profile").contains("Provisioning manager"));
    fixture.sign_in(&mut browser, &json!({"groups": ["staff"]})).answered(303);
    assert!(browser.get("/profile").contains("Viewer"));
    fixture.sign_in(&mut browser, &json!({"groups": []})).answered(403);
    assert_eq!(fixture.reasons(), ["no_role", "no_role"]);
    let owner = fixture.owner.email.clone();
    let mut again = Browser::anonymous(&fixture.app);
    // The owner's address is in another domain, so it is linked in the owner's own session only.
    let claims = json!({"sub": "o1", "email": owner, "groups": ["staff"]});
    fixture.sign_in(&mut again, &claims).answered(403);
    fixture.save_settings(&[("role_claim", "groups"), ("roles", table)]).answered(200);
    fixture.link(&mut again, &claims);
    fixture.sign_in(&mut again, &claims).answered(303);
    assert_eq!(again.get("/settings/people").status, 200);
}

#[test]
fn a_disabled_admin_cannot_sign_in() {
    let mut fixture = SsoFixture::new(&[]);
    let email = new_admin(&fixture.app, "viewer", None);
    let mut browser = Browser::anonymous(&fixture.app);
    fixture.link(&mut browser, &json!({"email": email}));
    let list = fixture.owner.get("/settings/people");
    let (before, _) = list.text.split_once(&*email).unwrap();
    let id = before.rsplit_once("/settings/people/").unwrap().1.split('"').next().unwrap().to_owned();
    let admin_path = format!("/settings/people/{id}");
    assert!(fixture.owner.get(&admin_path).contains("<code>u1</code>"));
    fixture.owner.submit(&format!("{admin_path}/active"), &[("active", "off")]).answered(200);
    assert!(!is_signed_in(&mut browser));
    fixture.sign_in(&mut browser, &json!({"email": email})).answered(403);
    assert_eq!(fixture.reasons(), ["disabled"]);
    fixture.owner.submit(&format!("{admin_path}/active"), &[("active", "on")]).answered(200);
    fixture.owner.submit(&format!("{admin_path}/unlink"), &[]).answered(200);
    fixture.link(&mut browser, &json!({"email": email, "sub": "u9"}));
}

#[test]
fn when_single_sign_on_is_required_only_owners_use_passwords() {
    let mut fixture = SsoFixture::new(&[]);
    let viewer = new_admin(&fixture.app, "viewer", None);
    let owner = fixture.owner.email.clone();
    let enter = |fixture: &SsoFixture, email: &str| {
        Browser::anonymous(&fixture.app).submit_only("/login", &[("email", email), ("password", PASSWORD)]).status
    };
    assert_eq!(enter(&fixture, &viewer), 303);
    fixture.save_settings(&[("only", "on")]).answered(200);
    let mut anonymous = Browser::anonymous(&fixture.app);
    let page = anonymous.get("/login");
    assert!(page.contains("Sign in with Example") && !page.contains("name=\"password\""), "{}", page.text);
    assert!(anonymous.get("/login?with=password").contains("name=\"password\""));
    assert_eq!(enter(&fixture, &viewer), 401);
    assert_eq!(enter(&fixture, &owner), 303);
    // If single sign-on is off, the rule does not apply.
    fixture.save_settings(&[("only", "on"), ("is_on", "")]).answered(200);
    assert_eq!(enter(&fixture, &viewer), 303);
    assert!(anonymous.get("/login").contains("name=\"password\""));
    anonymous.send(&anonymous.request("GET", "/login/sso"), "/login/sso").answered(404);
}
