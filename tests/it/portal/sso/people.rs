//! Who comes in through the provider, and with which role.

use serde_json::json;

use super::{House, is_in};
use crate::portal::browser::{Browser, PASSWORD, new_person};

#[test]
fn somebody_who_is_listed_comes_in_by_a_verified_address_and_is_known_from_then_on() {
    let mut house = House::new(&[]);
    house.add("ann@sso.example", "viewer");
    let mut browser = Browser::stranger(&house.app);
    house.provider.says(|says| says.userinfo = (200, json!({"sub": "u1"})));
    for refused in [json!({"email_verified": false}), json!({"email_verified": null}), json!({"email": null})] {
        house.sign_in(&mut browser, &refused).answered(403);
    }
    assert_eq!(house.reasons(), ["no_email", "email_not_verified", "email_not_verified"]);
    house.sign_in(&mut browser, &json!({"email": "ANN@sso.example"})).answered(303);
    assert!(browser.get("/profile").answered(200).says("ann@sso.example"));
    // The address may change; the identity does not.
    house.sign_in(&mut browser, &json!({"email": "married@sso.example", "email_verified": false})).answered(303);
    assert!(browser.get("/profile").says("ann@sso.example"));
    // And nobody else takes over the address.
    house.sign_in(&mut Browser::stranger(&house.app), &json!({"sub": "u2"})).answered(403);
    assert_eq!(house.reasons()[0], "linked_to_another_identity");
}

#[test]
fn a_stranger_is_refused_and_told_whom_to_ask() {
    let mut house = House::new(&[]);
    let mut browser = Browser::stranger(&house.app);
    let page = house.sign_in(&mut browser, &json!({})).answered(403);
    assert!(page.says("ask an owner") && !page.says("ann@sso.example"), "{}", page.text);
    assert!(!is_in(&mut browser));
    assert_eq!(house.reasons(), ["unknown_person"]);
    assert!(!house.owner.get("/settings/people").says("ann@sso.example"));
}

#[test]
fn people_of_the_named_domains_are_added_with_the_role_that_was_chosen() {
    let mut house =
        House::new(&[("adds_people", "on"), ("domains", "sso.example, other.example"), ("default_role", "viewer")]);
    let mut browser = Browser::stranger(&house.app);
    house.sign_in(&mut browser, &json!({"email": "ann@evil.example"})).answered(403);
    house.sign_in(&mut browser, &json!({"email_verified": false})).answered(403);
    assert_eq!(house.reasons(), ["email_not_verified", "domain_not_allowed"]);
    house.sign_in(&mut browser, &json!({})).answered(303);
    let profile = browser.get("/profile").answered(200);
    assert!(profile.says("Ann Example") && profile.says("Viewer"), "{}", profile.text);
    assert_eq!(browser.get("/settings/people").status, 403);
    // Who was added has no password, and the empty one is not it.
    let fields = [("email", "ann@sso.example"), ("password", "")];
    Browser::stranger(&house.app).submit_only("/login", &fields).answered(401);
}

#[test]
fn roles_follow_the_table_at_every_sign_in_and_owners_stay_owners() {
    let table = "admins = provisioning-manager\nstaff = viewer";
    let mut house = House::new(&[
        ("adds_people", "on"),
        ("domains", "sso.example"),
        ("default_role", ""),
        ("role_claim", "groups"),
        ("roles", table),
    ]);
    let mut browser = Browser::stranger(&house.app);
    house.sign_in(&mut browser, &json!({"groups": ["others"]})).answered(403);
    house.sign_in(&mut browser, &json!({"groups": ["staff", "admins"]})).answered(303);
    assert!(browser.get("/profile").says("Provisioning manager"));
    house.sign_in(&mut browser, &json!({"groups": ["staff"]})).answered(303);
    assert!(browser.get("/profile").says("Viewer"));
    house.sign_in(&mut browser, &json!({"groups": []})).answered(403);
    assert_eq!(house.reasons(), ["no_role", "no_role"]);
    let owner = house.owner.email.clone();
    let mut again = Browser::stranger(&house.app);
    house.sign_in(&mut again, &json!({"sub": "o1", "email": owner, "groups": ["staff"]})).answered(303);
    assert_eq!(again.get("/settings/people").status, 200);
}

#[test]
fn somebody_who_is_disabled_stays_out() {
    let mut house = House::new(&[]);
    let email = new_person(&house.app, "viewer", None);
    let mut browser = Browser::stranger(&house.app);
    house.sign_in(&mut browser, &json!({"email": email})).answered(303);
    let people = house.owner.get("/settings/people");
    let (before, _) = people.text.split_once(&*email).unwrap();
    let id = before.rsplit_once("/settings/people/").unwrap().1.split('"').next().unwrap().to_owned();
    let person = format!("/settings/people/{id}");
    assert!(house.owner.get(&person).says("<code>u1</code>"));
    house.owner.submit(&format!("{person}/active"), &[("active", "off")]).answered(200);
    assert!(!is_in(&mut browser));
    house.sign_in(&mut browser, &json!({"email": email})).answered(403);
    assert_eq!(house.reasons(), ["disabled"]);
    house.owner.submit(&format!("{person}/active"), &[("active", "on")]).answered(200);
    house.owner.submit(&format!("{person}/unlink"), &[]).answered(200);
    house.sign_in(&mut browser, &json!({"email": email, "sub": "u9"})).answered(303);
}

#[test]
fn where_single_sign_on_is_the_rule_passwords_are_for_owners() {
    let mut house = House::new(&[]);
    let viewer = new_person(&house.app, "viewer", None);
    let owner = house.owner.email.clone();
    let enter = |house: &House, email: &str| {
        Browser::stranger(&house.app).submit_only("/login", &[("email", email), ("password", PASSWORD)]).status
    };
    assert_eq!(enter(&house, &viewer), 303);
    house.agree(&[("only", "on")]).answered(200);
    let mut stranger = Browser::stranger(&house.app);
    let page = stranger.get("/login");
    assert!(page.says("Sign in with Example") && !page.says("name=\"password\""), "{}", page.text);
    assert!(stranger.get("/login?with=password").says("name=\"password\""));
    assert_eq!(enter(&house, &viewer), 401);
    assert_eq!(enter(&house, &owner), 303);
    // Off, it rules nothing.
    house.agree(&[("only", "on"), ("is_on", "")]).answered(200);
    assert_eq!(enter(&house, &viewer), 303);
    assert!(stranger.get("/login").says("name=\"password\""));
    stranger.send(&stranger.request("GET", "/login/sso"), "/login/sso").answered(404);
}
