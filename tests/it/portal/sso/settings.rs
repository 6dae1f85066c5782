//! What is agreed with the provider: who may, what is refused, and that the secret is found nowhere.

use std::path::Path;

use serde_json::json;

use super::provider::{CLIENT_ID, CLIENT_SECRET, Provider};
use super::{House, agreement, come_back, is_in, send};
use crate::app::App;
use crate::portal::browser::Browser;

/// Every file below a folder that has the text in it.
fn holding(folder: &Path, text: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holding(&path, text, found);
        } else if std::fs::read(&path).unwrap_or_default().windows(text.len()).any(|part| part == text.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
}

#[test]
fn the_secret_of_the_client_is_found_nowhere_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let app = App::start_in(&data, &["--log-level", "debug"], &[], &log);
    let owner = Browser::owner(&app);
    let mut house = House { app, owner, provider: Provider::new(), _folder: tempfile::tempdir().unwrap() };
    house.agree(&[]).answered(200);
    house.add("ann@sso.example", "viewer");
    house.sign_in(&mut Browser::stranger(&house.app), &json!({})).answered(303);
    for path in ["/settings/sso", "/audit/export.json"] {
        assert!(!house.owner.get(path).answered(200).says(CLIENT_SECRET), "{path}");
    }
    // A form with a mistake does not bring it back to the browser either.
    assert!(!house.agree(&[("label", "")]).answered(422).says(CLIENT_SECRET));
    let mut found = Vec::new();
    holding(folder.path(), CLIENT_SECRET, &mut found);
    holding(folder.path(), "hush%2Fhush", &mut found);
    assert_eq!(found, [] as [String; 0]);
    assert_eq!(house.app.terminate(), Some(0));
    house.app = App::start(&data);
    // The redirect URI follows from where the server listens now.
    house.sign_in(&mut Browser::stranger(&house.app), &json!({})).answered(303);
}

#[test]
fn a_secret_is_sent_to_no_other_issuer_than_the_one_it_was_given_for() {
    let mut house = House::new(&[]);
    house.agree(&[("client_secret", "")]).answered(200);
    let evil = Provider::new();
    for (field, value) in [("issuer", evil.issuer.as_str()), ("client_id", "another")] {
        let page = house.agree(&[("client_secret", ""), (field, value)]).answered(422);
        assert!(page.says("Give the client secret again"), "{}", page.text);
    }
    house.agree(&[("client_secret", ""), ("no_secret", "on"), ("issuer", &evil.issuer)]).answered(200);
    let mut browser = Browser::stranger(&house.app);
    let sent = send(&mut browser, "/login/sso");
    evil.gives(&json!({"id_token": evil.signer.sign(&evil.claims(&sent["nonce"], &json!({})))}));
    come_back(&mut browser, &sent).answered(403);
    let asked = evil.asked("/token");
    assert!(asked.contains("client_id=rollcall") && !asked.to_lowercase().contains("authorization:"), "{asked}");
}

