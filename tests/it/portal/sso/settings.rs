//! Settings of the provider: permissions, validation, and the secrecy of the client secret.

use std::net::TcpListener;
use std::path::Path;

use serde_json::json;

use super::provider::{CLIENT_ID, CLIENT_SECRET, Provider};
use super::{ALLOW_THIS_MACHINE, SsoFixture, is_signed_in, return_with_code, settings_form, start_sign_in};
use crate::app::App;
use crate::portal::browser::Browser;

/// Collects every file below a folder that contains the text.
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
    let app = App::start_in(&data, &[&["--log-level", "debug"], &ALLOW_THIS_MACHINE[..]].concat(), &[], &log);
    let owner = Browser::owner(&app);
    let mut fixture = SsoFixture { app, owner, provider: Provider::new(), _folder: tempfile::tempdir().unwrap() };
    fixture.save_settings(&[]).answered(200);
    fixture.add_linked("ann@sso.example", "viewer");
    fixture.sign_in(&mut Browser::anonymous(&fixture.app), &json!({})).answered(303);
    for path in ["/settings/sso", "/audit/export.json"] {
        assert!(!fixture.owner.get(path).answered(200).contains(CLIENT_SECRET), "{path}");
    }
    // A form with errors does not return it to the browser either.
    assert!(!fixture.save_settings(&[("label", "")]).answered(422).contains(CLIENT_SECRET));
    let mut found = Vec::new();
    holding(folder.path(), CLIENT_SECRET, &mut found);
    holding(folder.path(), "hush%2Fhush", &mut found);
    assert_eq!(found, [] as [String; 0]);
    assert_eq!(fixture.app.terminate(), Some(0));
    fixture.app = App::start_with(&data, &ALLOW_THIS_MACHINE);
    // The redirect URI contains the current address of the server.
    fixture.sign_in(&mut Browser::anonymous(&fixture.app), &json!({})).answered(303);
}

#[test]
fn a_secret_is_sent_to_no_other_issuer_than_the_one_it_was_given_for() {
    let mut fixture = SsoFixture::new(&[]);
    fixture.save_settings(&[("client_secret", "")]).answered(200);
    let evil = Provider::new();
    for (field, value) in [("issuer", evil.issuer.as_str()), ("client_id", "another")] {
        let page = fixture.save_settings(&[("client_secret", ""), (field, value)]).answered(422);
        assert!(page.contains("Give the client secret again"), "{}", page.text);
    }
    fixture.save_settings(&[("client_secret", ""), ("no_secret", "on"), ("issuer", &evil.issuer)]).answered(200);
    let mut browser = Browser::anonymous(&fixture.app);
    let sent = start_sign_in(&mut browser, "/login/sso");
    evil.set_tokens(&json!({"id_token": evil.signer.sign(&evil.claims(&sent["nonce"], &json!({})))}));
    return_with_code(&mut browser, &sent).answered(403);
    let asked = evil.asked("/token");
    assert!(asked.contains("client_id=rollcall") && !asked.to_lowercase().contains("authorization:"), "{asked}");
}

