//! Sign-in through an OpenID provider, with a browser without scripts.

mod admins;
mod links;
mod provider;
mod provider_responses;
mod settings;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::app::App;
use crate::portal::browser::{Browser, PASSWORD, Page, add_admin};
use crate::sample;
use provider::{CLIENT_ID, CLIENT_SECRET, Provider};

const BACK: &str = "/login/sso/callback";

/// The provider of the tests listens on this machine.
const ALLOW_THIS_MACHINE: [&str; 2] = ["--outgoing-allow-networks", "127.0.0.1"];

/// A server whose admins sign in through a test provider.
struct SsoFixture {
    app: App,
    owner: Browser,
    provider: Provider,
    _folder: tempfile::TempDir,
}

impl SsoFixture {
    /// With form fields that override the default ones.
    fn new(fields: &[(&str, &str)]) -> Self {
        Self::with_flags(&[], fields)
    }

    fn with_flags(flags: &[&str], fields: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let app = App::start_with(folder.path(), &[flags, &ALLOW_THIS_MACHINE].concat());
        let owner = Browser::owner(&app);
        let mut fixture = Self { app, owner, provider: Provider::new(), _folder: folder };
        let page = fixture.save_settings(fields).answered(200);
        assert!(page.contains("Changes saved."), "{}", page.text);
        fixture
    }

    fn save_settings(&mut self, fields: &[(&str, &str)]) -> Page {
        let issuer = self.provider.issuer.clone();
        let all = settings_form(&issuer, fields);
        let all: Vec<(&str, &str)> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.owner.submit("/settings/sso", &all)
    }

    /// Adds an admin with a password, who is not linked to an identity.
    #[track_caller]
    fn add(&mut self, email: &str, role: &str) {
        add_admin(&self.app, email, role, None);
    }

    /// Adds an admin who is linked to the identity of the default claims.
    #[track_caller]
    fn add_linked(&mut self, email: &str, role: &str) {
        self.add(email, role);
        self.link(&mut Browser::anonymous(&self.app), &json!({"email": email}));
    }

    /// Signs in with an identity that is not linked, and confirms the link with the password.
    #[track_caller]
    fn link(&self, browser: &mut Browser, claims: &Value) {
        let page = self.sign_in(browser, claims).answered(303);
        assert_eq!(page.header("location"), Some("/login/link"));
        browser.submit("/login/link", &[("password", PASSWORD)]).answered(200);
        assert!(is_signed_in(browser));
    }

    /// Signs in at the provider with these claims, which override the default ones.
    #[track_caller]
    fn sign_in(&self, browser: &mut Browser, other: &Value) -> Page {
        let sent = start_sign_in(browser, "/login/sso");
        self.issue_tokens(&sent, other);
        return_with_code(browser, &sent)
    }

    fn issue_tokens(&self, sent: &AuthorizationRequest, other: &Value) {
        let claims = self.provider.claims(&sent["nonce"], other);
        self.provider.set_tokens(&json!({"id_token": self.provider.signer.sign(&claims), "access_token": "at"}));
    }

    /// The reasons of failed attempts from the audit log, newest first.
    fn reasons(&mut self) -> Vec<String> {
        let page = self.owner.get("/audit/export.json?action=sso.refused").answered(200);
        let found: Value = serde_json::from_str(&page.text).unwrap_or_else(|_| panic!("{}", page.text));
        let entries = found.as_array().or_else(|| found["items"].as_array()).unwrap_or_else(|| panic!("{found}"));
        entries.iter().map(|entry| entry["after"]["reason"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// The form fields: the given ones override the default ones.
fn settings_form<'f>(issuer: &str, fields: &[(&'f str, &str)]) -> BTreeMap<&'f str, String> {
    let usual = [
        ("is_on", "on"),
        ("issuer", issuer),
        ("client_id", CLIENT_ID),
        ("client_secret", CLIENT_SECRET),
        ("scopes", "email profile"),
        ("label", "Sign in with Example"),
    ];
    usual.iter().chain(fields).map(|(name, value)| (*name, (*value).to_owned())).collect()
}

/// Query parameters of the redirect to the provider.
type AuthorizationRequest = BTreeMap<String, String>;

/// Follows the sign-in button to the redirect to the provider.
#[track_caller]
fn start_sign_in(browser: &mut Browser, path: &str) -> AuthorizationRequest {
    let page = browser.send(&browser.request("GET", path), path).answered(303);
    let (_, query) = page.header("location").unwrap().split_once('?').unwrap();
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// Returns from the provider with a code.
#[track_caller]
fn return_with_code(browser: &mut Browser, sent: &AuthorizationRequest) -> Page {
    return_with_query(browser, &format!("code=c1&state={}", sample::encode(&sent["state"])))
}

#[track_caller]
fn return_with_query(browser: &mut Browser, query: &str) -> Page {
    let path = format!("{BACK}?{query}");
    browser.send(&browser.request("GET", &path), &path)
}

/// Whether the browser is signed in.
fn is_signed_in(browser: &mut Browser) -> bool {
    !browser.get("/profile").at.starts_with("/login")
}