#[test]
fn a_secret_goes_in_the_form_where_the_provider_wants_it_there() {
    let mut house = House::new(&[]);
    house.provider.says(|says| says.discovery["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]));
    house.add("ann@sso.example", "viewer");
    house.sign_in(&mut Browser::stranger(&house.app), &json!({})).answered(303);
    let asked = house.provider.asked("/token");
    assert!(asked.contains("client_secret=hush%2Fhush%3A5Zk2%26mQ"), "{asked}");
}

#[test]
fn what_cannot_be_agreed_on_is_refused_with_its_field() {
    let mut house = House::new(&[]);
    for (field, value, sentence) in [
        ("issuer", "http://id.example.com", "https://"),
        ("issuer", "id.example.com", "issuer cannot be used"),
        ("issuer", "https://id.example.com/?x", "no query"),
        ("client_id", "", "client id"),
        ("label", "", "1 to 40"),
        ("default_role", "owner", "Nobody becomes an owner"),
        ("default_role", "emperor", "no role"),
        ("roles", "admins", "is no line such as"),
        ("roles", "admins = viewer", "Name the claim"),
        ("adds_people", "on", "Name the domains"),
    ] {
        let page = house.agree(&[(field, value)]).answered(422);
        assert!(page.says(sentence), "{field}: {}", page.between("id=\"problems\"", "</div>"));
    }
}

#[test]
fn whoever_may_do_less_than_everything_cannot_name_the_provider() {
    let mut house = House::new(&[]);
    let fields = [("name", "Runner"), ("system.admin", "on"), ("provisioning.read", "on")];
    house.owner.submit("/settings/roles/new", &fields).answered(200);
    let roles = house.owner.get("/settings/roles");
    let role = roles.between("href=\"/settings/roles/", "\"").to_owned();
    let mut runner = Browser::with_role(&house.app, &role, None);
    runner.get("/settings/sso").answered(200);
    let evil = agreement("http://127.0.0.1:1", &[]);
    let evil: Vec<(&str, &str)> = evil.iter().map(|(name, value)| (*name, value.as_str())).collect();
    runner.submit_only("/settings/sso", &evil).answered(403);
    runner.submit_only("/settings/sso/remove", &[]).answered(403);
    runner.send(&runner.request("GET", "/settings/sso/test"), "/settings/sso/test").answered(403);
    assert!(house.owner.get("/settings/sso").says(&house.provider.issuer));
}

#[test]
fn a_test_tells_what_came_back_and_signs_nobody_in() {
    let house = House::new(&[("is_on", ""), ("role_claim", "groups"), ("roles", "staff = viewer")]);
    let session = house.owner.cookies["rc"].clone();
    let mut owner = house.owner.clone();
    let sent = send(&mut owner, "/settings/sso/test");
    house.vouch(&sent, &json!({"groups": ["staff", "<b>"]}));
    let page = come_back(&mut owner, &sent).answered(200);
    for told in ["would not be let in", "ann@sso.example", "verified", "<code>staff</code>", "&#60;b&#62;"] {
        assert!(page.says(told), "{told}: {}", page.text);
    }
    assert_eq!(owner.cookies["rc"], session);
    let sent = send(&mut owner, "/settings/sso/test");
    house.vouch(&sent, &json!({"nonce": "another"}));
    let page = come_back(&mut owner, &sent).answered(200);
    assert!(page.says("its nonce is not the one of this attempt"), "{}", page.text);
    // The same answer in a browser that is not signed in is nothing.
    let sent = send(&mut owner, "/settings/sso/test");
    house.vouch(&sent, &json!({"email": house.owner.email.clone()}));
    let mut thief = Browser::stranger(&house.app);
    thief.cookies.insert("rc_sso".to_owned(), owner.cookies["rc_sso"].clone());
    come_back(&mut thief, &sent).answered(403);
    assert!(!is_in(&mut thief));
}

#[test]
fn a_provider_that_cannot_be_reached_leaves_the_password() {
    let mut house = House::new(&[]);
    // Nobody listens there.
    house.agree(&[("issuer", "http://127.0.0.1:1")]).answered(200);
    let mut browser = Browser::stranger(&house.app);
    browser.send(&browser.request("GET", "/login/sso"), "/login/sso").answered(403);
    assert_eq!(house.reasons(), ["provider_failed"]);
    assert!(browser.get("/login").says("name=\"password\""));
    let test = house.owner.get("/settings/sso/test").answered(200);
    assert!(test.says("The test failed") && test.says("no answer"), "{}", test.text);
}

#[test]
fn what_the_server_was_started_with_wins_over_the_page() {
    let provider = Provider::new();
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--oidc-issuer", &provider.issuer, "--oidc-client-id", CLIENT_ID];
    let secret = [("ROLLCALL_OIDC_CLIENT_SECRET", CLIENT_SECRET)];
    let app = App::start_in(&folder.path().join("data"), &flags, &secret, &folder.path().join("log"));
    let owner = Browser::owner(&app);
    let mut house = House { app, owner, provider, _folder: folder };
    house.add("ann@sso.example", "viewer");
    let mut browser = Browser::stranger(&house.app);
    house.sign_in(&mut browser, &json!({})).answered(303);
    let page = house.owner.get("/settings/sso");
    assert!(page.says(&house.provider.issuer) && !page.says("name=\"issuer\""), "{}", page.text);
    let other = [("issuer", "http://127.0.0.1:1"), ("client_id", "another"), ("is_on", ""), ("label", "Enter here")];
    house.agree(&other).answered(200);
    let mut browser = Browser::stranger(&house.app);
    assert!(browser.get("/login").says("Enter here"));
    house.sign_in(&mut browser, &json!({})).answered(303);
    assert!(house.provider.asked("/token").to_lowercase().contains("authorization: basic "));
}

#[test]
fn once_removed_nobody_comes_in_that_way() {
    let mut house = House::new(&[]);
    house.add("ann@sso.example", "viewer");
    let mut browser = Browser::stranger(&house.app);
    let sent = send(&mut browser, "/login/sso");
    house.vouch(&sent, &json!({}));
    house.owner.submit("/settings/sso/remove", &[]).answered(200);
    come_back(&mut browser, &sent).answered(403);
    assert!(!browser.get("/login").says("/login/sso"));
}