#[test]
fn a_secret_goes_in_the_form_where_the_provider_wants_it_there() {
    let mut fixture = SsoFixture::new(&[]);
    fixture.provider.set_answers(|answers| {
        answers.discovery["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
    });
    fixture.add_linked("ann@sso.example", "viewer");
    fixture.sign_in(&mut Browser::anonymous(&fixture.app), &json!({})).answered(303);
    let asked = fixture.provider.asked("/token");
    assert!(asked.contains("client_secret=hush%2Fhush%3A5Zk2%26mQ"), "{asked}");
}

#[test]
fn an_invalid_setting_is_refused_with_its_field() {
    let mut fixture = SsoFixture::new(&[]);
    for (field, value, sentence) in [
        ("issuer", "http://8.8.8.8", "https://"),
        ("issuer", "id.example.com", "issuer cannot be used"),
        ("issuer", "https://id.example.com/?x", "a query"),
        ("issuer", "https://10.0.0.5", "--outgoing-allow-networks"),
        ("issuer", "https://[::ffff:169.254.169.254]", "--outgoing-allow-networks"),
        ("issuer", "https://0x7f.2", "--outgoing-allow-networks"),
        ("client_id", "", "client id"),
        ("label", "", "1 to 40"),
        ("default_role", "owner", "the owner role cannot be assigned"),
        ("default_role", "emperor", "no role"),
        ("roles", "admins", "is not a valid line"),
        ("roles", "admins = viewer", "enter the claim"),
        ("adds_people", "on", "enter the e-mail domains"),
    ] {
        let page = fixture.save_settings(&[(field, value)]).answered(422);
        assert!(page.contains(sentence), "{field}: {}", page.between("id=\"problems\"", "</div>"));
    }
}

#[test]
fn a_server_of_a_private_network_is_called_only_if_the_operator_allows_it() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let owner = Browser::owner(&app);
    let mut fixture = SsoFixture { app, owner, provider: Provider::new(), _folder: folder };
    let page = fixture.save_settings(&[]).answered(422);
    assert!(page.contains("--outgoing-allow-networks"), "{}", page.between("id=\"problems\"", "</div>"));
    let page = fixture.save_settings(&[("issuer", "http://id.example.com")]).answered(422);
    assert!(page.contains("https://"), "{}", page.between("id=\"problems\"", "</div>"));
    // What a name resolves to is known when it is called.
    let port = fixture.provider.issuer.rsplit(':').next().unwrap();
    let named = format!("https://localhost:{port}");
    fixture.save_settings(&[("issuer", &named)]).answered(200);
    let test = fixture.owner.get("/settings/sso/test").answered(200);
    assert!(test.contains("127.0.0.1 is not public (loopback)") || test.contains("::1 is not public"), "{}", test.text);
    assert_eq!(fixture.provider.count_connections(), 0);
}

#[test]
fn an_endpoint_of_the_provider_on_another_private_host_is_not_called() {
    let mut fixture = SsoFixture::new(&[]);
    let other = TcpListener::bind("127.0.0.2:0").unwrap();
    let token = format!("http://{}/token", other.local_addr().unwrap());
    fixture.provider.set_answers(|answers| answers.discovery["token_endpoint"] = json!(token));
    let mut browser = Browser::anonymous(&fixture.app);
    let sent = start_sign_in(&mut browser, "/login/sso");
    fixture.issue_tokens(&sent, &json!({}));
    return_with_code(&mut browser, &sent).answered(403);
    assert_eq!(fixture.reasons(), ["provider_failed"]);
    other.set_nonblocking(true).unwrap();
    assert!(other.accept().is_err(), "there was no connection");
}

#[test]
fn only_an_owner_can_change_the_provider() {
    let mut fixture = SsoFixture::new(&[]);
    let fields = [("name", "Runner"), ("system.admin", "on"), ("provisioning.read", "on")];
    fixture.owner.submit("/settings/roles/new", &fields).answered(200);
    let roles = fixture.owner.get("/settings/roles");
    let role = roles.text.rsplit("href=\"/settings/roles/").next().unwrap().split('"').next().unwrap().to_owned();
    let mut runner = Browser::with_role(&fixture.app, &role, None);
    runner.get("/settings/sso").answered(200);
    let evil = settings_form("http://127.0.0.1:1", &[]);
    let evil: Vec<(&str, &str)> = evil.iter().map(|(name, value)| (*name, value.as_str())).collect();
    runner.submit_only("/settings/sso", &evil).answered(403);
    runner.submit_only("/settings/sso/remove", &[]).answered(403);
    runner.send(&runner.request("GET", "/settings/sso/test"), "/settings/sso/test").answered(403);
    assert!(fixture.owner.get("/settings/sso").contains(&fixture.provider.issuer));
}

#[test]
fn a_test_reports_the_result_and_signs_no_admin_in() {
    let fixture = SsoFixture::new(&[("is_on", ""), ("role_claim", "groups"), ("roles", "staff = viewer")]);
    let session = fixture.owner.cookies["rc"].clone();
    let mut owner = fixture.owner.clone();
    let sent = start_sign_in(&mut owner, "/settings/sso/test");
    fixture.issue_tokens(&sent, &json!({"groups": ["staff", "<b>"]}));
    let page = return_with_code(&mut owner, &sent).answered(200);
    for text in ["would not be let in", "ann@sso.example", "verified", "<code>staff</code>", "&#60;b&#62;"] {
        assert!(page.contains(text), "{text}: {}", page.text);
    }
    assert_eq!(owner.cookies["rc"], session);
    let sent = start_sign_in(&mut owner, "/settings/sso/test");
    fixture.issue_tokens(&sent, &json!({"nonce": "another"}));
    let page = return_with_code(&mut owner, &sent).answered(200);
    assert!(page.contains("its nonce is not that of this attempt"), "{}", page.text);
    // The same answer in a browser without a session has no effect.
    let sent = start_sign_in(&mut owner, "/settings/sso/test");
    fixture.issue_tokens(&sent, &json!({"email": fixture.owner.email.clone()}));
    let mut thief = Browser::anonymous(&fixture.app);
    thief.cookies.insert("rc_sso".to_owned(), owner.cookies["rc_sso"].clone());
    return_with_code(&mut thief, &sent).answered(403);
    assert!(!is_signed_in(&mut thief));
}

#[test]
fn an_unreachable_provider_does_not_block_password_sign_in() {
    let mut fixture = SsoFixture::new(&[]);
    // No process listens there.
    fixture.save_settings(&[("issuer", "http://127.0.0.1:1")]).answered(200);
    let mut browser = Browser::anonymous(&fixture.app);
    browser.send(&browser.request("GET", "/login/sso"), "/login/sso").answered(403);
    assert_eq!(fixture.reasons(), ["provider_failed"]);
    assert!(browser.get("/login").contains("name=\"password\""));
    let test = fixture.owner.get("/settings/sso/test").answered(200);
    assert!(test.contains("The test failed") && test.contains("no answer"), "{}", test.text);
}

#[test]
fn command_line_settings_override_the_page() {
    let provider = Provider::new();
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--oidc-issuer", &provider.issuer, "--oidc-client-id", CLIENT_ID];
    let secret = [("ROLLCALL_OIDC_CLIENT_SECRET", CLIENT_SECRET)];
    let app = App::start_in(&folder.path().join("data"), &flags, &secret, &folder.path().join("log"));
    let owner = Browser::owner(&app);
    let mut fixture = SsoFixture { app, owner, provider, _folder: folder };
    fixture.add_linked("ann@sso.example", "viewer");
    let mut browser = Browser::anonymous(&fixture.app);
    fixture.sign_in(&mut browser, &json!({})).answered(303);
    let page = fixture.owner.get("/settings/sso");
    assert!(page.contains(&fixture.provider.issuer) && !page.contains("name=\"issuer\""), "{}", page.text);
    let other = [("issuer", "http://127.0.0.1:1"), ("client_id", "another"), ("is_on", ""), ("label", "Enter here")];
    fixture.save_settings(&other).answered(200);
    let mut browser = Browser::anonymous(&fixture.app);
    assert!(browser.get("/login").contains("Enter here"));
    fixture.sign_in(&mut browser, &json!({})).answered(303);
    assert!(fixture.provider.asked("/token").to_lowercase().contains("authorization: basic "));
}

#[test]
fn after_removal_single_sign_on_is_refused() {
    let mut fixture = SsoFixture::new(&[]);
    fixture.add_linked("ann@sso.example", "viewer");
    let mut browser = Browser::anonymous(&fixture.app);
    let sent = start_sign_in(&mut browser, "/login/sso");
    fixture.issue_tokens(&sent, &json!({}));
    fixture.owner.submit("/settings/sso/remove", &[]).answered(200);
    return_with_code(&mut browser, &sent).answered(403);
    assert!(!browser.get("/login").contains("/login/sso"));
}
